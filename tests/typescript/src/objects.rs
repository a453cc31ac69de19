//! Durable Objects with every kind of type.

use durable_event_iterator::{
    BigInt, Blob, Call, Channel, Custom, Date, DurableEventIteratorObject, EventId, Map, Number, Object,
    Procedures, Published, RegExp, Result, RpcMethods, Set, StreamItem, Undefined, Upload, Url, Value,
    http::HttpCall,
};
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use ts_rs::TS;
use worker::Env;

/// The types of the wire.
#[derive(Serialize, Deserialize, TS)]
pub(crate) struct Wire {
    at: Date,
    big: BigInt,
    names: Set<String>,
    people: Map<String, Person>,
    link: Url,
    pattern: RegExp,
    file: Blob,
    nothing: Undefined,
    any: Value,
    object: Object,
    number: Number,
    nan: f64,
    long: u64,
    custom: Custom<Person, 21>,
    #[ts(type = "Person")]
    named_custom: Custom<Person, 21>,
    id: EventId,
}

/// A person.
///
/// With a second paragraph.
#[derive(Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Person {
    /// The whole name.
    full_name: String,
    nick_name: Option<String>,
    maybe_twice: Option<Option<u8>>,
    #[serde(rename = "e-mail")]
    email: Option<String>,
    #[serde(skip)]
    #[allow(dead_code)]
    secret: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(default)]
    #[ts(optional, as = "Option<bool>")]
    is_admin: bool,
    #[serde(flatten)]
    address: Address,
}

#[derive(Serialize, Deserialize, TS)]
pub(crate) struct Address {
    street: String,
    position: (f64, f64),
}

#[derive(Serialize, Deserialize, TS)]
pub(crate) enum Shape {
    Empty,
    Circle(f64),
    Line(f64, f64),
    Rectangle { width: f64, height: f64 },
}

#[derive(Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub(crate) enum Change {
    Cleared,
    Added(Person),
    /// A person has moved.
    HasMoved {
        /// The new address.
        new_address: Address,
    },
}

#[derive(Serialize, Deserialize, TS)]
#[serde(tag = "kind", content = "value")]
pub(crate) enum Adjacent {
    Number(f64),
    Text(String),
}

#[derive(Serialize, Deserialize, TS)]
#[serde(untagged)]
pub(crate) enum Untagged {
    Number(f64),
    Text(String),
}

#[derive(Serialize, Deserialize, TS)]
pub(crate) struct Name(String);

#[derive(Serialize, Deserialize, TS)]
pub(crate) struct Page<T> {
    items: Vec<T>,
    next: Option<Box<Page<T>>>,
}

#[derive(Serialize, Deserialize, TS)]
pub(crate) struct Attachment {
    user: Name,
    groups: HashMap<String, u32>,
}

/// The Durable Object with every kind of type.
pub(crate) struct Types {
    channel: Channel<Change, Attachment>,
}

impl DurableEventIteratorObject for Types {
    type Channel = Channel<Change, Attachment>;

    fn new(channel: Self::Channel, _env: Env) -> Result<Self> {
        Ok(Self { channel })
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new()
            .procedure("wire", async |_: &Self, _, wire: Wire| Ok(wire))
            .procedure("shape", async |_: &Self, _, shape: Shape| Ok(shape))
            .procedure("adjacent", async |_: &Self, _, input: Adjacent| Ok(input))
            .procedure("untagged", async |_: &Self, _, input: Untagged| Ok(input))
            .procedure("nothing", async |_: &Self, _, ()| Ok(()))
            .procedure("optional", async |_: &Self, _, text: Option<String>| Ok(text))
            .procedure("any", async |_: &Self, _, value: Value| Ok(value))
            .procedure("text", async |_: &Self, _, _: char| Ok("text"))
            .procedure("page", async |_: &Self, _, page: Page<Person>| Ok(page))
            .procedure("pages", async |_: &Self, _, pages: BTreeMap<String, Page<u8>>| Ok(pages))
            .procedure("publish", Self::publish)
            .stream("count", async |_: &Self, _, up_to: u32| Ok(stream::iter((1..=up_to).map(Ok))))
            .stream("people", Self::people)
            .stream("items", async |_: &Self, _, ()| Ok(stream::iter([Ok(StreamItem::result(&42))])))
            .upload("sum", async |_: &Self, _, _: Upload<f64>| Ok(0.0))
            .nest(
                "router",
                Procedures::new()
                    .procedure("ping", async |_: &Self, _, ()| Ok("pong"))
                    .nest(
                        "deep-er",
                        Procedures::new().procedure("echo", async |_: &Self, _, text: String| Ok(text)),
                    )
                    .nest("empty", Procedures::new()),
            )
            .procedure("needs-quotes", async |_: &Self, _, ()| Ok(()))
    }

    fn rpc_methods() -> RpcMethods<Self> {
        RpcMethods::new()
            .method("none", async |_: &Self, ()| Ok(()))
            .method("add", async |_: &Self, (a, b): (f64, f64)| Ok(a + b))
            .method("find", async |_: &Self, (_, _, _): (Option<String>, Name, Option<u8>)| Ok(Date::INVALID))
            .method("link", async |_: &Self, ()| Self::link())
            .method("links", async |_: &Self, ()| Ok(Links { links: vec![Self::link()?], at: Date::INVALID }))
            .method("dates", async |_: &Self, (dates,): (Map<Date, Set<BigInt>>,)| Ok(dates))
    }
}

/// An output with a URL.
#[derive(Serialize, TS)]
pub(crate) struct Links {
    links: Vec<Url>,
    at: Date,
}

impl Types {
    async fn publish(&self, _: Call<Self>, change: Change) -> Result<Published> {
        self.channel.publish_with(&change, durable_event_iterator::PublishOptions::new())
    }

    async fn people(&self, _: Call<Self>, (): ()) -> Result<impl Stream<Item = Result<Person>> + use<>> {
        Ok(stream::empty())
    }

    fn link() -> Result<Url> {
        Ok("https://example.com/".parse()?)
    }
}

/// A Durable Object whose token attachment is any JSON, and whose events are any objects.
pub(crate) struct Untyped;

impl DurableEventIteratorObject for Untyped {
    type Channel = Channel<Value>;

    fn new(_: Self::Channel, _: Env) -> Result<Self> {
        Ok(Self)
    }
}

/// A Durable Object whose tokens have no attachment.
pub(crate) struct WithoutAttachment;

impl DurableEventIteratorObject for WithoutAttachment {
    type Channel = Channel<Change, ()>;

    fn new(_: Self::Channel, _: Env) -> Result<Self> {
        Ok(Self)
    }
}

/// The procedures of an oRPC server.
pub(crate) fn server() -> Procedures<(), HttpCall> {
    Procedures::new()
        .procedure("find", async |_: &(), _, person: Person| Ok(person))
        .nest("admin", Procedures::new().procedure("erase", async |_: &(), _, Name(_)| Ok(())))
}
