//! What the messages of clients come to.

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

/// HTTP's "OK".
pub(super) const OK: u16 = 200;

/// Who has sent a frame.
#[derive(Clone, Copy)]
pub(super) struct Peer<'a> {
    pub(super) ws: &'a RawSocket,
    pub(super) socket_id: u32,
    /// When the frame came.
    pub(super) now_ms: u64,
    /// How large the frame is. The Workers runtime keeps it for as long as its call waits.
    pub(super) frame_bytes: usize,
    pub(super) session: &'a Rc<Session>,
}

/// What a frame leaves to do that may have to wait.
pub(super) enum Received<O: DurableEventIteratorObject> {
    Subscribe(Rc<Session>, Subscribe),
    Call(Rc<Session>, Box<ReceivedCall<O>>),
}

/// A call that its client may make, and its context.
pub(super) type AdmittedCall<O> = (Admitted<O, Call<O>>, Call<O>);

/// A call that has been read.
pub(super) struct ReceivedCall<O: DurableEventIteratorObject> {
    pub(super) id: String,
    pub(super) admitted: Result<AdmittedCall<O>>,
    pub(super) upload: Option<UploadSender>,
    pub(super) held: Rc<Held>,
    pub(super) handle: AbortHandle,
    pub(super) registration: AbortRegistration,
}
