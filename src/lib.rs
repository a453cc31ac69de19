//! The deployable Worker: channels of any JSON events, for teams that write no Rust.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /` with `Upgrade: websocket`, `?token=…` | the socket of the channel that the token names |
//! | `POST /channels/<channel>/events`, `POST /events?channel=<channel>` | stores and sends an event, see `publish.rs` |

mod publish;

use durable_event_iterator::{Channel, DurableEventIteratorObject as Object, Options, Upgrade, Value, http};
use std::time::Duration;
use worker::{Context, Env, Response, event, web_sys};

/// The binding of the channels' namespace.
const NAMESPACE: &str = "CHANNEL";

/// A channel of any JSON events.
struct AnyChannel {
    // Publishing goes through the class's own `publish`; this object adds nothing to it.
    _channel: Channel<Value>,
}

impl Object for AnyChannel {
    type Channel = Channel<Value>;

    fn new(channel: Self::Channel, _env: Env) -> Self {
        Self { _channel: channel }
    }

    fn options(env: &Env) -> Options {
        let mut options = Options::default().prune_by_alarm();
        if let Some(seconds) = number(env, "EVENT_RETENTION_SECONDS") {
            options = options.event_retention(Duration::from_secs(seconds));
        }
        if let Some(events) = number(env, "MAX_RETAINED_EVENTS") {
            options = options.retained_events(events);
        }
        if let Some(bytes) = number(env, "MAX_RETAINED_BYTES") {
            options = options.retained_bytes(bytes);
        }
        if let Some(seconds) = number(env, "IDEMPOTENCY_WINDOW_SECONDS") {
            options = options.idempotency_window(Duration::from_secs(seconds));
        }
        if let Some(bytes) = number(env, "MAX_FRAME_BYTES") {
            options = options.max_frame(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        let sockets = |name| number(env, name).map(|sockets| usize::try_from(sockets).unwrap_or(usize::MAX));
        if let Some(sockets) = sockets("MAX_SOCKETS") {
            options = options.max_sockets(sockets);
        }
        if let Some(sockets) = sockets("MAX_SOCKETS_PER_CONNECTION") {
            options = options.max_sockets_per_connection(sockets);
        }
        if let Some(sockets) = sockets("MAX_SOCKETS_PER_SUBJECT") {
            options = options.max_sockets_per_subject(sockets);
        }
        if flag(env, "START_GENERATION_2_LIVE") {
            options = options.start_generation_2_live();
        }
        options
    }
}

durable_event_iterator::durable_object!(pub DurableEventIteratorObject: AnyChannel);

/// A variable that is a whole number. One that is none is as good as none, and the log says so.
fn number(env: &Env, name: &str) -> Option<u64> {
    let text = env.var(name).ok()?.to_string();
    let number = text.trim().parse().ok();
    if number.is_none() {
        worker::console_error!(
            "durable-event-iterator: the variable {name} is no whole number, its default holds"
        );
    }
    number
}

/// Whether a variable says `true`. Anything else but `false` is as good as nothing, and the log says so.
fn flag(env: &Env, name: &str) -> bool {
    let text = env.var(name).map(|text| text.to_string()).unwrap_or_default();
    let text = text.trim();
    if !matches!(text, "" | "true" | "false") {
        worker::console_error!(
            "durable-event-iterator: the variable {name} is neither `true` nor `false`, its default holds"
        );
    }
    text == "true"
}

#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, _context: Context) -> worker::Result<web_sys::Response> {
    let url = request.url();
    match http::path_of(&url) {
        "/" => Upgrade::new(&env, NAMESPACE).handle_raw(&request).await,
        path if request.method() == "POST" && publish::is_endpoint(path) => {
            Ok(publish::handle(request.into(), &env).await?.into())
        }
        _ => Ok(Response::error("Not Found", 404)?.into()),
    }
}
