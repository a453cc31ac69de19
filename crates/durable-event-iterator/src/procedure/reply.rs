//! The output of a procedure: a value or a stream of items.

use crate::error::{Error, Result};
use durable_event_wire::{CheckedMeta, EventMeta, SerializeError, Serialized, serialize, serialize_output};
use futures_util::{Stream, StreamExt, stream::LocalBoxStream};
use serde::Serialize;
use std::fmt;

/// The error message for an output that cannot be serialized. The text is oRPC's.
const INVALID_OUTPUT: &str = "Output validation failed";

/// The output of a procedure, returned by [`Next::run`](super::Next::run).
pub struct Reply(pub(crate) Answer);

pub(crate) enum Answer {
    Value(Serialized),
    Stream(LocalBoxStream<'static, Result<Item>>),
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Answer::Value(_) => "Reply(value)",
            Answer::Stream(_) => "Reply(stream)",
        })
    }
}

impl Reply {
    pub(crate) fn value<T: Serialize + 'static>(output: &T) -> Result<Self> {
        Ok(Self(Answer::Value(serialized(output)?)))
    }

    pub(crate) fn stream<I: Into<StreamItem>>(items: impl Stream<Item = Result<I>> + 'static) -> Self {
        let items = items.map(|item| item.and_then(|item| item.into().serialized()));
        Self(Answer::Stream(items.boxed_local()))
    }
}

/// Serializes the output of a procedure or RPC method.
///
/// # Errors
/// INTERNAL_SERVER_ERROR if the output cannot be serialized. The reason is only written to the log.
pub(super) fn serialized<T: Serialize + 'static>(output: &T) -> Result<Serialized> {
    serialize_output(output).map_err(|error| Error::from(error).message(INVALID_OUTPUT))
}

/// An item of a procedure's stream, with meta. Any value that serializes converts to an item without meta.
///
/// ```
/// use durable_event_iterator::{EventMeta, StreamItem};
///
/// let item = StreamItem::from("half done").meta(EventMeta { id: Some("50".into()), ..EventMeta::default() });
/// let result = StreamItem::result(&42);
/// # let _ = (item, result);
/// ```
#[derive(Debug)]
pub struct StreamItem {
    data: Result<Serialized, SerializeError>,
    meta: EventMeta,
    is_last: bool,
}

pub(crate) struct Item {
    pub(crate) data: Serialized,
    pub(crate) meta: CheckedMeta,
    pub(crate) is_last: bool,
}

impl<T: Serialize> From<T> for StreamItem {
    fn from(value: T) -> Self {
        Self { data: serialize(&value), meta: EventMeta::default(), is_last: false }
    }
}

/// An item of any type is `unknown` in TypeScript.
#[cfg(feature = "typescript")]
impl ts_rs::TS for StreamItem {
    type WithoutGenerics = Self;
    type OptionInnerType = Self;

    fn name(_: &ts_rs::Config) -> String {
        "unknown".to_owned()
    }

    fn inline(config: &ts_rs::Config) -> String {
        Self::name(config)
    }
}

impl StreamItem {
    /// Returns the final item, which ends the stream: the client receives it as the return value of the iterator, like that of
    /// a JavaScript generator. Later items are not sent.
    #[must_use]
    pub fn result<T: Serialize + ?Sized>(value: &T) -> Self {
        Self { data: serialize(value), meta: EventMeta::default(), is_last: true }
    }

    /// Sets the item's meta: an id to resume from, a retry delay, and comments. Invalid meta (see [`EventMeta`]) ends the
    /// stream with INTERNAL_SERVER_ERROR; the log states the member and its limit.
    #[must_use]
    pub fn meta(mut self, meta: EventMeta) -> Self {
        self.meta = meta;
        self
    }

    fn serialized(self) -> Result<Item> {
        let data = self.data.map_err(|error| Error::from(error).message(INVALID_OUTPUT))?;
        let meta = self.meta.checked().map_err(|error| Error::from(error).message(INVALID_OUTPUT))?;
        Ok(Item { data, meta, is_last: self.is_last })
    }
}
