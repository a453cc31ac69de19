//! The class in TypeScript, as the core calls it: the object `Hooks` of `npm/durable-event-iterator/src/durable-object/hooks.ts`.

use crate::{
    channel::Options,
    error::{Code, Error, Result},
    object::host::Responder,
    presence::Presence,
    runtime::{JsError, RawSocket},
};
use durable_event_token::SigningKeys;
use durable_event_wire::{Blob, Serialized, from_value, parse};
use js_sys::{Array, Uint8Array};
use serde::Deserialize;
use std::time::Duration;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// The functions of a class that its core calls. They throw no exception of the application.
    #[derive(Clone)]
    pub(super) type Class;

    /// Returns the options as JSON.
    #[wasm_bindgen(method, catch, js_name = options)]
    fn options_js(this: &Class) -> Result<String, JsValue>;

    /// Begins a call. The class responds with the operation `RESPOND`, in a later turn.
    #[wasm_bindgen(method, catch, js_name = call)]
    fn call_js(
        this: &Class,
        task: u32,
        ws: &RawSocket,
        id: &str,
        path: &str,
        headers: Option<&str>,
        json: Option<&str>,
        meta: Option<&str>,
        blobs: Option<Array>,
        upload: Option<&JsValue>,
    ) -> Result<(), JsValue>;

    /// Aborts a call.
    #[wasm_bindgen(method, catch, js_name = end)]
    fn end_js(this: &Class, task: u32) -> Result<(), JsValue>;

    /// Calls the application's `onSubscribed`. Returns the body of the `ORPCError` that it throws, as `[json, meta]`, or undefined.
    /// Throws another `Error` for any other exception.
    #[wasm_bindgen(method, catch, js_name = subscribed)]
    fn subscribed_js(
        this: &Class,
        ws: &RawSocket,
        last_event_id: Option<&str>,
        gap: Option<&str>,
        is_resumed: bool,
    ) -> Result<JsValue, JsValue>;

    /// Calls the application's `onClosed`.
    #[wasm_bindgen(method, catch, js_name = closed)]
    fn closed_js(this: &Class, ws: &RawSocket) -> Result<(), JsValue>;
}

/// The option `presence`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PresenceOptions {
    /// `connection`, `subject` or `attachment`.
    key: String,
    /// The property of the attachment.
    #[serde(default)]
    property: String,
    grace_seconds: Option<f64>,
    /// Whether the class has a procedure `setPresence` of its own.
    #[serde(default)]
    is_replaced: bool,
}

/// The options of a class in TypeScript. Absent ones have their defaults.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct ClassOptions {
    event_retention_seconds: Option<f64>,
    max_retained_events: Option<f64>,
    max_retained_bytes: Option<f64>,
    idempotency_window_seconds: Option<f64>,
    max_frame_bytes: Option<f64>,
    max_calls: Option<f64>,
    max_call_bytes: Option<f64>,
    max_total_call_bytes: Option<f64>,
    max_sockets: Option<f64>,
    max_sockets_per_connection: Option<f64>,
    max_sockets_per_subject: Option<f64>,
    keep_expired_sockets: bool,
    start_durable_iterators_live: bool,
    begin_with_snapshot: bool,
    prune_by_alarm: Option<bool>,
    publisher: bool,
    presence: Option<PresenceOptions>,
    metrics: Option<String>,
    log_anomalies: bool,
    table_prefix: Option<String>,
    signing_keys: Option<Vec<String>>,
}

impl Class {
    /// Returns the options of the class.
    ///
    /// # Errors
    /// INTERNAL_SERVER_ERROR if an option is invalid. Its message, which the class throws, states the limit.
    pub(super) fn options(&self) -> Result<Options> {
        let json = self.options_js().map_err(JsError::from)?;
        let given: ClassOptions = serde_json::from_str(&json)?;
        // JavaScript has checked that the numbers are not negative. A larger one than fits has the same effect as the largest.
        let seconds = |number: f64| Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX);
        let count = |number: f64| number as usize;
        let mut options = Options::default();
        if let Some(number) = given.event_retention_seconds {
            options = options.event_retention(seconds(number));
        }
        if let Some(number) = given.max_retained_events {
            options = options.retained_events(number as u64);
        }
        if let Some(number) = given.max_retained_bytes {
            options = options.retained_bytes(number as u64);
        }
        if let Some(number) = given.idempotency_window_seconds {
            options = options.idempotency_window(seconds(number));
        }
        if let Some(number) = given.max_frame_bytes {
            options = options.max_frame(count(number));
        }
        if let Some(number) = given.max_calls {
            options = options.max_calls(count(number));
        }
        if let Some(number) = given.max_call_bytes {
            options = options.max_call_bytes(count(number));
        }
        if let Some(number) = given.max_total_call_bytes {
            options = options.max_total_call_bytes(count(number));
        }
        if let Some(number) = given.max_sockets {
            options = options.max_sockets(count(number));
        }
        if let Some(number) = given.max_sockets_per_connection {
            options = options.max_sockets_per_connection(count(number));
        }
        if let Some(number) = given.max_sockets_per_subject {
            options = options.max_sockets_per_subject(count(number));
        }
        if given.keep_expired_sockets {
            options = options.keep_expired_sockets();
        }
        if given.start_durable_iterators_live {
            options = options.start_durable_iterators_live();
        }
        if given.begin_with_snapshot {
            options = options.begin_with_snapshot();
        }
        if given.publisher {
            options = options.publisher();
        }
        if let Some(PresenceOptions { key, property, grace_seconds, is_replaced }) = given.presence {
            let mut presence = match key.as_str() {
                "subject" => Presence::by_subject(),
                "attachment" => Presence::by_attachment(property),
                _ => Presence::by_connection(),
            };
            if let Some(grace) = grace_seconds {
                presence = presence.grace(seconds(grace));
            }
            options = options.presence(presence);
            options.replaces_set_presence = is_replaced;
        }
        if let Some(binding) = given.metrics {
            options = options.metrics(binding);
        }
        if given.log_anomalies {
            options = options.log_anomalies();
        }
        if let Some(is_used) = given.prune_by_alarm {
            options = options.prune_by_alarm(is_used);
        }
        if let Some(prefix) = given.table_prefix {
            options = options.table_prefix(prefix);
        }
        if let Some((key, previous)) = given.signing_keys.as_deref().and_then(<[String]>::split_first) {
            let keys = SigningKeys::parse(key, Some(&previous.join("\n")));
            options = options.signing_keys(keys.map_err(|invalid| {
                Error::new(Code::InternalServerError).message(format!("signingKey is invalid: {invalid}"))
            })?);
        }
        options
            .check()
            .map_err(|invalid| Error::new(Code::InternalServerError).message(invalid.in_typescript()))?;
        Ok(options)
    }

    /// Calls the application's `onSubscribed`.
    ///
    /// # Errors
    /// Its `ORPCError`, or INTERNAL_SERVER_ERROR for any other exception.
    pub(super) fn subscribed(
        &self,
        ws: &RawSocket,
        last_event_id: Option<&str>,
        gap: Option<&str>,
        is_resumed: bool,
    ) -> Result<()> {
        let failed = self.subscribed_js(ws, last_event_id, gap, is_resumed).map_err(JsError::from)?;
        failed.dyn_ref::<Array>().map_or(Ok(()), |body| Err(error_of(&body_of(body, 0))))
    }

    /// Calls the application's `onClosed`.
    pub(super) fn closed(&self, ws: &RawSocket) {
        let _ = self.closed_js(ws); // logs an exception of the application
    }

    /// Begins a call.
    ///
    /// # Errors
    /// The class has thrown, which it never does.
    pub(super) fn call(
        &self,
        task: u32,
        responder: &Responder,
        path: &str,
        headers: Option<&str>,
        input: &Serialized,
        upload: Option<&JsValue>,
    ) -> Result<()> {
        let (ws, id) = (responder.socket(), responder.id());
        let blobs = (!input.blobs.is_empty()).then(|| input.blobs.iter().map(blob_to_js).collect::<Array>());
        let (json, meta) = (input.json.as_deref(), input.meta.as_deref());
        let begun = self.call_js(task, ws, id, path, headers, json, meta, blobs, upload);
        Ok(begun.map_err(JsError::from)?)
    }

    /// Aborts a call.
    pub(super) fn end(&self, task: u32) {
        let _ = self.end_js(task); // does not throw
    }
}

/// Reads a body from three consecutive items: its JSON, its meta and its blobs.
pub(super) fn body_of(items: &Array, at: u32) -> Serialized {
    let text = |at: u32| items.get(at).as_string();
    let blobs = items.get(at.saturating_add(2));
    let blobs = blobs.dyn_ref::<Array>().map(|blobs| blobs.iter().filter_map(blob_from_js).collect());
    Serialized { json: text(at), meta: text(at.saturating_add(1)), blobs: blobs.unwrap_or_default() }
}

/// Returns `[path, bytes, type, name]`. The path is JSON; the name is undefined for a blob that is not a file.
fn blob_to_js((path, blob): &(String, Blob)) -> JsValue {
    let bytes = Uint8Array::from(blob.bytes());
    let name = blob.get_name().map_or(JsValue::UNDEFINED, JsValue::from_str);
    Array::of4(&path.as_str().into(), &bytes, &blob.get_content_type().into(), &name).into()
}

fn blob_from_js(item: JsValue) -> Option<(String, Blob)> {
    let item: Array = item.dyn_into().ok()?;
    let bytes = item.get(1).dyn_into::<Uint8Array>().ok()?.to_vec();
    let blob = Blob::new(bytes).content_type(item.get(2).as_string()?);
    let blob = match item.get(3).as_string() {
        Some(name) => blob.name(name),
        None => blob,
    };
    Some((item.get(0).as_string()?, blob))
}

/// Reads an error of the class in oRPC's form.
pub(super) fn error_of(body: &Serialized) -> Error {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(default)]
        defined: bool,
        code: String,
        status: u16,
        message: String,
        #[serde(default)]
        data: Option<durable_event_wire::Value>,
    }
    let read = || {
        let value = parse(body.json.as_deref(), body.meta.as_deref()).ok()?;
        from_value::<Wire>(value).ok()
    };
    let Some(Wire { defined, code, status, message, data }) = read() else {
        return Error::new(Code::InternalServerError);
    };
    let mut error = Error::custom(code, status).message(message);
    if let Some(data) = data {
        error = error.data(data);
    }
    if defined { error.defined() } else { error }
}
