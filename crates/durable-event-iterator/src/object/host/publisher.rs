//! oRPC's publisher for Durable Objects, for classes with [`Options::publisher`](crate::Options::publisher).

use super::{
    Host, close,
    rpc_methods::{is_untyped, typed_event},
};
use crate::{
    channel::{PublishOptions, event_body, subscription},
    counters::Anomaly,
    error::{Error, JsError, Result},
    object::DurableEventIteratorObject,
    runtime::{self, OpenedSocket, RawSocket},
    socket::{close_code, session::Session},
    upgrade::{PUBLISHER_SOCKETS, Rejection},
};
use durable_event_log::EventId;
use durable_event_wire::{EventMeta, publisher::Publication};
use futures_util::future::LocalBoxFuture;
use std::time::Duration;

/// The socket of a publisher's subscriber.
pub(in crate::object) struct PublisherSocket {
    /// The response that opens it.
    pub(in crate::object) response: OpenedSocket,
    #[cfg_attr(not(target_arch = "wasm32"), expect(dead_code, reason = "it is the response"))]
    pub(in crate::object) socket: RawSocket,
    /// The id of the first event after a gap, if some missed events are no longer retained.
    pub(in crate::object) gap: Option<EventId>,
    /// Sends the missed events.
    pub(in crate::object) rest: LocalBoxFuture<'static, ()>,
}

impl<O: DurableEventIteratorObject> Host<O> {
    /// Publishes the event of a publish request.
    ///
    /// # Errors
    /// The body is malformed, or not an event of the class, or the errors of a publish.
    pub(in crate::object) fn publish_for_publisher(&self, body: &[u8]) -> Result<()> {
        let Publication { event, meta: EventMeta { retry, comments, .. } } =
            Publication::read(body).map_err(Error::malformed)?;
        let body =
            if is_untyped::<O>() { event_body(&event)? } else { event_body(&typed_event::<O>(event)?)? };
        let retry = retry.map(|milliseconds| Duration::from_millis(milliseconds.into()));
        let options = PublishOptions { retry, comments, ..PublishOptions::new() };
        self.core.publish_any(&body, options).map(drop)
    }

    /// Opens the socket of a subscriber. `last_event_id` is its cursor.
    pub(in crate::object) fn subscribe_for_publisher(
        &self,
        last_event_id: Option<&str>,
    ) -> Result<PublisherSocket, Rejection> {
        let opened = self.try_subscribe_for_publisher(last_event_id);
        if let Err(rejection) = &opened {
            self.core.counters.report(Anomaly::Rejected(rejection.reason()));
        }
        opened
    }

    fn try_subscribe_for_publisher(&self, last_event_id: Option<&str>) -> Result<PublisherSocket, Rejection> {
        let hub = &self.core.hub;
        self.caps.admit_any(hub, self.options())?;
        let session = Session::for_publisher(runtime::now_ms());
        let attachment = session.encode().map_err(|_| Rejection::AttachmentTooLarge)?;
        let accepted = hub.accept(&[PUBLISHER_SOCKETS.to_owned()], &attachment);
        let (response, socket) = accepted.map_err(|error| self.caps.rejection(hub, error))?;
        let begun = subscription::subscribe_publisher(&self.core, &socket, last_event_id);
        let (gap, rest) = begun.map_err(|error| {
            close(&socket, close_code::INTERNAL_ERROR, "Internal error");
            Rejection::Runtime(JsError::new(format!("a publisher cannot subscribe: {error}")))
        })?;
        if let Some(gap) = gap {
            runtime::log_warning(&format!(
                "a publisher's subscriber has missed events that are no longer retained; it resumes from event {gap}"
            ));
        }
        self.core.ensure_alarm(); // setting it may have failed before
        let ws = socket.clone();
        let rest = async move {
            if let Err(error) = rest.await {
                runtime::log_error(&format!("a replay to a publisher's subscriber failed: {error}"));
                close(&ws, close_code::INTERNAL_ERROR, "Internal error");
            }
        };
        Ok(PublisherSocket { response, socket, gap, rest: Box::pin(rest) })
    }
}
