//! The calls that are running, per socket.

use futures_util::future::{AbortHandle, AbortRegistration};
use std::collections::BTreeMap;

/// The calls that are running. Dropping a handle's future is what cancels a call.
#[derive(Default)]
pub(super) struct Calls(BTreeMap<u32, BTreeMap<String, AbortHandle>>);

/// Why a call cannot start.
pub(super) enum Rejected {
    /// As many calls as one socket may have are running.
    TooMany,
    /// A call of this id is running.
    DuplicateId,
}

impl Calls {
    /// Notes a call of the socket with this key.
    pub(super) fn start(&mut self, socket: u32, id: &str, limit: usize) -> Result<AbortRegistration, Rejected> {
        let calls = self.0.entry(socket).or_default();
        if calls.contains_key(id) {
            return Err(Rejected::DuplicateId);
        }
        if calls.len() >= limit {
            return Err(Rejected::TooMany);
        }
        let (handle, registration) = AbortHandle::new_pair();
        calls.insert(id.to_owned(), handle);
        Ok(registration)
    }

    /// A call has ended by itself.
    pub(super) fn finish(&mut self, socket: u32, id: &str) {
        if let Some(calls) = self.0.get_mut(&socket) {
            calls.remove(id);
            if calls.is_empty() {
                self.0.remove(&socket);
            }
        }
    }

    /// The client has aborted a call. Answers whether there was one.
    pub(super) fn abort(&mut self, socket: u32, id: &str) -> bool {
        let handle = self.0.get(&socket).and_then(|calls| calls.get(id));
        handle.map(AbortHandle::abort).is_some()
    }

    /// The socket has closed.
    pub(super) fn abort_all(&mut self, socket: u32) {
        for handle in self.0.remove(&socket).into_iter().flat_map(BTreeMap::into_values) {
            handle.abort();
        }
    }
}
