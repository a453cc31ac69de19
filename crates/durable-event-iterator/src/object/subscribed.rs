//! A client that has just subscribed.

use super::{DurableEventIteratorObject, SocketOf};
use crate::{
    channel::subscription,
    channel::{ChannelCore, IsChannel, event_body},
    error::Result,
    runtime::RawSocket,
};
use durable_event_log::EventId;
use std::{borrow::Borrow, fmt, rc::Rc};

/// A client that has just subscribed, see
/// [`DurableEventIteratorObject::on_subscribed`](crate::DurableEventIteratorObject::on_subscribed).
#[non_exhaustive]
pub struct Subscribed<O: DurableEventIteratorObject> {
    /// Who it is.
    pub socket: SocketOf<O>,
    /// The id of the last event that it has seen, as it says. None: it has seen none.
    pub last_event_id: Option<String>,
    /// Something that it missed is no longer there: the id from which on every event is. The client has been told so too.
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

    /// Whether it has had its snapshot, and every event since: what it holds is up to date. Otherwise it begins now, or has a
    /// gap, and needs the state anew.
    ///
    /// Never without [`Options::begin_with_snapshot`](crate::Options::begin_with_snapshot): a client whose connection breaks
    /// between an event that is replayed to it and its snapshot has a place, and no snapshot.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.core.options.begins_with_snapshot && self.last_event_id.is_some() && self.gap.is_none()
    }

    /// Sends this client the state that the events to come build on, in one event or several. They are not stored, and
    /// nobody else gets them.
    ///
    /// The last of them carries a position: that of the newest event of the channel. What the state says includes that event,
    /// so a client that loses its connection afterwards resumes from there, without a gap and without a second snapshot
    /// ([`Subscribed::is_resumed`]). The others carry none, so that a client that loses its connection in the middle of a
    /// snapshot is not taken for one that has it all: it gets the snapshot again, from the first event on, which it must be able
    /// to tell from the others. Hence: the whole snapshot in one call, and no other one after it.
    /// (While a channel has never had an event, there is no position: who comes back then gets the snapshot again.)
    ///
    /// # Errors
    /// [`Error::is_event_not_an_object`](crate::Error::is_event_not_an_object) and
    /// [`Error::is_not_serializable`](crate::Error::is_not_serializable): then nothing is sent. A socket that has closed is no
    /// error.
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
