//! The generic Worker: channels of any JSON events, without code of your own.
//!
//! | request | response |
//! | --- | --- |
//! | `GET /` with `Upgrade: websocket`, `?token=…` | opens a WebSocket to the channel of the token |
//! | `/channels/<channel>/events` and other paths below `/channels/<channel>` | reads, publishes to and administers a channel: see [`ChannelEndpoint`] |
//! | `/events?channel=<channel>` | the same as `/channels/events?channel=<channel>` |
//! | `GET /inspect` | the inspector, if the secret `INSPECT_KEY` exists |
//!
//! The keys are the secrets `PUBLISH_KEY`, `READ_KEY`, `ACCESS_KEYS` and `INSPECT_KEY`. The variable `CORS_ORIGINS` contains the origins
//! whose pages may read, separated by commas, or `*`.

use durable_event_iterator::{
    Channel, DurableEventIteratorObject as Object, Options, Presence, Result, Upgrade, Value,
    http::{self, ChannelEndpoint, Cors},
};
use std::time::Duration;
use worker::{Context, Env, Response, console_error, event, web_sys};

/// The binding of the namespace of the channels.
const NAMESPACE: &str = "CHANNEL";

/// The prefix of paths that contain the channel.
const PREFIX: &str = "/channels";

/// A channel of any JSON events.
struct AnyChannel {
    // Not used: the class has an RPC method `publish`, to which this type adds nothing.
    _channel: Channel<Value>,
}

impl Object for AnyChannel {
    type Channel = Channel<Value>;

    fn new(channel: Self::Channel, _env: Env) -> Result<Self> {
        Ok(Self { _channel: channel })
    }

    fn options(env: &Env) -> Options {
        let seconds = |number| Duration::from_secs(number);
        let count = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let mut options = Options::default();
        let mut apply = |name, change: &dyn Fn(Options, u64) -> Options| {
            let Some(number) = number(env, name) else { return };
            let changed = change(options.clone(), number);
            match changed.check() {
                Ok(()) => options = changed,
                Err(error) => console_error!(
                    "durable-event-iterator: the variable {name} is invalid; using the default: {error}"
                ),
            }
        };
        apply("EVENT_RETENTION_SECONDS", &|options, number| options.event_retention(seconds(number)));
        apply("MAX_RETAINED_EVENTS", &|options, number| options.retained_events(number));
        apply("MAX_RETAINED_BYTES", &|options, number| options.retained_bytes(number));
        apply("IDEMPOTENCY_WINDOW_SECONDS", &|options, number| options.idempotency_window(seconds(number)));
        apply("MAX_FRAME_BYTES", &|options, number| options.max_frame(count(number)));
        apply("MAX_SOCKETS", &|options, number| options.max_sockets(count(number)));
        apply("MAX_SOCKETS_PER_CONNECTION", &|options, number| {
            options.max_sockets_per_connection(count(number))
        });
        apply("MAX_SOCKETS_PER_SUBJECT", &|options, number| options.max_sockets_per_subject(count(number)));
        if flag(env, "START_DURABLE_ITERATORS_LIVE") {
            options = options.start_durable_iterators_live();
        }
        if flag(env, "PUBLISHER") {
            options = options.publisher();
        }
        if flag(env, "LOG_ANOMALIES") {
            options = options.log_anomalies();
        }
        if let Some(presence) = presence(env) {
            options = options.presence(presence.clone());
            if let Some(number) = number(env, "PRESENCE_GRACE_SECONDS") {
                let changed = options.clone().presence(presence.grace(seconds(number)));
                match changed.check() {
                    Ok(()) => options = changed,
                    Err(error) => console_error!(
                        "durable-event-iterator: the variable PRESENCE_GRACE_SECONDS is invalid; using the default: {error}"
                    ),
                }
            }
        }
        // Without a binding of this name nothing is written.
        options.metrics("METRICS")
    }
}

durable_event_iterator::durable_object!(pub DurableEventIteratorObject: AnyChannel);

/// Reads the variable `PRESENCE`. An invalid value is logged, and presence is off.
fn presence(env: &Env) -> Option<Presence> {
    let text = env.var("PRESENCE").map(|text| text.to_string()).unwrap_or_default();
    let presence = match text.trim() {
        "" | "false" => return None,
        "true" | "connection" => Presence::by_connection(),
        "subject" => Presence::by_subject(),
        text => match text.strip_prefix("attachment:") {
            Some(property) if !property.is_empty() => Presence::by_attachment(property.to_owned()),
            _ => {
                console_error!(
                    "durable-event-iterator: the variable PRESENCE must be `true`, `connection`, `subject` or \
                     `attachment:<property>`; presence is off"
                );
                return None;
            }
        },
    };
    Some(presence)
}

/// Reads a variable that is an integer. An invalid one is logged, and the default is used.
fn number(env: &Env, name: &str) -> Option<u64> {
    let text = env.var(name).ok()?.to_string();
    let number = text.trim().parse().ok();
    if number.is_none() {
        worker::console_error!(
            "durable-event-iterator: the variable {name} is not an integer; using the default"
        );
    }
    number
}

/// Whether a variable is `true`. A value other than `true` and `false` is logged, and the default is used.
fn flag(env: &Env, name: &str) -> bool {
    let text = env.var(name).map(|text| text.to_string()).unwrap_or_default();
    let text = text.trim();
    if !matches!(text, "" | "true" | "false") {
        worker::console_error!(
            "durable-event-iterator: the variable {name} is neither `true` nor `false`; using the default"
        );
    }
    text == "true"
}

#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, _context: Context) -> worker::Result<web_sys::Response> {
    let url = request.url();
    match http::path_of(&url) {
        "/" => Upgrade::new(&env, NAMESPACE).handle(&request).await,
        path => match prefix_of(path) {
            Some(prefix) => endpoint(&env).prefix(prefix).handle(&request).await,
            None => Ok(Response::error("Not Found", 404)?.into()),
        },
    }
}

/// Returns the prefix of the channels' paths for the path of a request, or `None` if the path is another one.
fn prefix_of(path: &str) -> Option<&'static str> {
    match path {
        "/events" => Some(""),
        "/inspect" => Some(PREFIX),
        path if path.starts_with("/channels/") || path.starts_with("/inspect/") => Some(PREFIX),
        _ => None,
    }
}

fn endpoint(env: &Env) -> ChannelEndpoint {
    let endpoint = ChannelEndpoint::new(env, NAMESPACE).keys_from_env(env);
    let origins = env.var("CORS_ORIGINS").map(|origins| origins.to_string()).unwrap_or_default();
    let origins: Vec<&str> = origins.split(',').map(str::trim).filter(|origin| !origin.is_empty()).collect();
    match origins.as_slice() {
        [] => endpoint,
        ["*"] => endpoint.cors(Cors::any()),
        origins => endpoint.cors(Cors::origins(origins.iter().copied())),
    }
}
