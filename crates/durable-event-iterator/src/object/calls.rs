//! The calls that are running, per socket.

use crate::procedure::UploadSender;
use futures_util::future::{AbortHandle, AbortRegistration};
use std::collections::BTreeMap;

/// The calls that are running. Dropping a handle's future is what cancels a call.
#[derive(Default)]
pub(super) struct Calls(BTreeMap<u32, BTreeMap<String, Running>>);

struct Running {
    handle: AbortHandle,
    /// Where the items of the client's stream go, when its input is one.
    upload: Option<UploadSender>,
}

/// As many calls as one socket may have are running.
pub(super) struct TooMany;

impl Calls {
    /// Whether a call of this id is running.
    pub(super) fn is_running(&self, socket: u32, id: &str) -> bool {
        self.0.get(&socket).is_some_and(|calls| calls.contains_key(id))
    }

    /// Notes a call of the socket with this key.
    pub(super) fn start(
        &mut self,
        socket: u32,
        id: &str,
        upload: Option<UploadSender>,
        limit: usize,
    ) -> Result<AbortRegistration, TooMany> {
        let calls = self.0.entry(socket).or_default();
        if calls.len() >= limit {
            return Err(TooMany);
        }
        let (handle, registration) = AbortHandle::new_pair();
        calls.insert(id.to_owned(), Running { handle, upload });
        Ok(registration)
    }

    /// A call has ended.
    pub(super) fn finish(&mut self, socket: u32, id: &str) {
        if let Some(calls) = self.0.get_mut(&socket) {
            calls.remove(id);
            if calls.is_empty() {
                self.0.remove(&socket);
            }
        }
    }

    /// Where the items of the client's stream for this call go, until the stream has ended.
    pub(super) fn upload(&self, socket: u32, id: &str) -> Option<&UploadSender> {
        self.0.get(&socket)?.get(id)?.upload.as_ref()
    }

    /// The client's stream for this call has ended.
    pub(super) fn end_upload(&mut self, socket: u32, id: &str) {
        if let Some(call) = self.0.get_mut(&socket).and_then(|calls| calls.get_mut(id)) {
            call.upload = None;
        }
    }

    /// The client has aborted a call, if there is one.
    pub(super) fn abort(&mut self, socket: u32, id: &str) {
        if let Some(call) = self.0.get(&socket).and_then(|calls| calls.get(id)) {
            call.handle.abort();
        }
    }

    /// The socket has closed.
    pub(super) fn abort_all(&mut self, socket: u32) {
        for call in self.0.remove(&socket).into_iter().flat_map(BTreeMap::into_values) {
            call.handle.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_than_the_limit_is_refused_until_one_ends() {
        let mut calls = Calls::default();
        for id in ["a", "b"] {
            assert!(calls.start(1, id, None, 2).is_ok());
        }
        assert!(calls.start(1, "c", None, 2).is_err());
        assert!(calls.start(2, "c", None, 2).is_ok(), "another socket has places of its own");
        calls.finish(1, "a");
        assert!(calls.start(1, "c", None, 2).is_ok());
        assert!(!calls.is_running(1, "a") && calls.is_running(1, "b") && calls.is_running(1, "c"));
    }

    #[test]
    fn an_abort_is_of_one_call_and_a_close_of_all_of_a_socket() {
        let mut calls = Calls::default();
        let mut handles = Vec::new();
        for (socket, id) in [(1, "a"), (1, "b"), (2, "a")] {
            handles.extend(calls.start(socket, id, None, 9).ok().map(|registration| registration.handle()));
        }
        let aborted =
            |handles: &[AbortHandle]| handles.iter().map(AbortHandle::is_aborted).collect::<Vec<_>>();
        calls.abort(1, "a");
        calls.abort(3, "a");
        assert_eq!(aborted(&handles), [true, false, false]);
        calls.abort_all(1);
        assert_eq!(aborted(&handles), [true, true, false]);
        assert!(!calls.is_running(1, "b") && calls.is_running(2, "a"));
    }
}
