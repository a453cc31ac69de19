//! A Worker in Rust that publishes to Durable Objects of another Worker.

use durable_event_iterator::{
    Audience, ChannelStub, ConnectionsQuery, Error, PublishOptions, ReadOptions, Received, Result,
    StatsQuery, Value, http, to_value,
};
use futures_util::StreamExt;
use serde::Deserialize;
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

/// An event of a batch.
#[derive(Deserialize)]
struct Item {
    event: Value,
    to: Option<String>,
    tag: Option<String>,
    key: Option<String>,
}

/// Publishes the body, an array of `Item`s, as a batch.
pub async fn publish_batch(
    mut request: Request,
    env: &Env,
    binding: &str,
    channel: &str,
) -> worker::Result<Response> {
    let items: Vec<Item> = request.json().await?;
    let events = items.iter().map(|Item { event, to, tag, key }| {
        let mut audience = Audience::everyone();
        if let Some(to) = to {
            audience = audience.to(to);
        }
        if let Some(tag) = tag {
            audience = audience.tagged(tag);
        }
        let options = PublishOptions::from(audience);
        (event, if let Some(key) = key { options.idempotency_key(key) } else { options })
    });
    let published = async { ChannelStub::new(env, binding, channel)?.publish_batch_with(events).await };
    match published.await {
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

/// Responds with the numbers of a channel, with a timeline of ten buckets, and its sockets, one for each page.
pub async fn stats(env: &Env, binding: &str, channel: &str) -> worker::Result<Response> {
    let result = async {
        let stub = ChannelStub::new(env, binding, channel)?;
        let stats = stub.stats(&StatsQuery::new().timeline(10)).await?;
        let mut connections = Vec::new();
        let mut query = ConnectionsQuery::new().limit(1);
        loop {
            let page = stub.connections(&query).await?;
            connections.extend(page.connections);
            let Some(next) = page.next else { return Ok((stats, connections)) };
            query = ConnectionsQuery::new().limit(1).after(next);
        }
    };
    match result.await {
        Ok(numbers) => Response::from_json(&numbers),
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

/// What to read, as JSON.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Wanted {
    after: Option<String>,
    last: Option<u32>,
    /// Seconds since 1970.
    since: Option<f64>,
    limit: Option<u32>,
    tags: Vec<String>,
    every_audience: bool,
    /// Responds with a page instead of a stream.
    page: bool,
}

/// Responds with the events of a channel, one line for each: `id json`, or `gap id`.
pub async fn events(
    mut request: Request,
    env: &Env,
    binding: &str,
    channel: &str,
) -> worker::Result<Response> {
    let wanted: Wanted = request.json().await?;
    let mut options = ReadOptions::new().tags(wanted.tags);
    if let Some(id) = wanted.after {
        options = options.after(id);
    }
    if let Some(last) = wanted.last {
        options = options.last(last);
    }
    if let Some(since) = wanted.since {
        let since = std::time::Duration::try_from_secs_f64(since).unwrap_or_default();
        options = options.since(std::time::UNIX_EPOCH.checked_add(since).unwrap_or(std::time::UNIX_EPOCH));
    }
    if let Some(limit) = wanted.limit {
        options = options.limit(limit);
    }
    if wanted.every_audience {
        options = options.every_audience();
    }
    let line = |received: Result<Received<Value>>| {
        Ok(match received? {
            Received::Gap(id) => format!("gap {id}\n"),
            Received::Event(read) => {
                let id = read.id.map_or("live".to_owned(), |id| id.to_string());
                format!("{id} {} {:?} {}\n", read.event.to_json()?, read.retry, read.comments.join("|"))
            }
        })
    };
    let result = async {
        let stub = ChannelStub::new(env, binding, channel)?;
        if wanted.page {
            let page = stub.read::<Value>(&options).await?;
            let lines = page.events.into_iter().map(|read| line(Ok(Received::Event(read))));
            let lines = lines.collect::<Result<Vec<_>>>()?.concat();
            let end = format!("{:?} {:?} {}", page.next.map(|id| id.to_string()), page.gap, page.more);
            return Ok(Response::ok(lines + &end)?);
        }
        let events = stub.subscribe::<Value>(&options).await?;
        let lines = events
            .map(move |received| line(received).map_err(|error| worker::Error::RustError(error.to_string())));
        Ok(Response::from_stream(lines)?)
    };
    match result.await {
        Ok(response) => Ok(response),
        Err(error) => http::error_response(&error),
    }
}
