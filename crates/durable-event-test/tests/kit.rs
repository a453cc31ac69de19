//! The test kit, as its users have it.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)] // all of it is a test

use durable_event_iterator::{
    Audience, Call, Channel, ClientKind, Code, DurableEventIteratorObject, Error, Map, Options, Procedures,
    PublishOptions, Result, RpcMethods, Subscribed, Token, TokenBuilder, Upload, Value,
};
use durable_event_test::{Content, Message, TestObject, TestSocket};
use futures_channel::oneshot;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use std::{cell::RefCell, time::Duration};
use worker::Env;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Said {
    text: String,
}

fn said(text: &str) -> Said {
    Said { text: text.to_owned() }
}

struct Room {
    channel: Channel<Said, String, u32>,
    waiting: RefCell<Vec<oneshot::Sender<u32>>>,
}

impl Room {
    /// Publishes in a transaction, which may fail.
    fn announce(&self, text: &str, succeeds: bool) -> Result<()> {
        self.channel.transaction(|tx| {
            tx.publish(&said(text))?;
            if succeeds { Ok(()) } else { Err(Error::new(Code::Conflict)) }
        })
    }
}

impl DurableEventIteratorObject for Room {
    type Channel = Channel<Said, String, u32>;

    fn new(channel: Self::Channel, _: Env) -> Result<Self> {
        Ok(Self { channel, waiting: RefCell::default() })
    }

    fn options(_: &Env) -> Options {
        Options::default().event_retention(Duration::from_secs(60)).max_sockets_per_connection(1)
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new()
            .procedure("say", async |room: &Self, call: Call<Self>, text: String| {
                room.channel.publish_with(&said(&text), Audience::everyone().except(&call.socket))?;
                Ok(text.len())
            })
            .procedure("who", async |_: &Self, call: Call<Self>, ()| call.socket.token_attachment())
            .procedure("count", async |_: &Self, call: Call<Self>, ()| {
                let count = call.socket.attachment()?.unwrap_or(0) + 1;
                call.socket.set_attachment(&count)?;
                Ok(count)
            })
            .procedure("wait", async |room: &Self, _, ()| {
                let (sender, receiver) = oneshot::channel();
                room.waiting.borrow_mut().push(sender);
                receiver.await.map_err(|_| Error::new(Code::Conflict))
            })
            .stream("endless", async |_: &Self, _, ()| Ok(stream::iter(0..).map(Ok::<u32, Error>)))
            .stream("three", async |_: &Self, _, ()| Ok(stream::iter((1..=3).map(Ok::<u32, Error>))))
            .upload("sum", async |_: &Self, _, numbers: Upload<u32>| {
                numbers.try_fold(0, async |sum, number| Ok(sum + number)).await
            })
    }

    fn rpc_methods() -> RpcMethods<Self> {
        RpcMethods::new().method("double", async |_: &Self, (number,): (u32,)| Ok(number * 2)).method(
            "refuse",
            async |_: &Self, ()| {
                Err::<u32, _>(Error::new(Code::Conflict).message("Not now.").data(Map::from_iter([(1, 2)])))
            },
        )
    }
}

type Client = TestSocket<Room>;

fn token() -> TokenBuilder {
    let procedures = ["say", "who", "count", "wait", "endless", "three", "sum"];
    Token::builder("test").procedures(procedures).attachment(&"anna").lifetime(Duration::from_secs(600))
}

fn texts(client: &Client) -> Vec<String> {
    client.events_as::<Said>().into_iter().map(|said| said.text).collect()
}

fn subscribed(room: &TestObject<Room>) -> Client {
    let client = room.connect(token()).unwrap();
    client.subscribe();
    client
}

#[test]
fn upgrades_are_rejected_with_status_and_text() {
    let room = TestObject::<Room>::new();
    let rejected = |query: &str| room.connect_with(query).unwrap_err().to_string();
    assert_eq!(rejected(""), "401 Token is required");
    assert_eq!(rejected("token=x"), "401 Invalid Token");
    assert_eq!(room.connect(Token::builder("other")).unwrap_err().to_string(), "401 Invalid Token");
    let second = || token().for_clients(ClientKind::DurableIterator);
    assert_eq!(room.connect(second()).unwrap_err().to_string(), "401 ID is required");
    assert_eq!(room.request(None, "token=x").unwrap_err().status, 401);
    assert_eq!(room.request(None, "").unwrap_err().status, 426);

    let first = room.connect_as(second(), "me").unwrap();
    let full = room.connect_as(second(), "me").unwrap_err();
    assert_eq!((full.status, full.retry_after), (429, Some(10)));
    first.close(None);
    assert!(room.connect_as(second(), "me").is_ok());
}

#[test]
fn a_durable_object_without_a_name_says_what_to_do() {
    let room = TestObject::<Room>::builder().name("").build().unwrap();
    assert_eq!(room.connect(token()).unwrap_err().status, 500);
    assert_eq!(room.take_log().len(), 1);
}

#[test]
fn clients_receive_what_is_for_them() {
    let room = TestObject::<Room>::new();
    let (anna, bert) = (subscribed(&room), room.connect_as(token(), "bert").unwrap());
    bert.subscribe();
    let published = room.publish_with(&said("a"), Audience::everyone().to("bert")).unwrap();
    let once = || PublishOptions::new().idempotency_key("once");
    let first = room.publish_with(&said("b"), once()).unwrap();
    let second = room.publish_with(&said("b"), once()).unwrap();
    assert_eq!((first.id, first.is_duplicate, second.is_duplicate), (second.id, false, true));
    assert_eq!(anna.call(["say"], "c").unwrap(), Value::from(1));

    assert_eq!(
        (texts(&anna), texts(&bert)),
        (vec!["b".to_owned()], vec!["a".into(), "b".into(), "c".into()])
    );
    assert_eq!(bert.events()[0].id, Some(published.id));
    assert!(published.id < first.id && Some(first.id) < bert.last_event_id());
}

#[test]
fn javascript_may_pass_options_of_any_shape() {
    let room = TestObject::<Room>::new();
    let options: Value = durable_event_iterator::Object::from_iter([("to", Value::Undefined)]).into();
    let event = durable_event_iterator::to_value(&said("a")).unwrap();
    let error = room.publish_value(&event, Some(&options)).unwrap_err();
    assert_eq!((error.code(), error.status()), ("BAD_REQUEST", 400));
    let error = room.publish_value(&Value::from(1), None).unwrap_err();
    assert_eq!(error.status(), 400, "{error}");
}

#[test]
fn a_batch_is_published_in_order_or_not_at_all() {
    let room = TestObject::<Room>::new();
    let anna = subscribed(&room);
    let (a, b, c) = (said("a"), said("b"), said("c"));
    let nobody = || Audience::everyone().to_connections::<String>([]).into();
    let everyone = PublishOptions::new;
    let published = room.publish_batch_with([(&a, everyone()), (&b, nobody()), (&c, everyone())]).unwrap();
    assert_eq!(texts(&anna), ["a", "c"]);
    assert!(published.is_sorted_by_key(|published| published.id));

    let event = |text: &str| durable_event_iterator::to_value(&said(text)).unwrap();
    let events = |texts: &[&str]| Value::from(texts.iter().map(|text| event(text)).collect::<Vec<_>>());
    let key: Value = durable_event_iterator::Object::from_iter([("idempotencyKey", "k")]).into();
    let first = room.publish_batch_value(&events(&["d", "e"]), Some(&key)).unwrap();
    assert!(room.hibernate());
    let again = room.publish_batch_value(&events(&["d", "e", "f"]), Some(&key)).unwrap();
    assert_eq!(again.iter().map(|published| published.is_duplicate).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!((again[0].id, again[1].id), (first[0].id, first[1].id));
    assert_eq!(texts(&anna), ["a", "c", "d", "e", "f"]);

    // An event of another type, and the undefined option of one event.
    let mixed = Value::from(vec![event("g"), Value::from(7)]);
    let error = room.publish_batch_value(&mixed, None).unwrap_err();
    assert_eq!((error.status(), error.public_message().split(':').next()), (400, Some("events[1]")));
    let undefined: Value = durable_event_iterator::Object::from_iter([("to", Value::Undefined)]).into();
    let empty: Value = durable_event_iterator::Object::new().into();
    let options = Value::from(vec![empty, undefined]);
    let error = room.publish_batch_value(&events(&["g", "h"]), Some(&options)).unwrap_err();
    assert!(error.public_message().starts_with("events[1]: Invalid publish options"), "{error}");
    assert!(room.publish_batch_value(&event("g"), None).is_err());
    assert!(room.publish_batch_with::<Said, PublishOptions>([]).is_err());
    assert_eq!(texts(&anna).len(), 5);
}

#[test]
fn calls_return_values_errors_and_streams() {
    let room = TestObject::<Room>::new();
    let anna = room.connect(token()).unwrap();
    assert_eq!(anna.call(["who"], &()).unwrap(), Value::from("anna"));
    let error = anna.call(["say"], &1).unwrap_err();
    assert_eq!((error.code.as_str(), error.status), ("BAD_REQUEST", 400));
    assert!(matches!(error.data, Some(Value::Object(_))), "{error:?}");
    assert_eq!(anna.call(["other"], &()).unwrap_err().code, "FORBIDDEN");

    let call = anna.start_call(["three"], &());
    let items: Vec<u32> = anna.items(&call).iter().map(|item| item.to().unwrap()).collect();
    assert_eq!(items, [1, 2, 3]);
    assert!(matches!(anna.received().last().unwrap().content, Content::Done(_)));

    anna.send_text(r#"{"i":"x","p":{"u":"/sum","h":{"content-type":"text/event-stream"}}}"#);
    for number in 1..=3 {
        anna.send_text(format!(r#"{{"i":"x","t":3,"p":{{"e":"message","d":{{"json":{number}}}}}}}"#));
    }
    assert_eq!(anna.response("x"), None);
    anna.send_text(r#"{"i":"x","t":3,"p":{"e":"done"}}"#);
    assert_eq!(anna.response("x"), Some(Ok(Value::from(6))));
}

#[test]
fn a_call_waits_until_something_happens_or_it_is_aborted() {
    let room = TestObject::<Room>::new();
    let anna = room.connect(token()).unwrap();
    let (first, second) = (anna.start_call(["wait"], &()), anna.start_call(["wait"], &()));
    assert!(!room.hibernate(), "a call is running");
    assert_eq!(anna.response(&first), None);
    let waiting = room.object().waiting.take();
    assert_eq!(waiting.len(), 2);
    anna.abort(&second);
    for (number, sender) in waiting.into_iter().enumerate() {
        assert_eq!(sender.send(7).is_ok(), number == 0, "the future of an aborted call is dropped");
    }
    room.run_until_idle();
    assert_eq!(anna.response(&first), Some(Ok(Value::from(7))));
    assert_eq!(anna.response(&second), None);
    assert!(room.hibernate());
}

#[test]
fn an_endless_stream_ends_with_its_abort() {
    let room = TestObject::<Room>::new();
    let anna = room.connect(token()).unwrap();
    let call = anna.start_call(["endless"], &());
    assert!(!room.run_until_idle());
    let before = anna.items(&call).len();
    assert!(room.run_turn() && anna.items(&call).len() > before);
    anna.abort(&call);
    assert!(room.run_until_idle());
    let after = anna.items(&call).len();
    room.advance(Duration::from_secs(1));
    assert_eq!(anna.items(&call).len(), after);
}

#[test]
fn hibernation_and_eviction_keep_sockets_and_storage() {
    let room = TestObject::<Room>::new();
    let anna = subscribed(&room);
    anna.call(["count"], &()).unwrap();
    assert!(room.hibernate() && !room.is_awake());
    anna.send_text("ping");
    assert_eq!(anna.messages().last(), Some(&Message::Text("pong".into())));
    assert!(!room.is_awake(), "a ping wakes nobody");
    room.publish(&said("a")).unwrap();
    assert!(room.is_awake());
    let waiting = anna.start_call(["wait"], &());
    room.evict();
    assert_eq!(anna.call(["count"], &()).unwrap(), Value::from(2));
    assert_eq!((anna.response(&waiting), texts(&anna)), (None, vec!["a".to_owned()]));
    let late = subscribed(&room);
    assert_eq!(texts(&late), ["a"]);
}

#[test]
fn events_end_with_their_retention() {
    let room = TestObject::<Room>::new();
    let first = room.publish(&said("a")).unwrap();
    room.advance(Duration::from_secs(30));
    room.publish(&said("b")).unwrap();
    let resume = || {
        let client = room.connect(token()).unwrap();
        client.subscribe_after(first);
        (texts(&client), client.gap().is_some())
    };
    assert_eq!(resume(), (vec!["b".to_owned()], false));
    room.advance(Duration::from_secs(31));
    assert_eq!(resume(), (vec!["b".to_owned()], false));
    room.advance(Duration::from_secs(30));
    assert_eq!(resume(), (vec![], true));
}

#[test]
fn the_library_alarm_deletes_expired_events() {
    let room = TestObject::<Room>::new();
    room.publish(&said("a")).unwrap();
    let alarm = room.alarm().expect("an alarm");
    assert!(alarm > room.now());
    room.advance(alarm.duration_since(room.now()).unwrap());
    assert_eq!(room.alarm(), None, "nothing is left to be deleted");
    room.set_alarm(Some(alarm));
    room.run_alarm().unwrap();
    assert_eq!((room.alarm(), room.take_log()), (None, vec![]));
}

#[test]
fn a_subscription_ends_with_its_token_and_goes_on_with_the_next() {
    let room = TestObject::<Room>::new();
    let short = || token().for_clients(ClientKind::DurableIterator).lifetime(Duration::from_secs(10));
    let (anna, bert) = (room.connect_as(short(), "anna").unwrap(), room.connect_as(short(), "bert").unwrap());
    anna.subscribe();
    bert.subscribe();
    room.advance(Duration::from_secs(9));
    anna.refresh_token(&room.sign(short())).unwrap();
    assert_eq!(bert.refresh_token("x").unwrap_err().status, 401);
    room.advance(Duration::from_secs(5));
    room.publish(&said("a")).unwrap();
    assert_eq!((texts(&anna), anna.is_open()), (vec!["a".to_owned()], true));
    assert_eq!(texts(&bert), [""; 0]);
    assert_eq!(bert.closed().map(|frame| (frame.code, frame.reason)), Some((1008, "Token expired".into())));
}

#[test]
fn what_a_transaction_publishes_is_sent_when_it_is_committed() {
    let room = TestObject::<Room>::new();
    let anna = subscribed(&room);
    assert!(room.object().announce("a", false).is_err());
    assert_eq!(texts(&anna), [""; 0]);
    room.object().announce("b", true).unwrap();
    assert_eq!(texts(&anna), ["b"]);
    assert_eq!(texts(&subscribed(&room)), ["b"]);
}

#[test]
fn after_the_storage_was_deleted_clients_receive_a_gap_notification() {
    let room = TestObject::<Room>::new();
    let first = room.publish(&said("a")).unwrap();
    room.delete_all().unwrap();
    let anna = room.connect(token()).unwrap();
    anna.subscribe_after(first);
    assert!(anna.gap().is_some() && texts(&anna).is_empty());
    assert!(room.publish(&said("b")).unwrap() > first);
    assert_eq!(texts(&anna), ["b"]);
}

#[test]
fn all_kinds_of_tables_are_deleted() {
    let room = TestObject::<Room>::new();
    let tables = "CREATE TABLE rooms (id INTEGER PRIMARY KEY); CREATE TABLE guests (room REFERENCES rooms (id)); \
        INSERT INTO rooms VALUES (1); INSERT INTO guests VALUES (1); \
        CREATE VIEW names AS SELECT * FROM rooms; CREATE VIRTUAL TABLE texts USING fts5 (text)";
    let sql = room.channel().sql();
    sql.exec(tables, None).unwrap();
    room.delete_all().unwrap();
    sql.exec(tables, None).unwrap();
    let error = sql.exec("INSERT INTO guests VALUES (2)", None).unwrap_err();
    assert!(error.to_string().contains("FOREIGN KEY"), "{error}");
}

/// Each text is accepted or rejected by the Workers runtime too.
#[test]
fn sql_that_the_workers_runtime_rejects_is_rejected() {
    let room = TestObject::<Room>::new();
    let sql = room.channel().sql();
    sql.exec("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)", None).unwrap();
    for rejected in [
        "",
        "-- nothing",
        "BEGIN",
        "END",
        "SAVEPOINT a",
        "PRAGMA user_version",
        "PRAGMA user_version = 1",
        "ATTACH ':memory:' AS other",
        "CREATE TEMP TABLE other (id)",
        "CREATE TABLE _cf_other (id)",
        "INSERT INTO notes (text) VALUES ('a') RETURNING id; SELECT 1",
    ] {
        assert!(sql.exec(rejected, None).unwrap_err().is_storage_failure(), "{rejected}");
    }
    for rejected in ["INSERT INTO notes (text) VALUES (?); SELECT 1", "SELECT ?; SELECT ?", "SELECT 1"] {
        assert!(sql.exec(rejected, vec!["a".into()]).unwrap_err().is_storage_failure(), "{rejected}");
    }
    assert_eq!(sql.exec("SELECT count(*) FROM notes", None).unwrap().one::<(u32,)>().unwrap(), (0,));
    for accepted in [
        "PRAGMA foreign_keys",
        "PRAGMA table_info(notes)",
        "SELECT 1; SELECT 2;\n",
        "CREATE TABLE more (id); INSERT INTO more VALUES (1) RETURNING id",
    ] {
        sql.exec(accepted, None).unwrap();
    }
    // The library's own transactions are not affected.
    room.object().announce("a", true).unwrap();
}

#[test]
#[should_panic(expected = "the arguments of `double` must be a tuple, such as `(name,)`")]
fn arguments_that_are_not_a_tuple_are_a_mistake_of_the_test() {
    let _ = TestObject::<Room>::new().rpc::<_, u32>("double", 4);
}

#[test]
fn rpc_methods_return_values_and_errors() {
    let room = TestObject::<Room>::new();
    assert_eq!(room.rpc::<_, u32>("double", (4,)).unwrap(), 8);
    let error = room.rpc::<_, u32>("refuse", ()).unwrap_err();
    assert_eq!((error.code(), error.public_message()), ("CONFLICT", "Not now."));
    assert!(error.public_data().is_some());
    assert_eq!(room.rpc::<_, u32>("nothing", ()).unwrap_err().code(), "NOT_FOUND");
}

#[test]
fn a_socket_closes_on_both_sides() {
    let room = TestObject::<Room>::new();
    let [anna, bert, carl] = [(), (), ()].map(|()| subscribed(&room));
    anna.close(4000);
    assert_eq!(anna.closed().map(|frame| frame.code), Some(4000));
    bert.lose();
    assert_eq!(bert.closed(), None);
    carl.send_text("no frame");
    assert_eq!(carl.closed().map(|frame| frame.code), Some(1007));
    assert_eq!(room.object().channel.sockets().unwrap().len(), 0);
    carl.send_text("more");
    room.publish(&said("a")).unwrap();
    assert!([&anna, &bert, &carl].iter().all(|client| !client.is_open() && texts(client).is_empty()));
}

#[test]
fn two_objects_have_their_own_clocks() {
    let (early, late) = (TestObject::<Room>::new(), TestObject::<Room>::new());
    late.advance(Duration::from_secs(100));
    let [first, second] = [&early, &late].map(|room| room.object().channel.publish(&said("a")).unwrap());
    assert!(second.as_micros() - first.as_micros() >= 100_000_000);
    assert!(early.publish(&said("b")).unwrap() < second);
    // A handle that is kept belongs to its object as long as no other one was used in between.
    let channel = early.channel();
    early.advance(Duration::from_secs(1));
    assert!(channel.publish(&said("c")).unwrap() < second);
}

/// A Durable Object with a state.
struct Counter {
    channel: Channel<Vec<u32>>,
}

impl DurableEventIteratorObject for Counter {
    type Channel = Channel<Vec<u32>>;

    fn new(channel: Self::Channel, _: Env) -> Result<Self> {
        Ok(Self { channel })
    }

    fn options(_: &Env) -> Options {
        Options::default().begin_with_snapshot()
    }

    fn on_subscribed(&self, client: &Subscribed<Self>) -> Result<()> {
        if client.is_resumed() { Ok(()) } else { client.send_snapshot([vec![0, 0], vec![1]]) }
    }
}

#[test]
fn a_snapshot_comes_before_events() {
    let counter = TestObject::<Counter>::new();
    counter.object().channel.publish(&vec![1]).unwrap();
    let client = counter.connect(Token::builder("test")).unwrap();
    client.subscribe();
    counter.publish(&[2]).unwrap();
    assert_eq!(client.events_as::<Vec<u32>>(), [vec![0, 0], vec![1], vec![2]]);
    let ids: Vec<bool> = client.events().iter().map(|event| event.id.is_some()).collect();
    assert_eq!(ids, [false, true, true]);
    let again = counter.connect(Token::builder("test")).unwrap();
    again.subscribe_after(client.last_event_id().unwrap());
    assert_eq!(again.events(), []);
}

/// Serves oRPC's publisher.
struct Published;

impl DurableEventIteratorObject for Published {
    type Channel = Channel<Value>;

    fn new(_: Self::Channel, _: Env) -> Result<Self> {
        Ok(Self)
    }

    fn options(_: &Env) -> Options {
        Options::default().retained_events(4).max_sockets(3).publisher()
    }
}

#[test]
fn a_publisher_publishes_and_subscribes() {
    let channel = TestObject::<Published>::new();
    let (subscriber, gap) = channel.publisher_subscribe(None).unwrap();
    assert_eq!(gap, None);
    let client = channel.connect(Token::builder("test")).unwrap();
    client.subscribe();
    channel.publisher_publish(r#"{"data":{"json":{"n":"1"},"meta":[[0,"n"]]},"meta":{"retry":5}}"#).unwrap();
    channel.publisher_publish(r#"{"data":{"json":"text"}}"#).unwrap();
    assert!(channel.hibernate());
    channel.publisher_publish(r#"{"data":{"json":[]}}"#).unwrap();
    let ids: Vec<String> =
        client.events().iter().map(|event| event.id.as_ref().unwrap().to_string()).collect();
    let text = |message: &Message| match message {
        Message::Text(text) => text.clone(),
        Message::Bytes(_) => String::new(),
    };
    let messages: Vec<String> = subscriber.take_messages().iter().map(text).collect();
    let [first, second] = ids.as_slice() else { panic!("expected two events, got {ids:?}") };
    assert_eq!(messages.len(), 3);
    assert_eq!(
        messages[0],
        format!(r#"{{"data":{{"json":{{"n":"1"}},"meta":[[0,"n"]]}},"meta":{{"retry":5,"id":"{first}"}}}}"#)
    );
    assert!(
        messages[1].starts_with(r#"{"data":{"json":"text","meta":[]},"meta":{"id":""#),
        "{}",
        messages[1]
    );
    assert_eq!(messages[2], format!(r#"{{"data":{{"json":[],"meta":[]}},"meta":{{"id":"{second}"}}}}"#));
    // A replay sends the same messages.
    let (resumed, gap) = channel.publisher_subscribe(Some(first)).unwrap();
    assert_eq!(
        (gap, resumed.messages().iter().map(text).collect::<Vec<_>>()),
        (None, messages[1..].to_vec())
    );
    assert_eq!(channel.publisher_subscribe(None).unwrap_err().status, 503);
}

#[test]
fn a_publisher_that_resumes_after_a_gap_receives_the_retained_events() {
    let channel = TestObject::<Published>::new();
    for n in 0..12 {
        channel.publisher_publish(&format!(r#"{{"data":{{"json":{{"n":{n}}}}}}}"#)).unwrap();
    }
    let (resumed, gap) = channel.publisher_subscribe(Some("1")).unwrap();
    assert!(gap.is_some() && (1..=4).contains(&resumed.messages().len()));
    assert!(channel.take_log().iter().any(|line| line.contains("it resumes from event")));
}

#[test]
fn a_publisher_is_served_only_by_option() {
    let room = TestObject::<Room>::new();
    assert_eq!(room.publisher_publish(r#"{"data":{"json":{"text":"a"}}}"#).unwrap_err().code(), "NOT_FOUND");
    assert_eq!(room.publisher_subscribe(None).unwrap_err().status, 401);
}

#[test]
fn a_publisher_sends_nothing_to_its_socket() {
    let channel = TestObject::<Published>::new();
    let (subscriber, _) = channel.publisher_subscribe(None).unwrap();
    subscriber.send_text(r#"{"i":"1","p":{"u":"/subscribe"}}"#);
    assert_eq!(subscriber.closed().map(|frame| frame.code), Some(1008));
}
