//! Channels over HTTP for Workers in TypeScript: `handleChannelRequest` of the npm package.

use crate::{
    error::{Code, Error, Result},
    http::{ChannelEndpoint, Cors, InspectKey, PublishKey, ReadKey},
    runtime,
};
use durable_event_token::SigningKeys;
use serde::Deserialize;
use std::time::Duration;
use wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::Response;

/// The options of `handleChannelRequest`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointOptions {
    signing_keys: Vec<String>,
    prefix: Option<String>,
    cors: Option<CorsOptions>,
    publish_key: Option<String>,
    read_key: Option<String>,
    /// The JSON of access keys.
    access_keys: Option<String>,
    inspect_key: Option<String>,
    location_hint: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CorsOptions {
    /// `None` allows any origin.
    origins: Option<Vec<String>>,
    #[serde(default)]
    credentials: bool,
    max_age_seconds: Option<f64>,
}

/// Handles a request.
pub(super) fn handle(request: JsValue, namespace: JsValue, options: &JsValue) -> JsValue {
    let endpoint = endpoint_of(namespace, options.as_string().unwrap_or_default().as_str());
    runtime::at_once(async move {
        match respond(endpoint, request).await {
            Ok(response) => response.into(),
            Err(error) => {
                runtime::log_internal("handleChannelRequest", &error);
                runtime::failure(&error)
            }
        }
    })
}

async fn respond(endpoint: Result<ChannelEndpoint>, request: JsValue) -> Result<Response> {
    Ok(endpoint?.respond(&request.unchecked_into()).await?)
}

fn endpoint_of(namespace: JsValue, options: &str) -> Result<ChannelEndpoint> {
    let invalid = |name: &str, reason: &dyn std::fmt::Display| {
        Error::new(Code::InternalServerError).message(format!("{name} is invalid: {reason}"))
    };
    let options: EndpointOptions = serde_json::from_str(options)?;
    let mut endpoint = ChannelEndpoint::of(Ok(namespace));
    let (key, previous) = options
        .signing_keys
        .split_first()
        .ok_or_else(|| invalid("signingKey", &"expected at least one key"))?;
    let keys = SigningKeys::parse(key, Some(&previous.join("\n")));
    endpoint = endpoint.signing_keys(keys.map_err(|reason| invalid("signingKey", &reason))?);
    if let Some(prefix) = options.prefix {
        endpoint = endpoint.prefix(&prefix);
    }
    if let Some(CorsOptions { origins, credentials, max_age_seconds }) = options.cors {
        let mut cors = origins.map_or_else(Cors::any, Cors::origins);
        if credentials {
            cors = cors.credentials();
        }
        if let Some(seconds) = max_age_seconds {
            cors = cors.max_age(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
        }
        endpoint = endpoint.cors(cors);
    }
    if let Some(key) = options.publish_key {
        endpoint =
            endpoint.publish_key(PublishKey::new(key).map_err(|reason| invalid("publishKey", &reason))?);
    }
    if let Some(key) = options.read_key {
        endpoint = endpoint.read_key(ReadKey::new(key).map_err(|reason| invalid("readKey", &reason))?);
    }
    if let Some(key) = options.inspect_key {
        endpoint =
            endpoint.inspect_key(InspectKey::new(key).map_err(|reason| invalid("inspectKey", &reason))?);
    }
    if let Some(json) = options.access_keys.filter(|json| !json.is_empty()) {
        endpoint = endpoint.access_keys_json(&json);
    }
    if let Some(hint) = options.location_hint {
        endpoint = endpoint.location_hint(&hint);
    }
    Ok(endpoint)
}
