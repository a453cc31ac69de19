//! The wire format of [oRPC](https://orpc.dev) 1.x, without I/O: values, their serialized form, and the frames of
//! WebSocket messages.
//!
//! oRPC sends JSON plus *meta*, a list of the paths at which a value has a type that JSON does not have (`Date`,
//! `BigInt`, `Map` …). [`serialize`] writes any `Serialize` type as JSON and meta in one pass. [`parse`] reads both
//! into a [`Value`], and [`from_value`] converts a [`Value`] to a typed value.
//!
//! ```
//! use durable_event_wire::{Date, Value, from_value, parse, serialize};
//!
//! let written = serialize(&[Date::from_millis(0)])?;
//! assert_eq!(written.json.as_deref(), Some(r#"["1970-01-01T00:00:00.000Z"]"#));
//! assert_eq!(written.meta.as_deref(), Some("[[1,0]]"));
//!
//! let value = parse(written.json.as_deref(), written.meta.as_deref())?;
//! assert_eq!(from_value::<Vec<Date>>(value)?, [Date::from_millis(0)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The [`frame`] module decodes messages from clients ([`decode_text`](frame::decode_text),
//! [`decode_binary`](frame::decode_binary)) and encodes messages to clients. The [`publisher`] module does the same for
//! oRPC's publisher for Durable Objects.
//!
//! # Targets
//!
//! On wasm32, JavaScript converts floats and validates URLs and regular expressions; the compiled module must be
//! loaded through wasm-bindgen. On all other targets the crate has no dependency on JavaScript.

#[cfg(test)]
mod arbitrary;
mod body;
mod code;
mod de;
mod deserialize_error;
mod error_body;
mod event_meta;
mod float;
pub mod frame;
mod invalid_input;
#[cfg(target_arch = "wasm32")]
mod javascript;
mod json;
#[cfg(test)]
mod loss;
mod order;
mod parse;
pub mod publisher;
#[cfg(test)]
mod recorded;
mod ser;
mod tag;
mod text;
#[cfg(feature = "typescript")]
mod typescript;
mod value;

pub use self::{
    body::HttpBody,
    code::Code,
    de::from_value,
    deserialize_error::DeserializeError,
    error_body::ErrorBody,
    event_meta::{CheckedMeta, EventMeta, InvalidEventMeta, MAX_RETRY_MS},
    invalid_input::{InvalidInput, Issue, PathSegment},
    parse::parse,
    ser::{SerializeError, Serialized, serialize, serialize_output, to_value},
    value::{
        BigInt, Blob, Custom, Date, InvalidBigInt, InvalidDate, InvalidRegExp, InvalidUrl, Map, Number,
        Object, RegExp, Set, Undefined, Url, Value,
    },
};

/// The maximum nesting depth of a value, for reading and writing. It equals serde_json's limit and needs far less
/// than the 1 MiB of a WebAssembly stack.
pub const MAX_DEPTH: usize = 127;

// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
