//! The running calls of each socket, and their memory limits.

use crate::{
    channel::options::Options,
    error::{Code, Error, Result},
    procedure::{Held, UploadSender},
};
use futures_util::future::AbortHandle;
use std::{cell::Cell, collections::BTreeMap, rc::Rc};

/// Estimated size of a running call besides its input, in bytes: its future, its promise, and the application's state.
const CALL_BYTES: usize = 2 * 1024;

/// Maximum memory of a socket's calls, in bytes, for using the reserved quarter of the limit for all calls. The reserve prevents
/// a few sockets with large calls from blocking all other sockets.
const FEW_BYTES: usize = 64 * 1024;
const RESERVED_SHARE: usize = 4;

/// The running calls. Dropping the future of a call cancels it.
pub(crate) struct Calls {
    running: BTreeMap<u32, Vec<(String, Running)>>,
    /// Memory of all calls, in bytes.
    total: Rc<Cell<usize>>,
    max_bytes: usize,
    max_total_bytes: usize,
    /// The socket of the call that is in its first turn, and is not recorded yet.
    beginning: Option<(u32, AbortHandle)>,
}

/// A call that has not completed in the turn of the event loop in which it began.
pub(crate) struct Running {
    pub(crate) handle: AbortHandle,
    /// The receiver of the items of streaming input.
    pub(crate) upload: Option<UploadSender>,
    /// The memory of the call.
    pub(crate) held: Rc<Held>,
    /// Tells the code that runs an external call about its abort.
    pub(crate) on_abort: Option<Rc<dyn Fn()>>,
}

/// An aborted external call. It must be notified after the calls are no longer borrowed, since it runs other code.
#[must_use]
pub(crate) struct Aborted(Rc<dyn Fn()>);

impl Aborted {
    pub(crate) fn tell(self) {
        (self.0)();
    }
}

impl Calls {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            running: BTreeMap::new(),
            total: Rc::default(),
            max_bytes: options.max_call_bytes,
            max_total_bytes: options.max_total_call_bytes,
            beginning: None,
        }
    }

    /// Returns the memory account of a new call, which is empty.
    pub(crate) fn holds_nothing(&self) -> Rc<Held> {
        Held::new(&self.total)
    }

    /// Reserves memory for a call's message and input, in bytes.
    ///
    /// # Errors
    /// As [`has_room`](Self::has_room).
    pub(crate) fn hold(&self, socket: u32, held: &Held, input: usize) -> Result<()> {
        let bytes = input.saturating_add(CALL_BYTES);
        self.has_room(socket, held, bytes)?;
        held.add(bytes);
        Ok(())
    }

    /// Checks that a call may hold this many more bytes.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` if the call alone would exceed a limit; `TOO_MANY_REQUESTS` if all calls of its socket, or of the
    /// Durable Object, would exceed it together.
    fn has_room(&self, socket: u32, held: &Held, bytes: usize) -> Result<()> {
        let limit = self.max_bytes.min(self.max_total_bytes);
        if held.bytes().saturating_add(bytes) > limit {
            let message = format!("The call takes more than {limit} bytes of memory.");
            return Err(Error::new(Code::PayloadTooLarge).message(message));
        }
        let running = self.running.get(&socket).into_iter().flatten();
        let of_socket = running.fold(bytes, |sum, (_, call)| sum.saturating_add(call.held.bytes()));
        let reserved = self.max_total_bytes.checked_div(RESERVED_SHARE).unwrap_or_default();
        let reserved = if of_socket <= FEW_BYTES { 0 } else { reserved };
        let max_total_bytes = self.max_total_bytes.saturating_sub(reserved);
        if of_socket > self.max_bytes || self.total.get().saturating_add(bytes) > max_total_bytes {
            return Err(Error::new(Code::TooManyRequests));
        }
        Ok(())
    }

    /// Checks that the streaming input of a running call may hold this many more bytes.
    ///
    /// # Errors
    /// As [`has_room`](Self::has_room).
    pub(crate) fn has_room_for_item(&self, socket: u32, id: &str, bytes: usize) -> Result<()> {
        self.get(socket, id).map_or(Ok(()), |call| self.has_room(socket, &call.held, bytes))
    }

    /// Returns the number of running calls of a socket.
    pub(crate) fn running(&self, socket: u32) -> usize {
        self.running.get(&socket).map_or(0, Vec::len)
    }

    /// Returns whether a call with this id is running.
    pub(crate) fn is_running(&self, socket: u32, id: &str) -> bool {
        self.get(socket, id).is_some()
    }

    /// Sets the call whose first turn begins. Most calls complete in it and are never added, but they may close their own socket.
    pub(crate) fn begin(&mut self, socket: u32, handle: &AbortHandle) {
        self.beginning = Some((socket, handle.clone()));
    }

    /// Ends the first turn of a call.
    pub(crate) fn has_begun(&mut self) {
        self.beginning = None;
    }

    /// Adds a running call.
    pub(crate) fn start(&mut self, socket: u32, id: &str, call: Running) {
        self.running.entry(socket).or_default().push((id.to_owned(), call));
    }

    /// Removes a call that has ended.
    pub(crate) fn finish(&mut self, socket: u32, id: &str) {
        if let Some(calls) = self.running.get_mut(&socket) {
            calls.retain(|(other, _)| other != id);
            if calls.is_empty() {
                self.running.remove(&socket);
            }
        }
    }

    /// Returns the receiver of the call's streaming input, until that has ended.
    pub(crate) fn upload(&self, socket: u32, id: &str) -> Option<&UploadSender> {
        self.get(socket, id)?.upload.as_ref()
    }

    /// Returns whether a call has streaming input that has not ended, and was not aborted.
    pub(crate) fn is_unread(&self, socket: u32, id: &str) -> bool {
        self.get(socket, id).is_some_and(|call| call.upload.is_some() && !call.handle.is_aborted())
    }

    /// Removes the receiver of streaming input that has ended.
    pub(crate) fn end_upload(&mut self, socket: u32, id: &str) {
        let calls = self.running.get_mut(&socket).into_iter().flatten();
        for (_, call) in calls.filter(|(other, _)| other == id) {
            call.upload = None;
        }
    }

    /// Aborts a call, if it is running. Returns it if it is external.
    pub(crate) fn abort(&mut self, socket: u32, id: &str) -> Option<Aborted> {
        let call = self.get(socket, id)?;
        call.handle.abort();
        call.on_abort.clone().map(Aborted)
    }

    /// Aborts all calls of a socket that has closed. Returns the external ones.
    pub(crate) fn abort_all(&mut self, socket: u32) -> Vec<Aborted> {
        if let Some((_, handle)) = self.beginning.as_ref().filter(|(of, _)| *of == socket) {
            handle.abort();
        }
        let calls = self.running.remove(&socket).into_iter().flatten();
        let aborted = calls.filter_map(|(_, call)| {
            call.handle.abort();
            call.on_abort.map(Aborted)
        });
        aborted.collect()
    }

    /// Sets what tells the code that runs an external call about its abort.
    pub(crate) fn on_abort(&mut self, socket: u32, id: &str, tell: Rc<dyn Fn()>) {
        let calls = self.running.get_mut(&socket).into_iter().flatten();
        if let Some((_, call)) = calls.into_iter().find(|(other, _)| other == id) {
            call.on_abort = Some(tell);
        }
    }

    fn get(&self, socket: u32, id: &str) -> Option<&Running> {
        self.running.get(&socket)?.iter().find(|(other, _)| other == id).map(|(_, call)| call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(calls: &Calls, input: usize) -> (Running, AbortHandle) {
        let (handle, _) = AbortHandle::new_pair();
        let held = calls.holds_nothing();
        held.add(input);
        (Running { handle: handle.clone(), upload: None, held, on_abort: None }, handle)
    }

    fn calls() -> Calls {
        Calls::new(&Options::default().max_call_bytes(400 * KIB).max_total_call_bytes(1_000 * KIB))
    }

    #[test]
    fn calls_are_counted_by_socket_until_they_end() {
        let mut calls = calls();
        for (socket, id) in [(1, "a"), (1, "b"), (2, "c")] {
            let call = running(&calls, 0).0;
            calls.start(socket, id, call);
        }
        assert_eq!([1, 2, 3].map(|socket| calls.running(socket)), [2, 1, 0]);
        calls.finish(1, "a");
        assert_eq!(calls.running(1), 1);
        assert!(!calls.is_running(1, "a") && calls.is_running(1, "b") && !calls.is_running(1, "c"));
    }

    #[test]
    fn an_abort_ends_one_call_and_a_close_ends_all_calls_of_the_socket() {
        let mut calls = calls();
        let mut handles = Vec::new();
        for (socket, id) in [(1, "a"), (1, "b"), (2, "a")] {
            let (call, handle) = running(&calls, 0);
            calls.start(socket, id, call);
            handles.push(handle);
        }
        let aborted =
            |handles: &[AbortHandle]| handles.iter().map(AbortHandle::is_aborted).collect::<Vec<_>>();
        assert!(calls.abort(1, "a").is_none());
        assert!(calls.abort(3, "a").is_none());
        assert_eq!(aborted(&handles), [true, false, false]);
        assert!(calls.abort_all(1).is_empty());
        assert_eq!(aborted(&handles), [true, true, false]);
        assert!(!calls.is_running(1, "b") && calls.is_running(2, "a"));
    }

    const KIB: usize = 1024;

    fn code(calls: &Calls, socket: u32, input: usize) -> Result<(), String> {
        let held = calls.holds_nothing();
        calls.hold(socket, &held, input).map_err(|error| error.code().to_owned())
    }

    #[test]
    fn the_memory_of_the_calls_of_a_socket_is_limited() {
        let mut calls = calls();
        let full = 400 * KIB - CALL_BYTES;
        assert_eq!(code(&calls, 1, full), Ok(()));
        assert_eq!(code(&calls, 1, full + 1), Err("PAYLOAD_TOO_LARGE".into()));
        for (id, input) in [("a", 300 * KIB), ("b", 90 * KIB)] {
            let call = running(&calls, input).0;
            calls.start(1, id, call);
        }
        assert_eq!(code(&calls, 1, 10 * KIB), Err("TOO_MANY_REQUESTS".into()));
        assert_eq!(code(&calls, 2, 300 * KIB), Ok(()));
        assert_eq!(code(&calls, 1, full + 1), Err("PAYLOAD_TOO_LARGE".into()));
        calls.finish(1, "b");
        assert_eq!(code(&calls, 1, 100 * KIB - CALL_BYTES), Ok(()));
        assert_eq!(code(&calls, 1, 100 * KIB), Err("TOO_MANY_REQUESTS".into()));
        assert!(calls.has_room_for_item(1, "a", 100 * KIB).is_ok());
        assert_eq!(calls.has_room_for_item(1, "a", 101 * KIB).unwrap_err().code(), "PAYLOAD_TOO_LARGE");
    }

    #[test]
    fn the_memory_of_all_calls_is_limited_and_a_quarter_is_reserved_for_small_calls() {
        let mut calls = calls();
        for socket in [1, 2] {
            let call = running(&calls, 350 * KIB).0;
            calls.start(socket, "a", call);
        }
        // 700 of 1,000 KiB are in use. Large calls may use up to 750 KiB.
        assert_eq!(code(&calls, 3, 65 * KIB), Err("TOO_MANY_REQUESTS".into()));
        for socket in 3..7 {
            assert_eq!(code(&calls, socket, 60 * KIB), Ok(()));
            let call = running(&calls, 60 * KIB).0;
            calls.start(socket, "a", call);
        }
        assert_eq!(code(&calls, 8, 60 * KIB), Err("TOO_MANY_REQUESTS".into()));
        assert_eq!(code(&calls, 8, 50 * KIB), Ok(()));
        assert!(calls.abort_all(1).is_empty());
        assert_eq!(code(&calls, 8, 60 * KIB), Ok(()));
        assert_eq!(code(&calls, 8, 65 * KIB), Ok(()));
    }
}
