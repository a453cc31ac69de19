//! HTTP in oRPC's form.

use crate::error::Error;
use worker::{Headers, Response};

/// The message of the error for a body that cannot be read.
pub const MALFORMED_REQUEST: &str = "Malformed request. Ensure the request body is properly formatted and the 'Content-Type' header is set correctly.";

/// A segment of a path, percent-decoded; nothing if it is no UTF-8 then.
///
/// ```
/// use durable_event_iterator::http::decode_segment;
///
/// assert_eq!(decode_segment("a%2Fb").as_deref(), Some("a/b"));
/// assert_eq!(decode_segment("%FF"), None);
/// ```
#[must_use]
pub fn decode_segment(segment: &str) -> Option<String> {
    percent_encoding::percent_decode_str(segment).decode_utf8().ok().map(Into::into)
}

/// The answer for an error: its status, and what clients make an `ORPCError` of.
///
/// # Errors
/// When the platform refuses to make a response.
pub fn error_response(error: &Error) -> worker::Result<Response> {
    let body = error.to_wire().to_body();
    let headers = Headers::new();
    headers.set("content-type", "application/json")?;
    Ok(Response::from_bytes(body.into_bytes())?.with_status(error.status()).with_headers(headers))
}
