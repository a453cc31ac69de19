//! Procedures over HTTP, one for each kind of input and output.

use durable_event_iterator::{
    Blob, ChannelStub, ClientKind, Code, Error, EventMeta, Procedures, Result, StreamItem, Token, Value,
    http::{Cors, Handler, HttpCall},
};
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use worker::{Env, Request, Response};

/// The origin of pages that may send cookies.
const FRIEND: &str = "https://friend.example";

/// The application of the procedures.
#[derive(Debug)]
struct App {
    name: &'static str,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct User {
    user_id: String,
}

#[derive(Serialize, Deserialize)]
struct Message {
    message: String,
}

#[derive(Serialize)]
struct Just {
    just: &'static str,
}

#[derive(Serialize)]
struct Count {
    number: u32,
}

#[derive(Deserialize)]
struct Open {
    chn: String,
}

#[derive(Deserialize)]
struct Upload {
    note: String,
    file: Blob,
}

/// The number of open silent streams.
static SILENT: AtomicU32 = AtomicU32::new(0);

struct Silent;

impl Silent {
    fn begin() -> Self {
        SILENT.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        SILENT.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream of one item that never ends.
fn silence(guard: Silent) -> impl Stream<Item = Result<&'static str>> {
    stream::unfold((guard, true), async |(guard, is_first)| {
        if !is_first {
            std::future::pending::<()>().await;
        }
        Some((Ok("hush"), (guard, false)))
    })
}

fn procedures() -> Procedures<App, HttpCall> {
    Procedures::new()
        .procedure("onMessage", async |_: &App, call: HttpCall, ()| {
            let user = User { user_id: "user-123".into() };
            let rpc = ["publishMessage", "router", "extra"];
            call.iterator(Token::builder("some-room").procedures(rpc).attachment(&user))
        })
        .procedure("open", async |_: &App, call: HttpCall, Open { chn }| {
            call.iterator(Token::builder(chn).procedures(["publish"]))
        })
        .procedure("second", async |_: &App, call: HttpCall, ()| {
            call.iterator(Token::builder("some-room").for_clients(ClientKind::DurableIterator))
        })
        .procedure("wrapped", async |_: &App, call: HttpCall, ()| {
            Ok([call.iterator(Token::builder("some-room"))?])
        })
        .procedure("sendMessage", async |_: &App, _, Message { message }| {
            if message.is_empty() {
                Err(Error::new(Code::BadRequest).message("Say something."))
            } else {
                Ok(())
            }
        })
        .procedure("announce", async |_: &App, call: HttpCall, Message { message }| {
            ChannelStub::new(&call.env, "USUAL", "announced")?.publish(&Message { message }).await
        })
        .procedure("plain", async |_: &App, _, ()| Ok(Just { just: "json" }))
        .procedure("echo", async |_: &App, _, value: Value| Ok(value))
        .procedure("file", async |_: &App, _, Upload { note, file }: Upload| {
            let text = format!("{note}: {} bytes of {}", file.bytes().len(), file.get_content_type());
            Ok(Blob::new(text.into_bytes()).name("answer.txt").content_type("text/plain"))
        })
        .procedure("fail", async |_: &App, call: HttpCall, ()| {
            call.response_headers.set("retry-after", "3")?;
            Err::<(), _>(
                Error::custom("OUT_OF_STOCK", 409).message("None left").data(Just { just: "data" }).defined(),
            )
        })
        .procedure("leak", async |_: &App, _, ()| Ok("a secret that is no number".parse::<u8>()?))
        .nest(
            "app",
            Procedures::new().procedure("name", async |app: &App, call: HttpCall, ()| {
                Ok((app.name, call.headers.get("x-own").cloned(), call.last_event_id))
            }),
        )
        .stream("count", async |_: &App, call: HttpCall, up_to: u32| {
            let from = call.last_event_id.and_then(|id| id.parse::<u32>().ok()).unwrap_or_default();
            let numbers = (from.saturating_add(1)..=up_to).map(|number| {
                let meta = EventMeta { id: Some(number.to_string()), ..EventMeta::default() };
                Ok(StreamItem::from(Count { number }).meta(meta))
            });
            Ok(stream::iter(numbers.chain([Ok(StreamItem::result("done"))])))
        })
        .stream("failing", async |_: &App, _, ()| {
            let error = Error::new(Code::Conflict).message("In the middle");
            Ok(stream::iter([Ok(StreamItem::from(1)), Err(error)]))
        })
        .stream("silent", async |_: &App, _, ()| Ok(silence(Silent::begin())))
        .procedure("silentStreams", async |_: &App, _, ()| Ok(SILENT.load(Ordering::Relaxed)))
}

pub(crate) async fn handle(request: Request, env: &Env) -> worker::Result<Response> {
    let open = request.path().starts_with("/open/");
    let handler = Handler::new(procedures()).allow_get(["echo", "app/name"]).max_body(1 << 16);
    let handler = if open {
        handler.prefix("/open").cors(Cors::any())
    } else {
        let cors = Cors::origins([FRIEND]).credentials().max_age(Duration::from_secs(60));
        handler.prefix("/rpc/").cors(cors)
    };
    handler.handle(&App { name: "the app" }, request, env).await
}
