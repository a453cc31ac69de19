//! The Durable Objects of the end-to-end tests, one class for each set of options and types.

pub mod calls;
pub mod documents;
pub mod faulty;
mod http;
pub mod journal;
pub mod ledger;
pub mod present;
pub mod relay;
pub mod types;

use durable_event_iterator::{
    Claims, Code, Error, Upgrade,
    http::{ChannelEndpoint, Cors, ReadKey, path_of},
};
use std::time::Duration;
use worker::{
    Context, Env, event,
    web_sys::{Request, Response},
};

/// `/upgrade/<binding>` is the upgrade to a Durable Object of that namespace; `/guarded/<binding>` is an upgrade with an
/// inspection of the token attachment; `/relay/…` publishes from another Worker; `/rpc/…` and `/open/…` are procedures over
/// HTTP. With the variable `DOCUMENT`, this is the Worker of that document instead.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    if let Ok(document) = env.var("DOCUMENT") {
        return documents::fetch(&document.to_string(), request, env, context).await;
    }
    let url = request.url();
    match path_of(&url).split('/').skip(1).collect::<Vec<_>>().as_slice() {
        ["upgrade", binding] => Upgrade::new(&env, binding).handle(&request).await,
        ["guarded", binding] => {
            Upgrade::new(&env, binding)
                .location_hint("weur")
                .inspect(async |claims: &Claims, _: &Request| {
                    match claims.attachment::<Option<String>>()? {
                        Some(word) if word == "sesame" => Ok(()),
                        _ => Err(Error::new(Code::Forbidden).message("Say the word.")),
                    }
                })
                .handle(&request)
                .await
        }
        // The same with a jurisdiction.
        ["eu", "upgrade", binding] => Upgrade::new(&env, binding).jurisdiction("eu").handle(&request).await,
        ["eu", "relay", binding, channel] => {
            Ok(relay::publish(request.into(), &env, binding, channel, Some("eu")).await?.into())
        }
        ["relay", binding, channel] => {
            Ok(relay::publish(request.into(), &env, binding, channel, None).await?.into())
        }
        ["relay-batch", binding, channel] => {
            Ok(relay::publish_batch(request.into(), &env, binding, channel).await?.into())
        }
        ["relay", binding, channel, method] => {
            Ok(relay::call(request.into(), &env, binding, channel, method).await?.into())
        }
        ["relay-stats", binding, channel] => Ok(relay::stats(&env, binding, channel).await?.into()),
        ["relay-events", binding, channel] => {
            Ok(relay::events(request.into(), &env, binding, channel).await?.into())
        }
        ["http", binding, ..] => {
            ChannelEndpoint::new(&env, binding)
                .prefix(&format!("/http/{binding}"))
                .cors(
                    Cors::origins(["https://friend.example"]).credentials().max_age(Duration::from_secs(60)),
                )
                .read_key(ReadKey::new("the read key of the tests").map_err(rust_error)?)
                .location_hint("weur")
                .handle(&request)
                .await
        }
        // With the keys of the variables.
        ["keys", binding, ..] => {
            let prefix = format!("/keys/{binding}");
            ChannelEndpoint::new(&env, binding).prefix(&prefix).keys_from_env(&env).handle(&request).await
        }
        ["rpc" | "open", ..] => Ok(http::handle(request.into(), &env).await?.into()),
        _ => Ok(worker::Response::error("Not Found", 404)?.into()),
    }
}

fn rust_error(error: impl std::fmt::Display) -> worker::Error {
    worker::Error::RustError(error.to_string())
}
