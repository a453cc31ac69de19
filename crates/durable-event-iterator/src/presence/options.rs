//! The options of presence.

use std::{borrow::Cow, time::Duration};

/// Longer than a reconnect after a lost connection takes, and short enough that a member who has left does not seem to be present.
const GRACE: Duration = Duration::from_secs(10);

/// The Durable Object does not hibernate during a grace period.
pub(crate) const MAX_GRACE: Duration = Duration::from_secs(3_600);

/// Turns on presence, and states who is a member. See [`Options::presence`](crate::Options::presence).
///
/// ```
/// use durable_event_iterator::{Options, Presence};
/// use std::time::Duration;
///
/// let options = Options::default().presence(Presence::by_subject().grace(Duration::from_secs(20)));
/// assert!(options.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    pub(crate) key: MemberKey,
    pub(crate) grace: Duration,
}

/// What the sockets of a member have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MemberKey {
    Connection,
    Subject,
    /// A member of the token's attachment.
    Attachment(Cow<'static, str>),
}

impl MemberKey {
    /// Whether no attachment can contain it.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Attachment(property) if property.is_empty())
    }
}

impl Presence {
    fn by(key: MemberKey) -> Self {
        Self { key, grace: GRACE }
    }

    /// Makes each connection id a member: usually a tab or a device.
    ///
    /// The member id is a digest of the connection id, since a client that connects with another client's connection id receives the
    /// events for it.
    #[must_use]
    pub fn by_connection() -> Self {
        Self::by(MemberKey::Connection)
    }

    /// Makes each [subject](crate::Claims::subject) of a token a member: usually a user, with any number of sockets. The member id
    /// is the subject.
    #[must_use]
    pub fn by_subject() -> Self {
        Self::by(MemberKey::Subject)
    }

    /// Makes each value of this property of the token attachment a member. The member id is the value, a text or an integer.
    ///
    /// Use it if tokens have no subject: `Presence::by_attachment("userId")` for the attachment `{"userId":"anna"}`.
    #[must_use]
    pub fn by_attachment(property: impl Into<Cow<'static, str>>) -> Self {
        Self::by(MemberKey::Attachment(property.into()))
    }

    /// Sets the grace period: how long a member without a subscription stays present, so that a reconnect causes no events. Default:
    /// 10 s, at most one hour. The Durable Object does not hibernate meanwhile.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    pub(crate) fn grace_ms(&self) -> u64 {
        u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX)
    }
}
