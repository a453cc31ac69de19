//! Reading over HTTP: pages, server-sent events, long polling and calls, by [`ChannelEndpoint`].
//!
//! The secret `READ_KEY`, if it exists, is the read key. The variable `CORS_ORIGINS` contains the origins whose pages may read,
//! separated by commas, or `*`.

use crate::NAMESPACE;
use durable_event_iterator::http::{ChannelEndpoint, Cors, ReadKey};
use worker::Env;

/// The prefix of paths that contain the channel.
const PREFIX: &str = "/channels";

/// The path with the channel in the query.
const BY_QUERY: &str = "/events";

/// Returns the endpoint for a path, unless the path is another one.
pub(crate) fn endpoint(path: &str, env: &Env) -> Option<ChannelEndpoint> {
    let prefix = match path {
        BY_QUERY => "",
        path if path.starts_with("/channels/") => PREFIX,
        _ => return None,
    };
    let mut endpoint = ChannelEndpoint::new(env, NAMESPACE).prefix(prefix);
    if let Some(key) = env.secret("READ_KEY").ok().and_then(|secret| ReadKey::new(secret.to_string()).ok()) {
        endpoint = endpoint.read_key(key);
    }
    let origins = env.var("CORS_ORIGINS").map(|origins| origins.to_string()).unwrap_or_default();
    let origins: Vec<&str> = origins.split(',').map(str::trim).filter(|origin| !origin.is_empty()).collect();
    match origins.as_slice() {
        [] => Some(endpoint),
        ["*"] => Some(endpoint.cors(Cors::any())),
        origins => Some(endpoint.cors(Cors::origins(origins.iter().copied()))),
    }
}
