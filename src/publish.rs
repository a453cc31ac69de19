//! Publishing over HTTP, for what is no Worker.
//!
//! `POST /channels/<channel, URI-encoded>/events` with `Authorization: Bearer <publish key>`. The body is the event's
//! JSON; or, with the content type `application/vnd.orpc+json`, oRPC's serialized form `{"json":…,"meta":…}`. The
//! answer is 201 and `{"id":"…"}`. With the header `Idempotency-Key` the event is stored once, however often it is sent: the
//! answer to the second one is that to the first. The publish key is a secret of its own: a subscriber's token never publishes.

use crate::NAMESPACE;
use durable_event_iterator::{
    ChannelStub, Code, Error, EventId, PublishKey, PublishOptions, Result, Value, http,
};
use worker::{Env, Request, Response};

/// What an event and its serialized form's braces need at most, in bytes: what is larger is refused unread.
const MAX_BODY: usize = 2 * 1024 * 1024;

/// The content type of oRPC's serialized form.
const SERIALIZED: &str = "application/vnd.orpc+json";

/// The channel that a path publishes to, decoded.
pub(crate) fn channel_of(path: &str) -> Option<String> {
    let channel = path.strip_prefix("/channels/")?.strip_suffix("/events")?;
    if channel.is_empty() || channel.contains('/') { None } else { http::decode_segment(channel) }
}

/// Answers a publish.
pub(crate) async fn handle(request: Request, env: &Env) -> worker::Result<Response> {
    match publish(request, env).await {
        Ok(id) => {
            let body = format!(r#"{{"id":"{id}"}}"#);
            let headers = [("content-type", "application/json")].into_iter().collect();
            Ok(Response::from_bytes(body.into_bytes())?.with_status(201).with_headers(headers))
        }
        Err(error) => {
            if error.status() >= Code::InternalServerError.status() {
                worker::console_error!("durable-event-iterator: publishing failed: {error}");
            }
            http::error_response(&error)
        }
    }
}

async fn publish(request: Request, env: &Env) -> Result<EventId> {
    let key = env.secret("PUBLISH_KEY").ok().and_then(|secret| PublishKey::new(secret.to_string()).ok());
    let Some(key) = key else {
        worker::console_error!(
            "durable-event-iterator: there is no publish key: set one by `npx wrangler secret put PUBLISH_KEY` \
             (locally: a line PUBLISH_KEY=… in .dev.vars)"
        );
        return Err(Error::new(Code::InternalServerError));
    };
    let authorization = request.headers().get("authorization")?;
    if !key.admits(authorization.as_deref()) {
        return Err(Error::new(Code::Unauthorized));
    }
    let channel = channel_of(&request.path()).ok_or_else(|| Error::new(Code::NotFound))?;
    let content_type = request.headers().get("content-type")?.unwrap_or_default();
    let body = http::read_body(&request, MAX_BODY).await?;
    let event =
        if content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(SERIALIZED)) {
            Value::from_serialized(&body)
        } else {
            Value::from_json(&body)
        };
    let event = event.map_err(|_| Error::new(Code::BadRequest).message(http::MALFORMED_REQUEST))?;
    let options = match request.headers().get("idempotency-key")? {
        Some(key) => PublishOptions::default().key(key),
        None => PublishOptions::default(),
    };
    ChannelStub::new(env, NAMESPACE, &channel)?.publish_with(&event, options).await
}
