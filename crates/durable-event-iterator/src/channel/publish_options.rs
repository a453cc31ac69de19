//! The options of a publish: audience, meta and idempotency key.

use super::Audience;
use crate::error::PublishError;
use durable_event_log::EventId;
use durable_event_wire::{CheckedMeta, EventMeta};
use serde::Serialize;
use std::time::Duration;

/// The options of a publish: audience, retry delay, comments, idempotency key. All are optional.
///
/// [`Channel::publish_with`](crate::Channel::publish_with), [`Transaction::publish_with`](crate::Transaction::publish_with) and
/// [`ChannelStub::publish_with`](crate::ChannelStub::publish_with) take them. An [`Audience`] alone converts into options.
///
/// ```
/// use durable_event_iterator::{Audience, Channel, PublishOptions, Published, Result, Value};
///
/// fn paid(channel: &Channel<Value>, event: Value, order: u32) -> Result<Published> {
///     let staff = Audience::everyone().tagged("staff");
///     let options = PublishOptions::new().to(staff).idempotency_key(format!("paid-{order}"));
///     channel.publish_with(&event, options)
/// }
/// ```
///
/// In JavaScript, options are the second argument of `stub.publish`: `{ to, tags, except, retry, comments, idempotencyKey }`.
#[derive(Debug, Clone, Default)]
pub struct PublishOptions {
    pub(crate) audience: Audience,
    pub(crate) retry: Option<Duration>,
    pub(crate) comments: Vec<String>,
    pub(crate) idempotency_key: Option<String>,
}

/// The result of a publish. In JavaScript, `stub.publish` returns it as `{ id: string, duplicate: boolean }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[non_exhaustive]
pub struct Published {
    /// The id of the event. For a duplicate, the id of the event that was published first.
    pub id: EventId,
    /// Whether the event is a duplicate: an event with the same idempotency key was published before, and this event was
    /// neither stored nor sent.
    #[serde(rename = "duplicate")]
    pub is_duplicate: bool,
}

impl PublishOptions {
    /// Returns the default options: to everyone, without meta or an idempotency key.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the audience. Default: everyone.
    #[must_use]
    pub fn to(mut self, audience: Audience) -> Self {
        self.audience = audience;
        self
    }

    /// Sets the delay after which a disconnected client reconnects: at most 2,147,483,647 ms, rounded up to whole milliseconds.
    /// With a longer delay, publishing fails with [`Error::is_invalid_meta`](crate::Error::is_invalid_meta).
    #[must_use]
    pub fn retry(mut self, delay: Duration) -> Self {
        self.retry = Some(delay);
        self
    }

    /// Adds a comment, which is sent with the event. A text of several lines is sent as several comments.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comments.push(comment.into());
        self
    }

    /// Makes the publish idempotent: repeated publishes with the same idempotency key within the window publish once.
    ///
    /// The window is [`Options::idempotency_window`](crate::Options::idempotency_window), 300 s by default. A repeated publish
    /// stores and sends nothing, and returns the id of the first event as a [duplicate](Published::is_duplicate): also after
    /// hibernation or a restart, and also if the event differs.
    ///
    /// The key must be 1–255 visible ASCII characters; otherwise publishing fails with
    /// [`Error::is_invalid_key`](crate::Error::is_invalid_key). Each channel has its own keys. A key costs one additional row
    /// written.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    pub(crate) fn meta(&self) -> Result<CheckedMeta, PublishError> {
        let Self { retry, comments, .. } = self;
        let meta = EventMeta { retry: retry.map(milliseconds), comments: comments.clone(), id: None };
        meta.checked().map_err(PublishError::InvalidMeta)
    }
}

/// Returns whole milliseconds, rounded up. A delay above `u32::MAX` becomes `u32::MAX`, which is above the limit too.
pub(crate) fn milliseconds(delay: Duration) -> u32 {
    u32::try_from(delay.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

impl From<Audience> for PublishOptions {
    fn from(audience: Audience) -> Self {
        Self::new().to(audience)
    }
}
