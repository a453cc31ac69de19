//! The calls that are running, per socket.

use crate::{by_socket::BySocket, procedure::UploadSender};
use futures_util::future::AbortHandle;

/// The calls that are running. Dropping a handle's future is what cancels a call.
#[derive(Default)]
pub(crate) struct Calls(BySocket<Vec<(String, Running)>>);

/// A call that waits for something.
pub(crate) struct Running {
    pub(crate) handle: AbortHandle,
    /// Where the items of the client's stream go, when its input is one.
    pub(crate) upload: Option<UploadSender>,
}

impl Calls {
    /// How many calls of a socket are running.
    pub(crate) fn running(&self, socket: u32) -> usize {
        self.0.get(socket).map_or(0, Vec::len)
    }

    /// Whether a call of this id is running.
    pub(crate) fn is_running(&self, socket: u32, id: &str) -> bool {
        self.get(socket, id).is_some()
    }

    /// Notes a call of the socket with this key.
    pub(crate) fn start(&mut self, socket: u32, id: &str, call: Running) {
        let call = (id.to_owned(), call);
        match self.0.get_mut(socket) {
            Some(calls) => calls.push(call),
            None => self.0.set(socket, vec![call]),
        }
    }

    /// A call has ended.
    pub(crate) fn finish(&mut self, socket: u32, id: &str) {
        if let Some(calls) = self.0.get_mut(socket) {
            calls.retain(|(other, _)| other != id);
            if calls.is_empty() {
                self.0.remove(socket);
            }
        }
    }

    /// Where the items of the client's stream for this call go, until the stream has ended.
    pub(crate) fn upload(&self, socket: u32, id: &str) -> Option<&UploadSender> {
        self.get(socket, id)?.upload.as_ref()
    }

    /// The client's stream for this call has ended.
    pub(crate) fn end_upload(&mut self, socket: u32, id: &str) {
        let calls = self.0.get_mut(socket).into_iter().flatten();
        for (_, call) in calls.filter(|(other, _)| other == id) {
            call.upload = None;
        }
    }

    /// The client has aborted a call, if there is one.
    pub(crate) fn abort(&mut self, socket: u32, id: &str) {
        if let Some(call) = self.get(socket, id) {
            call.handle.abort();
        }
    }

    /// The socket has closed.
    pub(crate) fn abort_all(&mut self, socket: u32) {
        for (_, call) in self.0.remove(socket).into_iter().flatten() {
            call.handle.abort();
        }
    }

    fn get(&self, socket: u32, id: &str) -> Option<&Running> {
        self.0.get(socket)?.iter().find(|(other, _)| other == id).map(|(_, call)| call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> (Running, AbortHandle) {
        let (handle, _) = AbortHandle::new_pair();
        (Running { handle: handle.clone(), upload: None }, handle)
    }

    #[test]
    fn calls_are_counted_by_socket_until_they_end() {
        let mut calls = Calls::default();
        for (socket, id) in [(1, "a"), (1, "b"), (2, "c")] {
            calls.start(socket, id, running().0);
        }
        assert_eq!([1, 2, 3].map(|socket| calls.running(socket)), [2, 1, 0]);
        calls.finish(1, "a");
        assert_eq!(calls.running(1), 1);
        assert!(!calls.is_running(1, "a") && calls.is_running(1, "b") && !calls.is_running(1, "c"));
    }

    #[test]
    fn an_abort_is_of_one_call_and_a_close_of_all_of_a_socket() {
        let mut calls = Calls::default();
        let mut handles = Vec::new();
        for (socket, id) in [(1, "a"), (1, "b"), (2, "a")] {
            let (call, handle) = running();
            calls.start(socket, id, call);
            handles.push(handle);
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
