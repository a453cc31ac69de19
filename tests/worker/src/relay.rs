//! A Worker in Rust that publishes to objects of another one.

use durable_event_iterator::{ChannelStub, Error, PublishOptions, Value, to_value};
use worker::{Env, Request, Response};

/// Publishes the body, once where there is a key.
pub async fn publish(
    mut request: Request,
    env: &Env,
    binding: &str,
    channel: &str,
    jurisdiction: Option<&str>,
) -> worker::Result<Response> {
    let options = match request.headers().get("idempotency-key")? {
        Some(key) => PublishOptions::new().idempotency_key(key),
        None => PublishOptions::new(),
    };
    let body = request.bytes().await?;
    let result = async {
        let event = Value::from_serialized(&body)?;
        ChannelStub::placed(env, binding, channel, None, jurisdiction)?.publish_with(&event, options).await
    };
    match result.await {
        Ok(published) => Response::from_json(&published),
        Err(error) => refused(&error),
    }
}

/// Calls a method with the body, an array, as its arguments; answers with the output's JSON.
pub async fn call(
    mut request: Request,
    env: &Env,
    binding: &str,
    channel: &str,
    method: &str,
) -> worker::Result<Response> {
    let body = request.bytes().await?;
    let result = async {
        let arguments = Value::from_json(&body)?;
        let output: Value = ChannelStub::new(env, binding, channel)?.call(method, arguments).await?;
        Ok::<_, Error>(output.to_json()?)
    };
    match result.await {
        Ok(json) => Response::ok(json),
        Err(error) => refused(&error),
    }
}

fn refused(error: &Error) -> worker::Result<Response> {
    let kind = match () {
        () if error.is_event_too_large() => " EventTooLarge",
        () if error.is_invalid_key() => " InvalidKey",
        () => "",
    };
    let response =
        Response::error(format!("{} {}{kind}", error.code(), error.public_message()), error.status())?;
    // All that a client would get of it.
    let wire = to_value(error).ok().and_then(|error| error.to_json().ok());
    response.headers().set("x-error", &wire.unwrap_or_default())?;
    Ok(response)
}
