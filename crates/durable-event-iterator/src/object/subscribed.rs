//! The client of a new subscription.

use super::{DurableEventIteratorObject, SocketOf};
use crate::{
    channel::subscription,
    channel::{ChannelCore, IsChannel, event_body},
    error::Result,
    runtime::RawSocket,
};
use durable_event_log::EventId;
use std::{borrow::Borrow, fmt, rc::Rc};

/// The client of a new subscription, passed to
/// [`DurableEventIteratorObject::on_subscribed`](crate::DurableEventIteratorObject::on_subscribed).
#[non_exhaustive]
pub struct Subscribed<O: DurableEventIteratorObject> {
    /// The client's socket.
    pub socket: SocketOf<O>,
    /// The client's cursor: the id of the last event that it received, unverified. `None` if the client has no cursor.
    pub last_event_id: Option<String>,
    /// The id of the first event after a gap, if some missed events are no longer retained. The client has received a gap
    /// notification.
    pub gap: Option<EventId>,
    core: Rc<ChannelCore>,
    raw: RawSocket,
}

impl<O: DurableEventIteratorObject> Subscribed<O> {
    pub(super) fn new(
        core: Rc<ChannelCore>,
        socket: SocketOf<O>,
        raw: RawSocket,
        last_event_id: Option<String>,
        gap: Option<EventId>,
    ) -> Self {
        Self { socket, last_event_id, gap, core, raw }
    }

    /// Returns whether the client has received a snapshot and every event since, so that it needs no new snapshot.
    ///
    /// Returns `false` for a client that starts without a cursor or has a gap: send it a snapshot.
    ///
    /// Always `false` without [`Options::begin_with_snapshot`](crate::Options::begin_with_snapshot): a client that disconnects
    /// after a replayed event and before its snapshot has a cursor, but no snapshot.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.core.options.begins_with_snapshot && self.last_event_id.is_some() && self.gap.is_none()
    }

    /// Sends a snapshot of the state to this client only, as one event or several. The events are not stored.
    ///
    /// Send the whole snapshot in one call, and call it at most once per subscription. The client must be able to recognise
    /// the first event of a snapshot, at which it discards its state.
    ///
    /// The last event of the snapshot carries a cursor: the id of the channel's newest event, which the state includes. A client
    /// that disconnects afterwards resumes from there, without a gap and without a second snapshot
    /// ([`Subscribed::is_resumed`]). The other events carry no cursor, so a client that disconnects during a snapshot receives it
    /// again from the beginning. In a channel without any events yet there is no cursor, and a reconnecting client receives the
    /// snapshot again.
    ///
    /// # Errors
    /// Nothing is sent if an event does not serialize to an object or array
    /// ([`Error::is_event_not_an_object`](crate::Error::is_event_not_an_object)), or not at all
    /// ([`Error::is_not_serializable`](crate::Error::is_not_serializable)). A closed socket is not an error.
    pub fn send_snapshot<E>(&self, events: impl IntoIterator<Item = E>) -> Result<()>
    where
        E: Borrow<<O::Channel as IsChannel>::Event>,
    {
        let bodies =
            events.into_iter().map(|event| event_body(event.borrow())).collect::<Result<Vec<_>>>()?;
        subscription::send_snapshot(&self.core, &self.raw, bodies)
    }
}

impl<O: DurableEventIteratorObject> fmt::Debug for Subscribed<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribed")
            .field("last_event_id", &self.last_event_id)
            .field("gap", &self.gap)
            .finish_non_exhaustive()
    }
}
