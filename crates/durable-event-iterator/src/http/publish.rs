//! Publishing over HTTP, for servers that are not Workers.
//!
//! The body is the event's JSON; or, with the content type `application/vnd.orpc+json`, oRPC's serialized form
//! `{"json":…,"meta":…}`. An unknown parameter or property is rejected, since it could be meant to restrict the recipients.

use crate::{
    channel::rpc_options::SerializedBody,
    error::{Error, Result},
};
use durable_event_wire::Value;

/// The maximum size of the body of a publish, in bytes: the largest event, and its serialized form. A larger body is not read.
pub(super) const MAX_EVENT_BODY: usize = 2 * 1024 * 1024;

/// The maximum size of the body of a batch, in bytes.
pub(super) const MAX_BATCH_BODY: usize = 8 * 1024 * 1024;

/// The maximum size of other bodies, in bytes: options.
pub(super) const MAX_OPTIONS_BODY: usize = 48 * 1024;

/// The content type of oRPC's serialized form.
const SERIALIZED: &str = "application/vnd.orpc+json";

/// Whether the header `Content-Type` is that of oRPC's serialized form.
pub(super) fn is_serialized(content_type: Option<&str>) -> bool {
    let kind = content_type.and_then(|content_type| content_type.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(SERIALIZED))
}

/// Reads the event of a body.
///
/// # Errors
/// BAD_REQUEST if it is malformed.
pub(super) fn event_of(body: &[u8], is_serialized: bool) -> Result<Value> {
    if is_serialized {
        return SerializedBody::read(body)?.parse();
    }
    Value::from_json(body).map_err(|_| Error::malformed_request())
}
