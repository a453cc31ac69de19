//! The object that is measured: what the deployable Worker's does, and two procedures.

use durable_event_iterator::{
    Call, Channel, DurableEventIteratorObject, Options, Procedures, Upgrade, Value, durable_object,
};
use std::time::Duration;
use worker::{Context, Env, event, web_sys};

/// A channel of any JSON events.
pub struct Measured {
    channel: Channel<Value>,
}

impl DurableEventIteratorObject for Measured {
    type Channel = Channel<Value>;

    fn new(channel: Self::Channel, _env: Env) -> durable_event_iterator::Result<Self> {
        Ok(Self { channel })
    }

    fn options(env: &Env) -> Options {
        // Longer than a run, but for the row that counts what removing costs.
        let seconds = env.var("RETENTION_SECONDS").ok().and_then(|seconds| seconds.to_string().parse().ok());
        Options::default().event_retention(Duration::from_secs(seconds.unwrap_or(3_600)))
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new()
            .procedure("ping", async |_: &Self, _, ()| Ok("pong"))
            .procedure("publish", async |room: &Self, _, event: Value| room.channel.publish(&event))
    }
}

durable_object!(pub Room: Measured);

#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, _context: Context) -> worker::Result<web_sys::Response> {
    Upgrade::new(&env, "ROOM").handle_raw(&request).await
}
