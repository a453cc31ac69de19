//! Messages of clients.

mod headers;
mod raw;

use std::{borrow::Cow, fmt};

pub use self::headers::Headers;
use self::raw::{RawBody, RawFrame};
use super::{
    ABORT, DELIMITER, EVENT, REQUEST,
    multipart::{self, Field, FieldContent},
};
use crate::{
    DeserializeError, Value,
    frame::StreamEventKind,
    order::ordered,
    parse,
    parse::{Envelope, parse_with_blobs},
};

/// The longest id of a call. It is kept with the socket, whose attachment is small.
const MAX_ID: usize = 64;
/// The field of a form that holds the JSON.
const DATA_FIELD: &str = "data";

/// A message of a client.
#[derive(Debug)]
pub enum ClientFrame<'a> {
    /// Starts a call.
    Request(Request<'a>),
    /// An event of a stream that is a call's input.
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
}

/// A call.
#[derive(Debug)]
pub struct Request<'a> {
    /// The id that the client chose: 1–64 bytes.
    pub id: Cow<'a, str>,
    /// The path of the URL, such as `/subscribe`: URI-encoded, without query and fragment.
    pub path: Cow<'a, str>,
    /// The headers.
    pub headers: Headers<'a>,
    /// The input.
    pub body: Body<'a>,
}

/// The input of a call.
#[derive(Debug)]
pub enum Body<'a> {
    /// No body: undefined.
    None,
    /// The halves of the serialized form, as JSON texts that have not been read yet.
    Json {
        /// The value; `None` is undefined.
        json: Option<&'a str>,
        /// The types that JSON does not have.
        meta: Option<&'a str>,
    },
    /// A form: JSON, and files.
    Form(Vec<Field>),
    /// A file outside a form. oRPC's serializer never sends one, so it has no value.
    File,
    /// A stream: events with the same call id follow.
    Stream,
}

impl Body<'_> {
    /// Reads the value.
    ///
    /// # Errors
    /// The body is not a serialized value, or it is a stream or a file outside a form.
    pub fn into_value(self) -> Result<Value, DeserializeError> {
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
pub struct StreamEvent<'a> {
    /// The kind.
    pub kind: StreamEventKind,
    /// The JSON text of the data; `None` is undefined.
    pub json: Option<&'a str>,
    /// The JSON text of the data's meta.
    pub meta: Option<&'a str>,
}

impl StreamEvent<'_> {
    /// Reads the data.
    ///
    /// # Errors
    /// The data is not a serialized value.
    pub fn to_value(&self) -> Result<Value, DeserializeError> {
        parse(self.json, self.meta)
    }
}

/// An invalid message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameError {
    /// The id of the call that the message names, if it can be read: a server can respond to that call.
    pub id: Option<String>,
    /// What is invalid.
    pub kind: FrameErrorKind,
}

/// What is invalid in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameErrorKind {
    /// The message is not a frame.
    Malformed,
    /// The id of the call does not have 1–64 bytes.
    IdTooLong,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            FrameErrorKind::Malformed => "malformed frame",
            FrameErrorKind::IdTooLong => "the id of a call must be 1–64 bytes",
        })
    }
}

impl std::error::Error for FrameError {}

/// Reads a text message.
///
/// # Errors
/// The text is not a frame.
pub fn decode_text(text: &str) -> Result<ClientFrame<'_>, FrameError> {
    decode(text, None)
}

/// Reads a binary message: JSON alone, or JSON and the bytes of a body.
///
/// # Errors
/// The bytes are not a frame.
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

/// Decides by the headers what the body is, in the order of oRPC's own servers.
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
