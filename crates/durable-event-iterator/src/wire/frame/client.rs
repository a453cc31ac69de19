//! What clients send.

mod headers;
mod raw;

use std::{borrow::Cow, fmt};

pub(crate) use self::headers::Headers;
use self::raw::{RawBody, RawFrame};
use super::{
    ABORT, DELIMITER, EVENT, REQUEST,
    multipart::{self, Field, FieldContent},
};
use crate::wire::{
    DeserializeError, StreamEventKind, Value,
    order::ordered,
    parse,
    parse::{Envelope, parse_with_blobs},
};

/// The longest id of a call. It is kept with the socket, whose attachment is small.
const MAX_ID: usize = 64;
/// The field of a form that holds the JSON.
const DATA_FIELD: &str = "data";

/// A frame of a client.
#[derive(Debug)]
pub(crate) enum ClientFrame<'a> {
    Request(Request<'a>),
    /// An event of a stream that the client sends as a call's input.
    Event {
        id: Cow<'a, str>,
        event: StreamEvent<'a>,
    },
    /// The client is no longer interested in its call.
    Abort {
        id: Cow<'a, str>,
    },
}

/// A call.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) id: Cow<'a, str>,
    /// `/subscribe`: without a query, still URI-encoded.
    pub(crate) path: Cow<'a, str>,
    pub(crate) headers: Headers<'a>,
    pub(crate) body: Body<'a>,
}

/// The input of a call.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    None,
    Json {
        json: Option<&'a str>,
        meta: Option<&'a str>,
    },
    Form(Vec<Field>),
    /// A file that is in no form: oRPC's serializer makes none, so that no procedure takes it.
    File,
    /// Events follow, of the same id.
    Stream,
}

impl Body<'_> {
    /// The value that the client serialized.
    pub(crate) fn into_value(self) -> Result<Value, DeserializeError> {
        match self {
            Self::None => Ok(Value::Undefined),
            Self::Json { json, meta } => parse(json, meta),
            Self::Form(fields) => form_value(fields),
            Self::File => Err(DeserializeError::Unreadable("a file that is not in a form")),
            Self::Stream => Err(DeserializeError::Unreadable("a stream as input")),
        }
    }
}

/// An event of a client's stream.
#[derive(Debug)]
pub(crate) struct StreamEvent<'a> {
    pub(crate) kind: StreamEventKind,
    pub(crate) json: Option<&'a str>,
    pub(crate) meta: Option<&'a str>,
}

impl StreamEvent<'_> {
    /// The event's data.
    pub(crate) fn to_value(&self) -> Result<Value, DeserializeError> {
        parse(self.json, self.meta)
    }
}

/// A message that is no frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FrameError {
    /// The call that it seems to belong to, if that can be read: it can be answered.
    pub(crate) id: Option<String>,
    pub(crate) kind: FrameErrorKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameErrorKind {
    Malformed,
    /// Longer than 64 bytes, or empty.
    IdTooLong,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            FrameErrorKind::Malformed => "malformed frame",
            FrameErrorKind::IdTooLong => "a call's id must have 1 to 64 bytes",
        })
    }
}

impl std::error::Error for FrameError {}

/// Reads a text message.
pub(crate) fn decode_text(text: &str) -> Result<ClientFrame<'_>, FrameError> {
    decode(text, None)
}

/// Reads a binary message: JSON alone, or JSON and the bytes of a body.
pub(crate) fn decode_binary(bytes: &[u8]) -> Result<ClientFrame<'_>, FrameError> {
    let (json, attached) =
        match bytes.iter().position(|byte| *byte == DELIMITER).and_then(|at| bytes.split_at_checked(at)) {
            Some((json, rest)) => (json, rest.split_first().map(|(_, attached)| attached)),
            None => (bytes, None),
        };
    let text = str::from_utf8(json).map_err(|_| FrameError { id: None, kind: FrameErrorKind::Malformed })?;
    decode(text, attached)
}

fn decode<'a>(text: &'a str, attached: Option<&[u8]>) -> Result<ClientFrame<'a>, FrameError> {
    let malformed = |id: Option<String>| FrameError { id, kind: FrameErrorKind::Malformed };
    let RawFrame { id, kind, payload } = match RawFrame::read(text) {
        Ok(frame) => frame,
        Err(_) => {
            let id = raw::id_of(text);
            return Err(match id.as_deref().map(is_id) {
                Some(false) => FrameError { id: None, kind: FrameErrorKind::IdTooLong },
                _ => malformed(id),
            });
        }
    };
    let id = id.ok_or_else(|| malformed(None))?;
    if !is_id(&id) {
        return Err(FrameError { id: None, kind: FrameErrorKind::IdTooLong });
    }
    match kind.unwrap_or(REQUEST) {
        ABORT => Ok(ClientFrame::Abort { id }),
        EVENT => match payload.and_then(|payload| payload.into_event()) {
            Some(event) => Ok(ClientFrame::Event { id, event }),
            None => Err(malformed(Some(id.into_owned()))),
        },
        REQUEST => {
            let request = payload.and_then(|payload| {
                let path = path_of(payload.url?)?;
                let headers = payload.headers;
                let body = read_body(&headers, payload.body, attached)?;
                Some((path, headers, body))
            });
            match request {
                Some((path, headers, body)) => Ok(ClientFrame::Request(Request { id, path, headers, body })),
                None => Err(malformed(Some(id.into_owned()))),
            }
        }
        _ => Err(malformed(Some(id.into_owned()))),
    }
}

fn is_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len())
}

/// The path of a URL. Clients shorten theirs to what stands behind oRPC's own origin; others come whole.
fn path_of(url: Cow<'_, str>) -> Option<Cow<'_, str>> {
    match url {
        Cow::Borrowed(url) => path_of_text(url).map(Cow::Borrowed),
        Cow::Owned(url) => path_of_text(&url).map(|path| Cow::Owned(path.to_owned())),
    }
}

fn path_of_text(url: &str) -> Option<&str> {
    let end = url.bytes().position(|byte| matches!(byte, b'?' | b'#'));
    let url = end.and_then(|end| url.get(..end)).unwrap_or(url);
    if url.starts_with('/') {
        return Some(url);
    }
    let (_, rest) = url.split_once(':')?;
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => rest,
    };
    path.starts_with('/').then_some(path)
}

/// What the body is, by its headers: in the order in which oRPC's own servers look.
fn read_body<'a>(headers: &Headers<'_>, body: RawBody<'a>, attached: Option<&[u8]>) -> Option<Body<'a>> {
    let content_type = headers.get("content-type").unwrap_or_default();
    if headers.get("content-disposition").is_some() {
        return Some(Body::File);
    }
    if content_type.starts_with("multipart/form-data") {
        let boundary = multipart::boundary_of(content_type)?;
        return multipart::read(attached?, boundary).map(Body::Form);
    }
    if content_type.starts_with("text/event-stream") {
        return Some(Body::Stream);
    }
    match body {
        RawBody::None => Some(if attached.is_some() { Body::File } else { Body::None }),
        RawBody::Object(Envelope { json, meta, .. }) => Some(Body::Json { json, meta }),
        RawBody::Other => None,
    }
}

/// The value in a form, as a body of its own.
pub(crate) fn read_form(content_type: &str, bytes: &[u8]) -> Result<Value, DeserializeError> {
    multipart::boundary_of(content_type)
        .and_then(|boundary| multipart::read(bytes, boundary))
        .map_or(Err(DeserializeError::Unreadable("a form")), form_value)
}

/// A form's `data`, in which `maps` tells where the numbered files belong.
fn form_value(fields: Vec<Field>) -> Result<Value, DeserializeError> {
    let mut data = None;
    let mut files = Vec::new();
    for Field { name, content } in fields {
        match content {
            // Of fields with one name the first counts, as in JavaScript's `get`.
            FieldContent::Text(text) if name == DATA_FIELD && data.is_none() => data = Some(text),
            FieldContent::File(file) if name == DATA_FIELD && data.is_none() => {
                let text = String::from_utf8(file.into_bytes());
                data = Some(text.map_err(|_| DeserializeError::Unreadable("a form whose data is no text"))?);
            }
            FieldContent::File(file) => files.push((name, Some(file))),
            FieldContent::Text(_) => {}
        }
    }
    // In order of names, so that very many files cost no quadratic time. Of those of one name the first counts.
    let order = ordered(files.iter().map(|(name, _)| name.as_str()));
    let (names, places): (Vec<String>, Vec<usize>) =
        order.into_iter().map(|(name, place)| (name.to_owned(), place)).unzip();
    let data = data.ok_or(DeserializeError::Unreadable("a form without data"))?;
    let Envelope { json, meta, maps } = Envelope::read(&data)?;
    parse_with_blobs(json, meta, maps, |number| {
        let name = number.to_string();
        let at = names.partition_point(|other| *other < name);
        let place = names.get(at).filter(|other| **other == name).and_then(|_| places.get(at))?;
        files.get_mut(*place)?.1.take()
    })
}

#[cfg(test)]
mod tests;
