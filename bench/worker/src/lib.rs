//! The measured Durable Object: that of the generic Worker, with two procedures.

use durable_event_iterator::{
    Call, Channel, Claims, DurableEventIteratorObject, Options, Presence, Procedures, Upgrade, Value,
    durable_object,
    http::{ChannelEndpoint, path_of},
};
use std::time::Duration;
use worker::{
    Context, Env, event,
    web_sys::{Request, Response},
};

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
        // Longer than a run, except for the row that counts the cost of deletion.
        let seconds = env.var("RETENTION_SECONDS").ok().and_then(|seconds| seconds.to_string().parse().ok());
        let options = Options::default().event_retention(Duration::from_secs(seconds.unwrap_or(3_600)));
        let options = match env.var("METRICS_BINDING") {
            Ok(binding) => options.metrics(binding.to_string()),
            Err(_) => options,
        };
        match env.var("PRESENCE") {
            Ok(_) => options.presence(Presence::by_subject()),
            Err(_) => options,
        }
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new()
            .procedure("ping", async |_: &Self, _, ()| Ok("pong"))
            .procedure("publish", async |room: &Self, _, event: Value| room.channel.publish(&event))
    }
}

durable_object!(pub Room: Measured);

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    let upgrade = Upgrade::new(&env, "ROOM");
    match path_of(&request.url()) {
        "/inspect" => upgrade.inspect(async |_: &Claims, _: &Request| Ok(())).handle(&request).await,
        // With the types of the crate `worker`.
        "/converted" => {
            let request = worker::Request::from(request);
            let response = worker::Response::from(upgrade.handle(request.inner()).await?);
            Ok(response.into())
        }
        path if path.starts_with("/channels/") => ChannelEndpoint::new(&env, "ROOM").handle(&request).await,
        _ => upgrade.handle(&request).await,
    }
}
