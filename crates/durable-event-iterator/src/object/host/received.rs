//! The decoded messages of clients.

use crate::{
    channel::subscription::Subscribe,
    error::Result,
    object::{Call, DurableEventIteratorObject, routing::Admitted},
    procedure::{Held, UploadSender},
    runtime::RawSocket,
    socket::session::Session,
};
use futures_util::future::{AbortHandle, AbortRegistration};
use std::rc::Rc;

/// The HTTP status "OK".
pub(super) const OK: u16 = 200;

/// The sender of a message.
#[derive(Clone, Copy)]
pub(super) struct Peer<'a> {
    pub(super) ws: &'a RawSocket,
    pub(super) socket_id: u32,
    /// Time of arrival, in milliseconds since 1970.
    pub(super) now_ms: u64,
    /// Size of the message in bytes. The Workers runtime keeps the message while its call waits.
    pub(super) frame_bytes: usize,
    pub(super) session: &'a Rc<Session>,
}

/// The work of a message that may have to wait.
pub(super) enum Received<O: DurableEventIteratorObject> {
    Subscribe(Rc<Session>, Subscribe),
    Call(Rc<Session>, Box<ReceivedCall<O>>),
}

/// A call that the client's token allows, and its context.
pub(super) type AdmittedCall<O> = (Admitted<O, Call<O>>, Call<O>);

/// A decoded call.
pub(super) struct ReceivedCall<O: DurableEventIteratorObject> {
    pub(super) id: String,
    pub(super) admitted: Result<AdmittedCall<O>>,
    pub(super) upload: Option<UploadSender>,
    pub(super) held: Rc<Held>,
    pub(super) handle: AbortHandle,
    pub(super) registration: AbortRegistration,
}
