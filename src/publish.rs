//! Publishing over HTTP, for servers that are not Workers.
//!
//! `POST /channels/<channel, URI-encoded>/events` or `POST /events?channel=<channel, URI-encoded>`, with `Authorization: Bearer
//! <publish key>`. The second form reaches channels of every name: URLs cannot have a path segment of `.` or `..`, encoded or
//! not. The body is the event's JSON; or, with the content type `application/vnd.orpc+json`, oRPC's serialized form
//! `{"json":…,"meta":…}`. The response is 201 and `{"id":"…","duplicate":false}`. With the header `Idempotency-Key`, repeated
//! requests publish once: later ones are responded to with 200, the id of the first event and `"duplicate":true`. There are no
//! other options: an unknown parameter or property is rejected, since it could be meant to restrict the recipients. The publish
//! key is separate from the signing key: tokens of subscribers cannot publish.

use crate::NAMESPACE;
use durable_event_iterator::{
    ChannelStub, Code, Error, PublishKey, PublishOptions, Published, Result, Value, http,
};
use worker::{Env, Request, Response};

/// The maximum size of a body, in bytes: the largest event, and its serialized form. Larger bodies are rejected unread.
const MAX_BODY: usize = 2 * 1024 * 1024;

/// The content type of oRPC's serialized form.
const SERIALIZED: &str = "application/vnd.orpc+json";

/// The path with the channel name in the query.
const BY_QUERY: &str = "/events";

/// Whether this is a path of the publish endpoint.
pub(crate) fn is_endpoint(path: &str) -> bool {
    path == BY_QUERY || segment_of(path).is_some()
}

/// The segment of a path with the channel name.
fn segment_of(path: &str) -> Option<&str> {
    let segment = path.strip_prefix("/channels/")?.strip_suffix("/events")?;
    (!segment.is_empty() && !segment.contains('/')).then_some(segment)
}

/// The channel name in a URL.
fn channel_of(url: &str) -> Result<String> {
    let bad = |message: &str| Error::new(Code::BadRequest).message(message);
    let query = http::query_of(url).filter(|query| !query.is_empty());
    let name = match (segment_of(http::path_of(url)), query) {
        (Some(segment), None) => http::decode_segment(segment),
        (Some(_), Some(_)) => {
            return Err(bad("This endpoint takes no query parameters."));
        }
        (None, query) => {
            let value =
                query.and_then(|query| query.strip_prefix("channel=")).filter(|value| !value.contains('&'));
            let value = value.ok_or_else(|| bad("Expected one query parameter, `channel`."))?;
            http::decode_segment(&value.replace('+', "%20"))
        }
    };
    name.ok_or_else(|| bad("The channel name must be UTF-8, percent-encoded."))
}

/// Handles a publish request.
pub(crate) async fn handle(request: Request, env: &Env) -> worker::Result<Response> {
    match publish(request, env).await {
        Ok(published) => {
            let body = serde_json::to_vec(&published)?;
            let status = if published.is_duplicate { 200 } else { 201 };
            let headers = [("content-type", "application/json")].into_iter().collect();
            Ok(Response::from_bytes(body)?.with_status(status).with_headers(headers))
        }
        Err(error) => {
            if error.status() >= Code::InternalServerError.status() {
                worker::console_error!("durable-event-iterator: publishing failed: {error}");
            }
            http::error_response(&error)
        }
    }
}

async fn publish(request: Request, env: &Env) -> Result<Published> {
    let key = env.secret("PUBLISH_KEY").ok().and_then(|secret| PublishKey::new(secret.to_string()).ok());
    let Some(key) = key else {
        worker::console_error!(
            "durable-event-iterator: the publish key is missing: set it with `npx wrangler secret put PUBLISH_KEY` \
             (locally: add a line PUBLISH_KEY=… to .dev.vars)"
        );
        return Err(Error::new(Code::InternalServerError));
    };
    let authorization = request.headers().get("authorization")?;
    if !key.admits(authorization.as_deref()) {
        return Err(Error::new(Code::Unauthorized));
    }
    let channel = channel_of(&request.inner().url())?;
    let content_type = request.headers().get("content-type")?.unwrap_or_default();
    let body = http::read_body(&request, MAX_BODY).await?;
    let event =
        if content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(SERIALIZED)) {
            check_properties(&body).and_then(|()| Ok(Value::from_serialized(&body)?))
        } else {
            Value::from_json(&body).map_err(Error::from)
        };
    let event = event.map_err(|_| Error::new(Code::BadRequest).message(http::MALFORMED_REQUEST))?;
    let options = match request.headers().get("idempotency-key")? {
        Some(key) => PublishOptions::new().idempotency_key(key),
        None => PublishOptions::new(),
    };
    ChannelStub::new(env, NAMESPACE, &channel)?.publish_with(&event, options).await
}

/// Checks that the serialized form has only the properties `json` and `meta`. oRPC ignores others, but here they could be meant
/// as options.
fn check_properties(body: &[u8]) -> Result<()> {
    let Value::Object(properties) = Value::from_json(body)? else { return Err(Error::new(Code::BadRequest)) };
    if properties.keys().all(|key| matches!(key, "json" | "meta")) {
        Ok(())
    } else {
        Err(Error::new(Code::BadRequest))
    }
}
