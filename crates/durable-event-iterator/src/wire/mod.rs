//! The oRPC wire, without I/O: values and their serialized form, and the frames around them.
//!
//! [`serialize`] writes any `Serialize` as JSON and meta in one pass; [`parse`] reads them into a [`Value`], and
//! [`from_value`] makes a typed value of that. [`decode_text`] and [`decode_binary`] read a client's frames,
//! borrowing from them; the functions of `frame::server` write ours.

#[cfg(test)]
mod arbitrary;
mod body;
mod de;
mod event_meta;
pub(crate) mod fields;
mod float;
mod frame;
#[cfg(feature = "golden")]
pub mod golden;
mod handover;
mod invalid_input;
mod json;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod loss;
mod memory;
mod number;
mod object;
mod order;
mod parse;
#[cfg(test)]
mod recorded;
mod ser;
mod stored;
mod tag;
mod text;
mod types;
mod value;

#[cfg(any(test, feature = "fuzzing", feature = "golden"))]
pub(crate) use self::parse::parse_body;
pub(crate) use self::{
    body::HttpBody,
    event_meta::{CheckedMeta, InvalidEventMeta, MAX_RETRY_MS},
    frame::{
        Body, ClientFrame, FrameError, FrameErrorKind, Headers, Outgoing, Request, StreamEvent,
        StreamEventKind, decode_binary, decode_text, error_response, event_tail, expired_response, head,
        response, stop_upload, stream_event, stream_response, text_response,
    },
    json::{Reader, read_members},
    memory::allocation,
    parse::{DeserializeError, parse},
    ser::{Serialized, serialize, serialize_output},
    stored::safe_tail,
    text::{push_f64, push_member, push_string, push_strings},
};
pub use self::{
    de::from_value,
    event_meta::EventMeta,
    invalid_input::{InvalidInput, Issue, PathSegment},
    number::Number,
    object::Object,
    ser::{SerializeError, to_value},
    types::{
        BigInt, Blob, Custom, Date, InvalidBigInt, InvalidDate, InvalidRegExp, InvalidUrl, Map, RegExp, Set,
        Undefined, Url,
    },
    value::Value,
};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::{
    frame::{DELIMITER, push_body, write_form},
    json::read_json,
    parse::read,
};

/// How deep a value may be nested, in both directions. It is what serde_json's own limit allows, and keeps recursion
/// far from the end of a WASM stack (1 MiB).
pub(crate) const MAX_DEPTH: usize = 127;
