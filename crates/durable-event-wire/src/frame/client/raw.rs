//! Reads the JSON of a frame in one pass. It is interpreted afterwards, because the type may follow the payload.

use std::borrow::Cow;

use super::{Headers, StreamEvent};
use crate::{
    DeserializeError,
    frame::StreamEventKind,
    json::{Reader, read_members},
    parse::Envelope,
};

#[derive(Default)]
pub(super) struct RawFrame<'a> {
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) kind: Option<u64>,
    pub(super) payload: Option<RawPayload<'a>>,
    /// The payload, if it is a number.
    pub(super) number: Option<u64>,
}

/// The members of the payloads of requests and events.
#[derive(Default)]
pub(super) struct RawPayload<'a> {
    pub(super) url: Option<Cow<'a, str>>,
    pub(super) body: RawBody<'a>,
    pub(super) headers: Headers<'a>,
    event: Option<Cow<'a, str>>,
    data: RawBody<'a>,
}

#[derive(Default)]
pub(super) enum RawBody<'a> {
    #[default]
    None,
    Object(Envelope<'a>),
    /// A body that is not an object, which no procedure accepts.
    Other,
}

impl<'a> RawFrame<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, DeserializeError> {
        let mut frame = Self::default();
        read_members(text, &mut |reader, key| {
            match key {
                "i" => frame.id = Some(reader.text()?),
                "t" => frame.kind = unless_null(reader, Reader::unsigned)?,
                "p" if reader.kind().is_some_and(|first| first.is_ascii_digit()) => {
                    frame.number = Some(reader.unsigned()?);
                }
                "p" => frame.payload = unless_null(reader, RawPayload::read)?,
                _ => drop(reader.raw()?),
            }
            Ok::<_, DeserializeError>(())
        })?;
        Ok(frame)
    }
}

impl<'a> RawPayload<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DeserializeError> {
        let mut payload = Self::default();
        reader.members(&mut |reader, key| {
            match key {
                "u" => payload.url = Some(reader.text()?),
                "b" => payload.body = RawBody::read(reader)?,
                "h" => payload.headers = unless_null(reader, Headers::read)?.unwrap_or_default(),
                "e" => payload.event = Some(reader.text()?),
                "d" => payload.data = RawBody::read(reader)?,
                _ => drop(reader.raw()?),
            }
            Ok::<_, DeserializeError>(())
        })?;
        Ok(payload)
    }

    pub(super) fn into_event(self) -> Option<StreamEvent<'a>> {
        let kind = match &*self.event? {
            "message" => StreamEventKind::Message,
            "error" => StreamEventKind::Error,
            "done" => StreamEventKind::Done,
            _ => return None,
        };
        let Envelope { json, meta, .. } = match self.data {
            RawBody::Object(envelope) => envelope,
            RawBody::None => Envelope::default(),
            RawBody::Other => return None,
        };
        Some(StreamEvent { kind, json, meta })
    }
}

impl<'a> RawBody<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DeserializeError> {
        if reader.kind() == Some(b'{') {
            Envelope::read_from(reader).map(Self::Object)
        } else {
            reader.raw().map(|_| Self::Other)
        }
    }
}

/// Reads the call id of a malformed frame.
pub(super) fn id_of(frame: &str) -> Option<String> {
    let mut id = None;
    read_members(frame, &mut |reader, key| {
        let value = reader.raw()?;
        if key == "i" {
            id = Reader::new(value).text().map(Cow::into_owned).ok();
        }
        Ok::<_, DeserializeError>(())
    })
    .ok()?;
    id
}

/// Returns the result of `read`, or `None` for `null`.
fn unless_null<'a, T>(
    reader: &mut Reader<'a>,
    read: fn(&mut Reader<'a>) -> Result<T, DeserializeError>,
) -> Result<Option<T>, DeserializeError> {
    if reader.kind() == Some(b'n') { reader.raw().map(|_| None) } else { read(reader).map(Some) }
}
