//! A Worker in Rust that publishes to Durable Objects of another Worker.

use durable_event_iterator::{ChannelStub, Error, PublishOptions, Value, to_value};
use worker::{Env, Request, Response};

/// Publishes the body, with the idempotency key of the request if there is one.
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
        Err(error) => rejection(&error),
    }
}

/// Calls an RPC method with the body, an array, as its arguments. Responds with the output as JSON.
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
        Err(error) => rejection(&error),
    }
}

fn rejection(error: &Error) -> worker::Result<Response> {
    let kind = match () {
        () if error.is_event_too_large() => " EventTooLarge",
        () if error.is_invalid_key() => " InvalidKey",
        () => "",
    };
    let response =
        Response::error(format!("{} {}{kind}", error.code(), error.public_message()), error.status())?;
    // The error as a client would receive it.
    let wire = to_value(error).ok().and_then(|error| error.to_json().ok());
    response.headers().set("x-error", &wire.unwrap_or_default())?;
    Ok(response)
}
