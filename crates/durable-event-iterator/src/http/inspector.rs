//! The inspector: a page that shows channels, served only with an inspect key.

use crate::runtime::{self, JsError};
use worker::web_sys::Response;

/// Returns the response for a path: `/inspect` and the assets below it. Returns `None` for any other path.
pub(super) fn respond(path: &str) -> Option<Result<Response, JsError>> {
    if path != "/inspect" {
        return None;
    }
    let headers = [
        ("content-type", "text/html;charset=UTF-8".to_owned()),
        ("content-security-policy", "default-src 'none'".to_owned()),
    ];
    Some(runtime::respond(200, &"<!doctype html><title>Inspector</title>".into(), &headers))
}
