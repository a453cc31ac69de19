//! Disconnecting clients.

use super::{Audience, Channel, ChannelCore, presence};
use crate::{
    error::Result,
    runtime::RawSocket,
    socket::{close_code, session::Session, truncated_reason},
};
use std::collections::BTreeSet;

impl<E, T, S> Channel<E, T, S> {
    /// Closes the sockets of the connected clients in an [`Audience`], and returns their number. `reason` is truncated to 123 bytes.
    ///
    /// The effect is immediate: when it returns, nothing more is sent to these clients, none of their messages is handled, and their
    /// running calls are aborted. A call that disconnects its own client ends when it next waits. A client whose token is still valid may
    /// connect again and resume, and most clients do so by themselves: see [`Channel::revoke`]. The close code is 4001.
    ///
    /// Subscribers of oRPC's publisher are not disconnected: they are Workers.
    ///
    /// ```
    /// use durable_event_iterator::{Audience, Channel, Result};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Message {
    ///     text: String,
    /// }
    ///
    /// fn close_the_room(room: &Channel<Message>, host: &str) -> Result<usize> {
    ///     room.disconnect(&Audience::everyone().except_connection(host), "The room closes")
    /// }
    /// ```
    ///
    /// # Errors
    /// An error of the Workers runtime while listing the sockets. No socket was closed.
    pub fn disconnect(&self, audience: &Audience, reason: &str) -> Result<usize> {
        self.core.disconnect(audience, reason)
    }
}

impl ChannelCore {
    pub(crate) fn disconnect(&self, audience: &Audience, reason: &str) -> Result<usize> {
        let ids = |sockets: &[RawSocket]| -> BTreeSet<u32> {
            sockets.iter().filter_map(|socket| socket.id().ok()).collect()
        };
        let (chosen, except) = (ids(&audience.chosen), ids(&audience.except));
        let clients = self.of_clients(|raw, Session { connection, claims, .. }| {
            let is_in = |sockets: &BTreeSet<u32>| raw.id().is_ok_and(|id| sockets.contains(&id));
            let is_chosen = is_in(&chosen);
            let is_admitted = || audience.rule.admits(connection.as_deref(), &claims.tags, is_chosen);
            (!is_in(&except) && is_admitted()).then_some(raw)
        })?;
        self.close_clients(&clients, close_code::DISCONNECTED, reason);
        Ok(clients.len())
    }

    /// Closes sockets, and ends their subscriptions and calls.
    pub(super) fn close_clients(&self, clients: &[RawSocket], code: u16, reason: &str) {
        let reason = truncated_reason(reason);
        self.counters.count_many(clients.len() as u64, |counters| &counters.disconnected);
        clients.iter().for_each(|raw| self.close_client(raw, code, reason));
        presence::settle(self);
        // At last, since it may run code of the application.
        if let Some(abort_calls) = self.abort_calls.get() {
            clients.iter().for_each(abort_calls);
        }
    }

    /// Closes a socket, and ends its subscription. Call [`presence::settle`] afterwards.
    ///
    /// The client may never answer the close frame: it is no member from now on, and no event closes its socket again.
    pub(super) fn close_client(&self, raw: &RawSocket, code: u16, reason: &str) {
        // An error, here and below, means that the socket has closed.
        if let Ok(session) = self.sessions.read(raw)
            && (session.subscription.is_some() || session.unfinished.is_some() || session.is_present())
        {
            let mut ended = Session::clone(&session);
            presence::departing(self, raw, &mut ended);
            // Ends a replay that waits, and removes the subscription from the fan-out.
            (ended.subscription, ended.unfinished, ended.is_parked) = (None, None, false);
            let _ = self.sessions.write(raw, ended);
        }
        let _ = raw.close(code, reason);
    }
}
