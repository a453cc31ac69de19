//! Who an event is for, as publishers say it.

mod rule;

pub(crate) use self::rule::AudienceRule;

use crate::{runtime::RawSocket, socket::Socket};
use std::fmt;

/// Who an event is for: everyone, unless restricted. Restrictions add up:
///
/// - **Named**: by [`to`](Self::to), [`to_socket`](Self::to_socket) and their like. With several of these, one that fits is
///   enough.
/// - **Tagged**: by [`tagged`](Self::tagged). With several, one is enough.
/// - **Excepted**: by [`except`](Self::except) and its like. It wins over everything.
///
/// An event that names and tags is for those who are named *and* carry a tag. A list that turns out to be empty is nobody,
/// not everyone.
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
/// // The clients that connected as "anna" or "bert", unless their token is not tagged "player".
/// fn tell(channel: &Channel<Move>, event: &Move) -> Result<Published> {
///     channel.publish_with(event, Audience::everyone().to("anna").to("bert").tagged("player"))
/// }
///
/// // Everyone but who has made the move.
/// fn moved(channel: &Channel<Move>, by: &Socket, event: &Move) -> Result<Published> {
///     channel.publish_with(event, Audience::everyone().except(by))
/// }
///
/// // Those of whom something is true now.
/// fn hint(channel: &Channel<Move>, event: &Move) -> Result<Published> {
///     let beginners = channel.sockets_where(|socket| socket.tags().is_ok_and(|tags| tags.is_empty()))?;
///     channel.publish_with(event, Audience::everyone().to_sockets(&beginners))
/// }
/// ```
///
/// # What lasts
///
/// The audience is stored with the event, in terms that outlive a socket: connection ids and tags. A replay honours it, so an
/// event that is not for somebody does not reach them by reconnecting either. Naming a socket names the client behind it, by
/// its connection id: also when it has come back on another socket.
///
/// A socket without a connection id (of a stock client of generation 1) takes part live only. An event that names it is sent
/// to it if its subscription is live, and never replayed to it; an event that excepts it is not sent to it, but is part of
/// what its client reads when it subscribes anew.
///
/// The ids count towards the event's size: of 36 characters each, about 50,000 fit.
#[derive(Clone, Default)]
pub struct Audience {
    pub(crate) rule: AudienceRule,
    /// Named live: sockets that have no id to be named by.
    pub(crate) chosen: Vec<RawSocket>,
    /// Left out live, for the same reason.
    pub(crate) except: Vec<RawSocket>,
}

impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rule.fmt(f)
    }
}

impl Audience {
    /// Everyone who is connected, or comes back within retention.
    #[must_use]
    pub fn everyone() -> Self {
        Self::default()
    }

    pub(crate) fn from_rule(rule: AudienceRule) -> Self {
        Self { rule, ..Self::default() }
    }

    /// Whether it is everyone, now and later.
    pub(crate) fn is_everyone(&self) -> bool {
        self.rule == AudienceRule::everyone() && self.except.is_empty()
    }

    /// Only the client with this connection id, or another one that is named. For many see
    /// [`to_connections`](Self::to_connections).
    #[must_use]
    pub fn to(self, connection_id: impl Into<String>) -> Self {
        self.to_connections([connection_id])
    }

    /// Only the clients with these connection ids, or another one that is named. With none: nobody.
    #[must_use]
    pub fn to_connections<C: Into<String>>(mut self, connection_ids: impl IntoIterator<Item = C>) -> Self {
        self.rule = self.rule.only_to(connection_ids);
        self
    }

    /// Only the client behind this socket, or another one that is named.
    #[must_use]
    pub fn to_socket<T, S>(self, socket: &Socket<T, S>) -> Self {
        self.to_sockets([socket])
    }

    /// Only the clients behind these sockets, or another one that is named. With none: nobody.
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

    /// Only clients whose token has this tag, or another one of several.
    #[must_use]
    pub fn tagged(self, tag: impl Into<String>) -> Self {
        self.tagged_any([tag])
    }

    /// Only clients whose token has one of these tags, or another one of several. With none: nobody.
    #[must_use]
    pub fn tagged_any<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.rule = self.rule.only_tagged(tags);
        self
    }

    /// Not the client behind this socket.
    #[must_use]
    pub fn except<T, S>(self, socket: &Socket<T, S>) -> Self {
        self.except_sockets([socket])
    }

    /// Not the clients behind these sockets.
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

    /// Not the client with this connection id.
    #[must_use]
    pub fn except_connection(mut self, connection_id: impl Into<String>) -> Self {
        self.rule = self.rule.except([connection_id]);
        self
    }
}
