//! The audience of an event.

mod rule;

pub(crate) use self::rule::AudienceRule;

use crate::{runtime::RawSocket, socket::Socket};
use std::fmt;

/// The audience of an event: everyone, unless it is restricted. There are three kinds of restrictions:
///
/// - **Connections**, with [`to`](Self::to), [`to_connections`](Self::to_connections), [`to_socket`](Self::to_socket) and
///   [`to_sockets`](Self::to_sockets): clients that match at least one of them.
/// - **Tags**, with [`tagged`](Self::tagged) and [`tagged_any`](Self::tagged_any): clients with at least one of the tags.
/// - **Exclusions**, with [`except`](Self::except), [`except_sockets`](Self::except_sockets) and
///   [`except_connection`](Self::except_connection): these clients do not receive the event.
///
/// With several kinds, a client must satisfy all of them. An empty list of connections or tags addresses nobody, not everyone.
///
/// ```
/// use durable_event_iterator::{Audience, Channel, Published, Result, Socket};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Move {
///     by: String,
/// }
///
/// // The clients with the connection ids "anna" and "bert", if their token is tagged "player".
/// fn to_players(channel: &Channel<Move>, event: &Move) -> Result<Published> {
///     channel.publish_with(event, Audience::everyone().to("anna").to("bert").tagged("player"))
/// }
///
/// // All clients except the one that made the move.
/// fn moved(channel: &Channel<Move>, by: &Socket, event: &Move) -> Result<Published> {
///     channel.publish_with(event, Audience::everyone().except(by))
/// }
///
/// // The connected clients without tags.
/// fn hint(channel: &Channel<Move>, event: &Move) -> Result<Published> {
///     let beginners = channel.sockets_where(|socket| socket.tags().is_ok_and(|tags| tags.is_empty()))?;
///     channel.publish_with(event, Audience::everyone().to_sockets(&beginners))
/// }
/// ```
///
/// # Replay
///
/// The audience is stored with the event, as connection ids and tags, and applies to replays too. A socket stands for its
/// client's connection id, which the client keeps when it reconnects on another socket.
///
/// For a socket without a connection id (of an unmodified `DurableEventIterator` client), restrictions apply to the live event only.
/// An event addressed to such a socket is sent if its subscription is live, and never replayed. An event that excludes it is
/// not sent to it, but its client receives the event in a replay.
///
/// Connection ids count towards the event's size: about 50,000 ids of 36 characters fit into one event.
#[derive(Clone, Default)]
pub struct Audience {
    pub(crate) rule: AudienceRule,
    /// Addressed sockets without a connection id. They are not stored.
    pub(crate) chosen: Vec<RawSocket>,
    /// Excluded sockets without a connection id. They are not stored.
    pub(crate) except: Vec<RawSocket>,
}

impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rule.fmt(f)
    }
}

impl Audience {
    /// Returns the audience of all connected clients and of clients that reconnect within retention.
    #[must_use]
    pub fn everyone() -> Self {
        Self::default()
    }

    pub(crate) fn from_rule(rule: AudienceRule) -> Self {
        Self { rule, ..Self::default() }
    }

    /// Whether the audience has no restrictions, neither live nor on replay.
    pub(crate) fn is_everyone(&self) -> bool {
        self.rule == AudienceRule::everyone() && self.except.is_empty()
    }

    /// Restricts the event to the client with this connection id, and to other recipients that are added to the audience. For
    /// several ids see [`to_connections`](Self::to_connections).
    #[must_use]
    pub fn to(self, connection_id: impl Into<String>) -> Self {
        self.to_connections([connection_id])
    }

    /// Restricts the event to the clients with these connection ids, and to other recipients that are added to the audience.
    /// Without any recipient, nobody receives the event.
    #[must_use]
    pub fn to_connections<C: Into<String>>(mut self, connection_ids: impl IntoIterator<Item = C>) -> Self {
        self.rule = self.rule.only_to(connection_ids);
        self
    }

    /// Restricts the event to the client of this socket, and to other recipients that are added to the audience.
    #[must_use]
    pub fn to_socket<T, S>(self, socket: &Socket<T, S>) -> Self {
        self.to_sockets([socket])
    }

    /// Restricts the event to the clients of these sockets, and to other recipients that are added to the audience. Without any
    /// recipient, nobody receives the event.
    #[must_use]
    pub fn to_sockets<'s, T: 's, S: 's>(
        mut self,
        sockets: impl IntoIterator<Item = &'s Socket<T, S>>,
    ) -> Self {
        let mut ids = Vec::new();
        for socket in sockets {
            match socket.connection_id() {
                Some(id) => ids.push(id),
                None => self.chosen.push(socket.raw().clone()),
            }
        }
        self.to_connections(ids)
    }

    /// Restricts the event to clients whose token has this tag, or another tag that is added to the audience.
    #[must_use]
    pub fn tagged(self, tag: impl Into<String>) -> Self {
        self.tagged_any([tag])
    }

    /// Restricts the event to clients whose token has one of these tags, or another tag that is added to the audience. Without
    /// any tag, nobody receives the event.
    #[must_use]
    pub fn tagged_any<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.rule = self.rule.only_tagged(tags);
        self
    }

    /// Excludes the client of this socket.
    #[must_use]
    pub fn except<T, S>(self, socket: &Socket<T, S>) -> Self {
        self.except_sockets([socket])
    }

    /// Excludes the clients of these sockets.
    #[must_use]
    pub fn except_sockets<'s, T: 's, S: 's>(
        mut self,
        sockets: impl IntoIterator<Item = &'s Socket<T, S>>,
    ) -> Self {
        let mut ids = Vec::new();
        for socket in sockets {
            match socket.connection_id() {
                Some(id) => ids.push(id),
                None => self.except.push(socket.raw().clone()),
            }
        }
        self.rule = self.rule.except(ids);
        self
    }

    /// Excludes the client with this connection id.
    #[must_use]
    pub fn except_connection(mut self, connection_id: impl Into<String>) -> Self {
        self.rule = self.rule.except([connection_id]);
        self
    }
}
