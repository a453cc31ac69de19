//! A Durable Object with procedures of all kinds, and a diary of their calls.

use crate::types::{Everything, User};
use durable_event_iterator::{
    Audience, BigInt, Blob, Call, Channel, Code, Custom, Date, DurableEventIteratorObject, Error, EventMeta,
    InvalidInput, Invocation, Issue, Map, Next, Object, Options, Procedures, RegExp, Reply, Result,
    RpcMethods, Set, StreamItem, Undefined, Upload, Url, Value, durable_object, from_value, to_value,
};
use futures_util::{Stream, StreamExt, future, stream};
use serde::{Deserialize, Serialize, de};
use std::{cell::RefCell, collections::BTreeMap, future::poll_fn, rc::Rc, task::Poll, task::Waker};
use worker::Env;

/// A record of events as lines of text, and the tasks that wait for a line. It outlives the calls that write to it.
#[derive(Clone, Default)]
struct Diary(Rc<RefCell<Lines>>);

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    waiting: Vec<Waker>,
}

impl Diary {
    fn write(&self, line: impl Into<String>) {
        let waiting = match self.0.try_borrow_mut() {
            Ok(mut diary) => {
                diary.lines.push(line.into());
                std::mem::take(&mut diary.waiting)
            }
            Err(_) => return,
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    fn lines(&self) -> Vec<String> {
        self.0.try_borrow().map(|diary| diary.lines.clone()).unwrap_or_default()
    }

    /// Resolves when the diary has the line.
    async fn line(&self, line: &str) {
        poll_fn(|context| match self.0.try_borrow_mut() {
            Ok(diary) if diary.lines.iter().any(|other| other == line) => Poll::Ready(()),
            Ok(mut diary) => {
                diary.waiting.push(context.waker().clone());
                Poll::Pending
            }
            Err(_) => Poll::Ready(()),
        })
        .await;
    }

    /// Writes `<what> began` now, and `<what> dropped` when the result is dropped.
    fn entry(&self, what: &str) -> Entry {
        self.write(format!("{what} began"));
        Entry { diary: self.clone(), what: what.to_owned() }
    }
}

struct Entry {
    diary: Diary,
    what: String,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.diary.write(format!("{} dropped", self.what));
    }
}

/// The token attachment.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Visitor {
    user_id: String,
}

/// The attachment of a socket.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Typing {
    something: String,
}

/// The Durable Object.
pub struct Calls {
    channel: Channel<Value, Option<Visitor>, Typing>,
    diary: Diary,
}

#[derive(Deserialize)]
struct Echo {
    text: String,
}

/// A type with a condition that serde checks (`try_from`).
#[derive(Deserialize)]
#[serde(try_from = "f64")]
struct AtLeastThree(f64);

impl TryFrom<f64> for AtLeastThree {
    type Error = &'static str;

    fn try_from(number: f64) -> Result<Self, &'static str> {
        if number >= 3.0 { Ok(Self(number)) } else { Err("expected at least 3") }
    }
}

#[derive(Deserialize)]
struct NeedsNumber {
    n: AtLeastThree,
}

#[derive(Deserialize)]
struct Named {
    #[serde(deserialize_with = "not_blank")]
    name: String,
}

fn not_blank<'de, D: de::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() { Err(de::Error::custom("expected a name")) } else { Ok(text) }
}

#[derive(Deserialize)]
struct Period {
    start: Date,
    end: Date,
    members: Vec<String>,
}

impl Period {
    /// Cross-field checks that report all problems at once.
    fn validate(&self) -> Result<(), InvalidInput> {
        let mut issues = Vec::new();
        if self.end.millis() < self.start.millis() {
            issues.push(Issue::new("ends before it starts"));
        }
        let blank = self.members.iter().enumerate().filter(|(_, name)| name.is_empty());
        issues.extend(blank.map(|(index, _)| Issue::new("expected a name").at("members").at(index)));
        if issues.is_empty() { Ok(()) } else { Err(issues.into_iter().collect()) }
    }
}

#[derive(Deserialize)]
struct WithFile {
    d: Blob,
}

/// A tagged and an untagged enum. serde's errors contain their Rust names, which clients must not receive.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
enum Tagged {
    Circle { radius: f64 },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(f64),
    Text(String),
}

#[derive(Deserialize)]
struct Shapes {
    tagged: Tagged,
    untagged: Untagged,
}

/// The meta of a stream item.
#[derive(Deserialize)]
struct WithMeta {
    retry: Option<u32>,
    #[serde(default)]
    comments: Vec<String>,
    id: Option<String>,
}

/// A value that fails to serialize.
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("a secret of the server"))
    }
}

impl DurableEventIteratorObject for Calls {
    type Channel = Channel<Value, Option<Visitor>, Typing>;

    fn new(channel: Self::Channel, _env: Env) -> Result<Self> {
        Ok(Self { channel, diary: Diary::default() })
    }

    fn options(_env: &Env) -> Options {
        Options::default().max_frame(MAX_FRAME)
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new()
            .procedure("publishMessage", Self::publish_message)
            .procedure("whoAmI", async |_: &Self, call: Call<Self>, ()| {
                let kept = call.socket.attachment()?.map(|typing| typing.something);
                Ok((call.socket.token_attachment()?.map(|visitor| visitor.user_id), kept))
            })
            .procedure("context", async |_: &Self, call: Call<Self>, ()| {
                let language = call.headers.get("accept-language").cloned();
                Ok((call.last_event_id, language, call.socket.allowed_procedures()?))
            })
            .procedure("anything", async |_: &Self, _, value: Value| Ok(value))
            .procedure("diary", async |calls: &Self, _, ()| Ok(calls.diary.lines()))
            .procedure("refused", async |_: &Self, _, ()| Ok("never seen"))
            .nest(
                "router",
                Procedures::new()
                    .procedure("ping", async |_: &Self, _, ()| Ok("pong"))
                    .procedure("echo", async |_: &Self, _, Echo { text }| Ok(format!("Echo: {text}")))
                    .nest("deep", Procedures::new().procedure("er", async |_: &Self, _, ()| Ok("deeper"))),
            )
            .nest("extra", extra().nest("wait", waiting()))
            .nest("upload", uploads())
    }

    fn rpc_methods() -> RpcMethods<Self> {
        RpcMethods::new()
            .method("diary", async |calls: &Self, ()| Ok(calls.diary.lines()))
            .method("until", async |calls: &Self, (line,): (String,)| {
                calls.diary.line(&line).await;
                Ok(())
            })
            .method("write", async |calls: &Self, (line,): (String,)| {
                calls.diary.write(line);
                Ok(())
            })
            .method("readStored", async |_: &Self, (what,): (String,)| read_stored(&what))
            .method("takesSeats", async |_: &Self, (Booking { seats },): (Booking,)| Ok(seats))
    }

    async fn intercept(&self, invocation: Invocation<Self>, next: Next<'_>) -> Result<Reply> {
        let path = invocation.path.join(".");
        match path.as_str() {
            "refused" => Err(Error::new(Code::Unauthorized).message("Not today.")),
            "router.echo" => {
                let reply = next.run().await;
                self.diary.write(format!("{path} {}", if reply.is_ok() { "ok" } else { "failed" }));
                reply
            }
            _ => next.run().await,
        }
    }
}

/// The maximum frame size, small so that a test does not have to send a megabyte.
const MAX_FRAME: usize = 256 * 1024;

impl Calls {
    async fn publish_message(&self, call: Call<Self>, input: Message) -> Result<()> {
        let visitor = call.socket.token_attachment()?.unwrap_or_default();
        call.socket.set_attachment(&Typing { something: format!("of {}", visitor.user_id) })?;
        self.channel.publish_with(&to_value(&input)?, Audience::everyone().except(&call.socket))?;
        Ok(())
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Message {
    message: String,
}

/// The procedures that the recordings call.
fn extra() -> Procedures<Calls, Call<Calls>> {
    Procedures::new()
        .procedure("types", async |_: &Calls, _, ()| Types::new())
        .procedure("everything", async |_: &Calls, _, everything: Everything| Ok(everything))
        .procedure("older", async |_: &Calls, _, Custom(user): Custom<User, 21>| {
            Ok(Custom::<_, 21>(user.older()))
        })
        .procedure("throwPlain", async |_: &Calls, _, ()| {
            Err::<(), _>(std::io::Error::other("a secret of the server").into())
        })
        .procedure("throwTypeError", async |_: &Calls, _, ()| Ok("no number".parse::<u8>()?))
        .procedure("throwOrpc", async |_: &Calls, _, ()| {
            #[derive(Serialize)]
            struct Data {
                a: u8,
                when: Date,
                n: BigInt,
            }
            let data = Data { a: 1, when: Date::from_millis(1_577_836_800_000), n: BigInt::from(1_u8) };
            Err::<(), _>(Error::new(Code::Conflict).message("already there").data(data))
        })
        .procedure("throwTeapot", async |_: &Calls, _, ()| {
            Err::<(), _>(Error::custom("MY_CODE", 418).message("teapot"))
        })
        .procedure("throwDefined", async |_: &Calls, _, ()| {
            let data = BTreeMap::from([("retryAfter", 60)]);
            Err::<(), _>(Error::custom("RATE_LIMITED", 429).message("slow down").data(data))
        })
        .procedure("throwDeclared", async |_: &Calls, _, ()| {
            Err::<(), _>(Error::custom("OUT_OF_STOCK", 409).defined())
        })
        .procedure("needsNumber", async |_: &Calls, _, NeedsNumber { n: AtLeastThree(n) }| Ok(n + n))
        .procedure("needsName", async |_: &Calls, _, Named { name }| Ok(name))
        .procedure("needsPeriod", async |_: &Calls, _, period: Period| {
            period.validate().map_err(Error::invalid_input)
        })
        .procedure("needsShapes", async |_: &Calls, _, Shapes { tagged, untagged }| {
            let Tagged::Circle { radius } = tagged;
            Ok(match untagged {
                Untagged::Number(number) => format!("{radius} {number}"),
                Untagged::Text(text) => format!("{radius} {text}"),
            })
        })
        .procedure("readStored", async |_: &Calls, _, what: String| read_stored(&what))
        .procedure("takesSeats", async |_: &Calls, _, Booking { seats }: Booking| Ok(seats))
        .procedure("badOutput", async |_: &Calls, _, ()| Ok(Unwritable))
        .procedure("slow", async |calls: &Calls, call: Call<Calls>, ()| {
            let _entry = calls.diary.entry("slow");
            // A separate task is not dropped with the call, and writes to the diary.
            let diary = calls.diary.clone();
            worker::wasm_bindgen_futures::spawn_local(async move {
                diary.line("slow dropped").await;
                diary.write(format!("slow's call is aborted: {}", call.is_aborted()));
            });
            future::pending::<()>().await;
            Ok(())
        })
        .stream("stream", async |_: &Calls, _, ()| Ok(stream::iter(recorded_items()?)))
        .stream("endless", async |calls: &Calls, _, ()| Ok(endless(calls.diary.entry("endless"))))
        .stream("failing", async |_: &Calls, _, with: Option<String>| {
            let error = match with {
                Some(code) => Error::custom(code, 409).message("half way").data(Date::from_millis(0)),
                None => std::io::Error::other("a secret of the server").into(),
            };
            Ok(stream::iter([Ok(1), Err(error), Ok(3)]))
        })
        .stream("badItem", async |_: &Calls, _, ()| Ok(stream::iter([Ok(Unwritable)])))
        .stream("refusedStream", async |_: &Calls, _, ()| {
            Err::<stream::Empty<Result<()>>, _>(Error::new(Code::Forbidden).message("No stream for you."))
        })
        .stream("resumed", async |_: &Calls, call: Call<Calls>, ()| {
            let from = call.last_event_id.and_then(|id| id.parse().ok()).unwrap_or(0_u32);
            Ok(stream::iter((from.saturating_add(1)..=3).map(|n| {
                let meta = EventMeta { id: Some(n.to_string()), ..EventMeta::default() };
                Ok(StreamItem::from([("n", n)].into_iter().collect::<BTreeMap<_, _>>()).meta(meta))
            })))
        })
        .stream("withMeta", async |_: &Calls, _, WithMeta { retry, comments, id }| {
            let item = StreamItem::from([("n", 1)].into_iter().collect::<BTreeMap<_, _>>());
            Ok(stream::iter([Ok(item.meta(EventMeta { retry, comments, id })), Ok(2.into())]))
        })
        .procedure("file", async |_: &Calls, _, file: Blob| describe(&file))
        .procedure("fileInObject", async |_: &Calls, _, WithFile { d }| describe(&d))
        .procedure("files", async |_: &Calls, _, files: Vec<Blob>| {
            Ok(files.into_iter().rev().collect::<Vec<_>>())
        })
        .procedure("getFile", async |_: &Calls, _, ()| {
            let bytes = vec![0x00, 0x01, 0xfe, 0xff, 0x7b, 0x22];
            Ok(Blob::new(bytes).content_type("application/x-test").name("näme \"q\".bin"))
        })
        .procedure("getBlob", async |_: &Calls, _, ()| {
            Ok(Blob::new(b"blob body".to_vec()).content_type("text/plain").name("0"))
        })
        .procedure("getEmptyFile", async |_: &Calls, _, ()| {
            Ok(Blob::new(Vec::new()).content_type("text/plain").name("empty.txt"))
        })
        .procedure("getForm", async |_: &Calls, _, ()| {
            let file = Blob::new(b"file in object".to_vec()).content_type("text/plain").name("f.txt");
            Ok(Object::from_iter([
                ("note", Value::from("with file")),
                ("at", Value::from(Date::from_millis(0))),
                ("file", Value::from(file)),
            ]))
        })
}

#[derive(Deserialize)]
struct Booking {
    seats: u8,
}

/// Reads invalid data of the application, or reports it as invalid input of the client.
fn read_stored(what: &str) -> Result<()> {
    let seats = || Value::from(Object::from_iter([("seats", "a secret of the server")]));
    match what {
        "value" => from_value::<Booking>(seats()).map(drop)?,
        "issue" => Err(InvalidInput::from(Issue::new("a secret of the server")))?,
        "json" => Value::from_json(b"a secret of the server").map(drop)?,
        "serialized" => Value::from_serialized(b"a secret of the server").map(drop)?,
        "date" => "a secret of the server".parse::<Date>().map(drop)?,
        "bigint" => "a secret of the server".parse::<BigInt>().map(drop)?,
        "url" => "a secret of the server".parse::<Url>().map(drop)?,
        "regexp" => RegExp::new("a", "secret").map(drop)?,
        "output" => to_value(&Unwritable).map(drop)?,
        "input" => from_value::<Booking>(seats()).map(drop).map_err(Error::invalid_input)?,
        _ => {}
    }
    Ok(())
}

/// Procedures that respond when the diary has a line.
fn waiting() -> Procedures<Calls, Call<Calls>> {
    Procedures::new()
        .procedure("value", async |calls: &Calls, _, line: String| {
            let _entry = calls.diary.entry(&line);
            calls.diary.line(&format!("go {line}")).await;
            Ok(line)
        })
        .stream("stream", async |calls: &Calls, _, line: String| {
            let entry = calls.diary.entry(&line);
            Ok(stream::once(future::ready(Ok("first"))).chain(stream::once(async move {
                entry.diary.line(&format!("go {line}")).await;
                Ok("second")
            })))
        })
}

fn uploads() -> Procedures<Calls, Call<Calls>> {
    Procedures::new()
        .upload("sum", async |_: &Calls, _, mut numbers: Upload<f64>| {
            let mut sum = 0.0;
            while let Some(number) = numbers.next().await {
                sum += number?;
            }
            Ok(sum)
        })
        .upload("first", async |_: &Calls, _, mut values: Upload<Value>| {
            Ok(values.next().await.transpose()?.unwrap_or_default())
        })
        .upload("held", async |calls: &Calls, _, values: Upload<Value>| {
            let _entry = calls.diary.entry("held");
            calls.diary.line("go held").await;
            Ok(values
                .map(|value| value.map_or_else(|error| error.code().to_owned(), |_| "item".to_owned()))
                .collect::<Vec<_>>()
                .await)
        })
}

/// A stream that never waits. Other tasks must still run.
fn endless(entry: Entry) -> impl Stream<Item = Result<u64>> {
    stream::iter(0..).map(move |number| {
        let _ = &entry;
        Ok(number)
    })
}

fn recorded_items() -> Result<Vec<Result<StreamItem>>> {
    let object = |entries: &[(&str, Value)]| entries.iter().cloned().collect::<Object>();
    let comments = vec!["hello".to_owned(), "world".to_owned()];
    let id = |id: &str| EventMeta { id: Some(id.to_owned()), ..EventMeta::default() };
    Ok(vec![
        Ok(object(&[("n", 1.into())]).into()),
        Ok(StreamItem::from(object(&[("n", 2.into()), ("when", Date::from_millis(0).into())]))
            .meta(EventMeta { retry: Some(1234), comments, ..id("ev-2") })),
        Ok(3.into()),
        Ok(StreamItem::result(&object(&[("end", true.into())])).meta(id("end-id"))),
        Ok("after the end".into()),
    ])
}

fn describe(file: &Blob) -> Result<BTreeMap<&'static str, String>> {
    let (name, kind) = (file.get_name().unwrap_or_default(), file.get_content_type());
    let description = format!("File:{name}:{kind}:{}", file.bytes().len());
    Ok(BTreeMap::from([("d", description), ("text", String::from_utf8_lossy(file.bytes()).into_owned())]))
}

type Labelled<T> = BTreeMap<&'static str, T>;

/// The values in the recording of `extra.types`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Types {
    date: Date,
    bad_date: Date,
    big: BigInt,
    undef: Undefined,
    nul: Option<u8>,
    nan: f64,
    inf: f64,
    url: Url,
    re: RegExp,
    set: Set<Value>,
    map: Map<Value, Value>,
    arr: (u8, Undefined, Option<u8>, f64, [BigInt; 1]),
    nested: Labelled<Labelled<[Labelled<Date>; 1]>>,
    user: Custom<User, 21>,
    str: &'static str,
    num: [f64; 6],
    empty: BTreeMap<String, u8>,
    empty_arr: [u8; 0],
}

impl Types {
    fn new() -> Result<Self> {
        let epoch = Date::from_millis(0);
        let nan = f64::NAN;
        Ok(Self {
            date: Date::from_millis(1_577_934_245_678),
            bad_date: Date::INVALID,
            big: "12345678901234567890".parse()?,
            undef: Undefined,
            nul: None,
            nan,
            inf: f64::INFINITY,
            url: "https://example.com/a?b=c#d".parse()?,
            re: RegExp::new("a\\/b+(c)", "gi")?,
            set: Set(vec![1.into(), "two".into(), epoch.into(), Value::Undefined]),
            map: Map(vec![
                ("k".into(), BigInt::from(1_u8).into()),
                (epoch.into(), Value::Set(vec![nan.into()])),
            ]),
            arr: (1, Undefined, None, nan, [BigInt::from(2_u8)]),
            nested: BTreeMap::from([(
                "a",
                BTreeMap::from([("b", [BTreeMap::from([("c", Date::from_millis(1))])])]),
            )]),
            user: Custom(User::new("Ann", 30)),
            str: "é漢😀\u{2028}\"\\\n\u{0}",
            num: [0.0, -0.0, 1e21, 1.5, 5e-324, 9_007_199_254_740_991.0],
            empty: BTreeMap::new(),
            empty_arr: [],
        })
    }
}

durable_object!(pub CallsObject: Calls);
