//! The decoded messages that a client receives.

use durable_event_iterator::{EventId, InvalidInput, Value, from_value, native::Message};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, fmt};

/// The header of a gap notification.
const GAP_HEADER: &str = "x-durable-event-gap";

/// The content type of a stream.
const EVENT_STREAM: &str = "text/event-stream";

/// The byte between the JSON and the form data of a binary message.
pub(crate) const DELIMITER: u8 = 0xFF;

/// A message that a client received.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// The id of the call that it belongs to. A subscription is a call too.
    pub call: String,
    /// The content.
    pub content: Content,
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// The call responded with a value.
    Response(Value),
    /// The call failed.
    Error(CallError),
    /// The call responded with a stream, or the subscription began.
    Stream {
        /// The id of the first event after a gap, if the subscription received a gap notification.
        gap: Option<EventId>,
    },
    /// An item of a stream, or an event of the channel.
    Event(Event),
    /// The stream ended with a value.
    Done(Value),
    /// The stream ended with an error.
    Failed(CallError),
    /// A subscription with flow control was parked, since its client has not acknowledged enough.
    Parked {
        /// The id after which a client without a cursor subscribes again.
        after: Option<EventId>,
    },
    /// The Durable Object asks the client to stop sending streaming input.
    Stop,
}

/// An event of the channel, or an item of a procedure's stream.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// The event id. Events that are not stored, and most events of a snapshot, have none.
    pub id: Option<EventId>,
    /// The event.
    pub value: Value,
    /// The delay before the client reconnects, in milliseconds.
    pub retry: Option<u32>,
    /// The comments.
    pub comments: Vec<String>,
}

impl Event {
    /// Converts the event to the application's type.
    ///
    /// # Errors
    /// The event does not deserialize to `E`.
    pub fn to<E: DeserializeOwned>(&self) -> Result<E, InvalidInput> {
        from_value(self.value.clone())
    }
}

/// An error that a client receives, with the fields of oRPC's `ORPCError`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CallError {
    /// Whether the procedure's contract declares the error.
    pub defined: bool,
    /// The code, such as `NOT_FOUND`.
    pub code: String,
    /// The HTTP status.
    pub status: u16,
    /// The message.
    pub message: String,
    /// The data.
    pub data: Option<Value>,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for CallError {}

impl CallError {
    /// Reads the body of a failed call, which is an oRPC error or a text.
    fn read(status: u16, body: Value) -> Self {
        let text = |value: Option<Value>| match value {
            Some(Value::String(text)) => text,
            _ => String::new(),
        };
        match body {
            Value::Object(mut fields) => Self {
                defined: matches!(fields.remove("defined"), Some(Value::Bool(true))),
                code: text(fields.remove("code")),
                status,
                message: text(fields.remove("message")),
                data: fields.remove("data"),
            },
            other => {
                Self { defined: false, code: String::new(), status, message: text(Some(other)), data: None }
            }
        }
    }
}

/// The outer structure of a message.
#[derive(Deserialize)]
struct Frame<'a> {
    i: String,
    #[serde(borrow)]
    p: Option<Payload<'a>>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    /// The status, headers and body of a response.
    s: Option<u16>,
    #[serde(default)]
    h: BTreeMap<String, String>,
    #[serde(borrow)]
    b: Option<&'a RawValue>,
    /// The kind, data and meta of a stream event.
    e: Option<&'a str>,
    #[serde(borrow)]
    d: Option<&'a RawValue>,
    m: Option<Meta>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    id: Option<String>,
    retry: Option<u32>,
    comments: Vec<String>,
}

impl Received {
    /// Decodes a message. Returns `None` if it does not belong to a call, such as the response to a ping.
    #[must_use]
    pub fn decode(message: &Message) -> Option<Self> {
        let (text, form) = match message {
            Message::Text(text) => (text.as_str(), None),
            Message::Bytes(bytes) => {
                let at = bytes.iter().position(|byte| *byte == DELIMITER)?;
                let (text, form) = bytes.split_at_checked(at)?;
                (str::from_utf8(text).ok()?, form.get(1..))
            }
        };
        let Frame { i: call, p } = serde_json::from_str(text).ok()?;
        let content = match p {
            None => Content::Stop,
            Some(payload) => payload.content(form)?,
        };
        Some(Self { call, content })
    }
}

impl Payload<'_> {
    fn content(self, form: Option<&[u8]>) -> Option<Content> {
        if let Some(kind) = self.e {
            let value = value_of(self.d)?;
            let Meta { id, retry, comments } = self.m.unwrap_or_default();
            let id = id.and_then(|id| id.parse().ok());
            return match kind {
                "message" => Some(Content::Event(Event { id, value, retry, comments })),
                "done" => Some(Content::Done(value)),
                "parked" => Some(Content::Parked { after: id }),
                _ => Some(Content::Failed(CallError::read(status_of(&value), value))),
            };
        }
        let status = self.s.unwrap_or(200);
        let content_type = self.h.get("content-type").map(String::as_str);
        let value = match form {
            Some(form) => Value::from_http(content_type, form).ok()?,
            None if content_type == Some(EVENT_STREAM) => {
                let gap = self.h.get(GAP_HEADER).and_then(|gap| gap.parse().ok());
                return Some(Content::Stream { gap });
            }
            None => value_of(self.b)?,
        };
        Some(match status {
            200..400 => Content::Response(value),
            _ => Content::Error(CallError::read(status, value)),
        })
    }
}

/// Decodes a body, which is a serialized value or a JSON text.
fn value_of(body: Option<&RawValue>) -> Option<Value> {
    let Some(body) = body.map(RawValue::get) else { return Some(Value::Undefined) };
    let bytes = body.as_bytes();
    if body.starts_with('{') { Value::from_serialized(bytes).ok() } else { Value::from_json(bytes).ok() }
}

/// Returns the status in the body of an error, by default 500.
fn status_of(body: &Value) -> u16 {
    let status = match body {
        Value::Object(fields) => fields.get("status"),
        _ => None,
    };
    match status {
        Some(Value::Number(status)) => {
            status.as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(500)
        }
        _ => 500,
    }
}
