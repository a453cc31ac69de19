//! What a class in TypeScript sees of a socket: its claims, and the application's attachment.

use crate::{
    channel::{ChannelCore, subscription},
    error::{Code, Error, Result},
    runtime::{self, Infinity, NotWire, RawSocket},
    socket::session::{Application, RawJson},
};
use js_sys::Array;
use serde::Serialize;
use wasm_bindgen::JsValue;

/// Maximum size of an attachment that is read from JavaScript, in bytes. A session has less room.
const MAX_ATTACHMENT_BYTES: usize = 16_384;

/// A session for JavaScript.
#[derive(Serialize)]
struct View<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription: Option<&'a str>,
    claims: Claims<'a>,
}

/// The claims of a token, as their issuer has written them.
#[derive(Serialize)]
struct Claims<'a> {
    chn: Option<String>,
    rpc: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    att: Option<&'a RawJson>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    iat: f64,
    exp: f64,
}

/// Returns the session of a socket as JSON, or undefined if the socket has closed.
pub(super) fn session(core: &ChannelCore, raw: &RawSocket) -> JsValue {
    let Ok(session) = core.sessions.read(raw) else { return JsValue::UNDEFINED };
    let claims = &session.claims;
    let view = View {
        connection: session.connection.as_deref(),
        subscription: session.subscription.as_ref().map(|subscription| subscription.id.as_str()),
        claims: Claims {
            chn: core.identity.name(),
            rpc: &claims.rpc,
            att: claims.att.as_ref(),
            tags: &claims.tags,
            sub: claims.subject.as_deref(),
            iat: claims.iat,
            exp: claims.exp,
        },
    };
    serde_json::to_string(&view).map_or(JsValue::UNDEFINED, |json| json.into())
}

/// Returns the application's attachment as `[json, meta]`, or undefined if there is none.
pub(super) fn attachment(core: &ChannelCore, raw: &RawSocket) -> JsValue {
    let Ok(session) = core.sessions.read(raw) else { return JsValue::UNDEFINED };
    let Some(Application { json, meta }) = &session.application else { return JsValue::UNDEFINED };
    let meta = meta.as_ref().map_or(JsValue::UNDEFINED, |meta| meta.as_str().into());
    Array::of2(&json.as_str().into(), &meta).into()
}

/// Stores the application's attachment.
///
/// # Errors
/// The attachment cannot be serialized or is too large, or the socket has closed.
pub(super) fn set_attachment(
    core: &ChannelCore,
    raw: &RawSocket,
    attachment: &JsValue,
    customs: &JsValue,
) -> Result<JsValue> {
    let wire = runtime::to_wire_with(attachment, MAX_ATTACHMENT_BYTES, Infinity::Null, customs).map_err(
        |error| {
            let message = match error {
                NotWire::TooLarge { .. } => "The attachment of a socket is too large".to_owned(),
                NotWire::Invalid(reason) => {
                    format!("The attachment of a socket cannot be serialized: {reason}")
                }
            };
            Error::new(Code::InternalServerError).message(message)
        },
    )?;
    core.sessions.set_application(raw, Application::new(wire.json, wire.meta)?)?;
    Ok(JsValue::UNDEFINED)
}

/// Closes a socket whose token has expired. Returns whether it has.
pub(super) fn close_if_expired(core: &ChannelCore, raw: &RawSocket) -> JsValue {
    let Ok(session) = core.sessions.read(raw) else { return JsValue::TRUE };
    let is_expired = session.is_expired(runtime::now_ms());
    if is_expired {
        subscription::expire(core, raw);
    }
    is_expired.into()
}
