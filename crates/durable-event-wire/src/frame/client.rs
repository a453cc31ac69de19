//! Decoding of messages from clients.

mod headers;
mod raw;

use std::{borrow::Cow, fmt};

pub use self::headers::Headers;
use self::raw::{RawBody, RawFrame};
use super::{
    ABORT, ACKNOWLEDGEMENT, DELIMITER, EVENT, REQUEST,
    multipart::{self, Field, FieldContent},
};
use crate::{
    DeserializeError, Value,
    frame::StreamEventKind,
    order::ordered,
    parse,
    parse::{Envelope, parse_with_blobs},
};

/// The maximum length of a call id in bytes. Ids are stored in the socket's attachment, which is small.
const MAX_ID: usize = 64;
/// The form field that contains the JSON.
const DATA_FIELD: &str = "data";

/// A message from a client.
#[derive(Debug)]
pub enum ClientFrame<'a> {
    /// Starts a call.
    Request(Request<'a>),
    /// An event of a streaming input.
    Event {
        /// The id of the call.
        id: Cow<'a, str>,
        /// The event.
        event: StreamEvent<'a>,
    },
    /// Aborts a call.
    Abort {
        /// The id of the call.
        id: Cow<'a, str>,
    },
    /// Acknowledges messages of a subscription. Only clients that have agreed on flow control send it: it is not a part
    /// of oRPC's protocol.
    Acknowledgement {
        /// The id of the call.
        id: Cow<'a, str>,
        /// The length of the messages received since the last acknowledgement, in UTF-16 code units.
        characters: u64,
    },
}

/// A request that starts a call.
#[derive(Debug)]
pub struct Request<'a> {
    /// The call id, chosen by the client: 1–64 bytes.
    pub id: Cow<'a, str>,
    /// The path of the URL, such as `/subscribe`: percent-encoded, without query and fragment.
    pub path: Cow<'a, str>,
    /// The headers.
    pub headers: Headers<'a>,
    /// The input.
    pub body: Body<'a>,
}

/// The input of a call.
#[derive(Debug)]
pub enum Body<'a> {
    /// No body. The input is undefined.
    None,
    /// The serialized form, as two JSON texts that have not been parsed yet.
    Json {
        /// The value; `None` is undefined.
        json: Option<&'a str>,
        /// The meta: paths of values with types that JSON does not have.
        meta: Option<&'a str>,
    },
    /// A form with JSON and files.
    Form(Vec<Field>),
    /// A file outside a form. It cannot be converted to a value; oRPC's serializer never sends one.
    File,
    /// A streaming input: events with the same call id follow.
    Stream,
}

impl Body<'_> {
    /// Parses the value.
    ///
    /// # Errors
    /// The body is not a valid serialized value, or it is a stream or a file outside a form.
    pub fn into_value(self) -> Result<Value, DeserializeError> {
        match self {
            Self::None => Ok(Value::Undefined),
            Self::Json { json, meta } => parse(json, meta),
            Self::Form(fields) => form_value(fields),
            Self::File => Err(DeserializeError::Unreadable("a file must be sent in a form")),
            Self::Stream => Err(DeserializeError::Unreadable("a streaming input is not a value")),
        }
    }
}

/// An event of a streaming input.
#[derive(Debug)]
pub struct StreamEvent<'a> {
    /// The kind of the event.
    pub kind: StreamEventKind,
    /// The JSON text of the data. `None` is undefined.
    pub json: Option<&'a str>,
    /// The JSON text of the data's meta.
    pub meta: Option<&'a str>,
}

impl StreamEvent<'_> {
    /// Parses the data.
    ///
    /// # Errors
    /// The data is not a valid serialized value.
    pub fn to_value(&self) -> Result<Value, DeserializeError> {
        parse(self.json, self.meta)
    }
}

/// The error of decoding an invalid message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameError {
    /// The call id of the message, if it can be read. A server can respond to that call.
    pub id: Option<String>,
    /// The kind of the error.
    pub kind: FrameErrorKind,
}

/// The kind of a [`FrameError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameErrorKind {
    /// The message is not a valid frame.
    Malformed,
    /// The call id is not 1–64 bytes.
    IdTooLong,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            FrameErrorKind::Malformed => "message is not a valid frame",
            FrameErrorKind::IdTooLong => "call id must be 1–64 bytes",
        })
    }
}

impl std::error::Error for FrameError {}

/// Decodes a text message.
///
/// # Errors
/// The text is not a valid frame.
pub fn decode_text(text: &str) -> Result<ClientFrame<'_>, FrameError> {
    decode(text, None)
}

/// Decodes a binary message: JSON, or JSON and the bytes of a body.
///
/// # Errors
/// The bytes are not a valid frame.
pub fn decode_binary(bytes: &[u8]) -> Result<ClientFrame<'_>, FrameError> {
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
    let RawFrame { id, kind, payload, number } = match RawFrame::read(text) {
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
        ACKNOWLEDGEMENT => match number {
            Some(characters) => Ok(ClientFrame::Acknowledgement { id, characters }),
            None => Err(malformed(Some(id.into_owned()))),
        },
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

/// Returns the path of a URL. Clients omit oRPC's own origin and send only the path; other URLs are complete.
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

/// Determines the kind of the body from the headers, in the order of oRPC's servers.
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

/// Parses the value of a form body.
pub(crate) fn read_form(content_type: &str, bytes: &[u8]) -> Result<Value, DeserializeError> {
    multipart::boundary_of(content_type)
        .and_then(|boundary| multipart::read(bytes, boundary))
        .map_or(Err(DeserializeError::Unreadable("form body is malformed")), form_value)
}

/// Parses the value of a form. `maps` in the field `data` contains the paths of the numbered files.
fn form_value(fields: Vec<Field>) -> Result<Value, DeserializeError> {
    let mut data = None;
    let mut files = Vec::new();
    for Field { name, content } in fields {
        match content {
            // The first of several fields with the same name is used, as in JavaScript's `get`.
            FieldContent::Text(text) if name == DATA_FIELD && data.is_none() => data = Some(text),
            FieldContent::File(file) if name == DATA_FIELD && data.is_none() => {
                let text = String::from_utf8(file.into_bytes());
                data =
                    Some(text.map_err(|_| DeserializeError::Unreadable("form field `data` must be UTF-8"))?);
            }
            FieldContent::File(file) => files.push((name, Some(file))),
            FieldContent::Text(_) => {}
        }
    }
    // Sorted by name, so that very many files do not take quadratic time. The first of several files with the same
    // name is used.
    let order = ordered(files.iter().map(|(name, _)| name.as_str()));
    let (names, places): (Vec<String>, Vec<usize>) =
        order.into_iter().map(|(name, place)| (name.to_owned(), place)).unzip();
    let data = data.ok_or(DeserializeError::Unreadable("form field `data` is missing"))?;
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
