//! Several messages on one socket of a Durable Object, and events between them, stored in SQLite and replayed.
//!
//! An input is a list of parts with the byte 0xFE between them, which UTF-8 never has. A part that begins with a byte of
//! [`step`] is what happens beside the socket; any other is a message of the client.
//!
//! What the client receives is compared with a model of what it must receive.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use durable_event_iterator::{
    BigInt, Call, Channel, Date, DurableEventIteratorObject, EventId, Invocation, Map, Next, Options,
    Procedures, Reply, Result, Set, Upload, Url, Value, from_value,
};
use durable_event_test::{Content, Event, Message, Received, TestObject, TestSocket};
use durable_event_token::ClientKind;
use durable_event_wire::{
    frame::{ClientFrame, Outgoing, decode_binary, decode_text},
    parse, serialize,
};
use futures_util::{TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use worker::Env;

use super::{
    frames::check_answer,
    tokens::{good, new_object},
};

const BETWEEN: u8 = 0xFE;

/// What happens beside the socket.
mod step {
    /// Somebody publishes: the rest is `[event, options]`.
    pub(super) const PUBLISH: u8 = 1;
    /// Time passes: as many seconds as the next byte says.
    pub(super) const LATER: u8 = 2;
    /// What is past retention is removed.
    pub(super) const PRUNE: u8 = 3;
    /// The Durable Object is evicted: nothing is left of it but what is stored.
    pub(super) const WAKE: u8 = 4;
}

/// Small enough for an input to pass over them.
const RETAINED_EVENTS: u64 = 8;
const RETAINED_BYTES: u64 = 4_096;
const RETENTION: Duration = Duration::from_secs(300);

/// How long the tokens of the targets last.
const LIFETIME: Duration = Duration::from_secs(60);

/// How soon a client may subscribe again.
const REPLAY_INTERVAL: Duration = Duration::from_millis(100);

/// An input with more messages has nothing new to say, and takes its time.
const MAX_PARTS: usize = 32;

/// The procedures that the client's token allows, by the first segment of their path.
const ALLOWED: [&str; 2] = ["echo", "router"];

pub(super) fn check(input: &[u8]) {
    // The first byte says of which kind the client is, and whether it has a connection id.
    let Some((kind, input)) = input.split_first() else { return };
    let clients =
        if kind.is_multiple_of(2) { ClientKind::DurableEventIterator } else { ClientKind::DurableIterator };
    // `DurableIterator` clients have to send one.
    let connection = match (kind % 4 >= 2, clients) {
        (true, _) => Some("me"),
        (false, ClientKind::DurableIterator) => Some("you"),
        (false, ClientKind::DurableEventIterator) => None,
    };
    let id = connection.map(|id| format!("&id={id}")).unwrap_or_default();
    let object = new_object::<Room>();
    let socket =
        object.connect_with(&format!("token={}{id}", escaped(good(clients)))).expect("a good request");
    let tags: &[&str] = if clients == ClientKind::DurableIterator { &["x"] } else { &[] };
    let ends = object.now() + LIFETIME;
    let conversation = Conversation {
        object,
        socket,
        connection,
        tags,
        ends,
        open: BTreeMap::new(),
        asked: BTreeMap::new(),
        live: None,
        published: Vec::new(),
    };
    conversation.run(input);
}

/// A query's value.
fn escaped(token: &str) -> String {
    form_urlencoded::byte_serialize(token.as_bytes()).collect()
}

/// The object of an application.
struct Room {
    channel: Channel<Value>,
    said: RefCell<Vec<(EventId, Value)>>,
}

#[derive(Serialize, Deserialize)]
struct Typed {
    text: String,
    at: Option<Date>,
    big: Option<BigInt>,
    links: Option<Map<String, Set<Url>>>,
}

impl DurableEventIteratorObject for Room {
    type Channel = Channel<Value>;

    fn new(channel: Self::Channel, _: Env) -> Result<Self> {
        Ok(Self { channel, said: RefCell::default() })
    }

    fn options(_: &Env) -> Options {
        Options::default()
            .event_retention(RETENTION)
            .retained_events(RETAINED_EVENTS)
            .retained_bytes(RETAINED_BYTES)
            .max_calls(4)
            .max_call_bytes(64 * 1_024)
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        let echo = async |_: &Self, _, value: Value| Ok(value);
        let typed = async |_: &Self, _, typed: Typed| Ok(typed);
        let count = async |_: &Self, _, up_to: u8| Ok(stream::iter((0..up_to).map(Ok)));
        let sum = async |_: &Self, _, numbers: Upload<f64>| {
            numbers.try_fold(0.0, async |sum, number| Ok(sum + number)).await
        };
        let say = async |room: &Self, _, event: Value| {
            let id = room.channel.publish(&event)?;
            room.said.borrow_mut().push((id, event));
            Ok(())
        };
        let router = Procedures::new().procedure("typed", typed).stream("count", count);
        let router = router.upload("sum", sum).procedure("say", say);
        Procedures::new().procedure("echo", echo).nest("router", router).procedure("forbidden", echo)
    }

    async fn intercept(&self, invocation: Invocation<Self>, next: Next<'_>) -> Result<Reply> {
        let path = invocation.path;
        assert!(ALLOWED.contains(&path[0].as_str()), "{path:?} is not the token's");
        next.run().await
    }
}

/// An event that was stored, and for whom.
struct Published {
    id: EventId,
    json: String,
    is_for_client: bool,
}

/// A call of the client that subscribes.
struct Asked {
    /// The cursor, as the client sent it.
    last_event_id: Option<String>,
}

/// A subscription that receives what is published.
struct Live {
    call: String,
    last: Option<EventId>,
}

/// A subscription that was responded to in this step.
struct Begun {
    gap: Option<EventId>,
    asked: Asked,
}

struct Conversation {
    object: TestObject<Room>,
    socket: TestSocket<Room>,
    connection: Option<&'static str>,
    tags: &'static [&'static str],
    /// When the token ends.
    ends: SystemTime,
    /// How many responses the client may receive, by the ids that it sent.
    open: BTreeMap<String, usize>,
    /// Subscriptions that have not been responded to.
    asked: BTreeMap<String, Asked>,
    live: Option<Live>,
    published: Vec<Published>,
}

impl Conversation {
    fn run(mut self, input: &[u8]) {
        for part in input.split(|byte| *byte == BETWEEN).take(MAX_PARTS) {
            let stored = self.published.len();
            let was_live = self.live.is_some();
            match part.split_first() {
                Some((&step::PUBLISH, event)) => self.publish(event),
                Some((&step::LATER, seconds)) => {
                    let seconds = seconds.first().copied().unwrap_or_default();
                    self.object.advance(Duration::from_secs(seconds.into()));
                }
                Some((&step::PRUNE, _)) => drop(self.object.channel().prune().unwrap()),
                Some((&step::WAKE, _)) => self.object.evict(),
                _ => self.message(part),
            }
            if self.object.is_awake() {
                let said = self.object.object().said.take();
                said.into_iter().for_each(|(id, event)| self.note(id, &event, true));
            }
            let (begun, sent) = self.receive();
            if let Some(frame) = self.socket.closed() {
                assert!([1007, 1008].contains(&frame.code), "{frame:?}");
                break;
            }
            let expected = match begun {
                Some(begun) => self.replayed(&begun),
                None if was_live => self.sent_live(stored),
                None => Vec::new(),
            };
            // At the very moment at which the token ends it depends on the kind of client.
            let now = self.object.now();
            if now < self.ends || now > self.ends + Duration::from_millis(1) {
                assert_eq!(sent, expected);
            }
        }
        assert_eq!(self.object.take_log(), Vec::<String>::new(), "nothing has failed");
    }

    /// Sends a message, and waits until a subscription is responded to.
    fn message(&mut self, message: &[u8]) {
        let text = str::from_utf8(message);
        let decoded = match text {
            Ok(text) => decode_text(text),
            Err(_) => decode_binary(message),
        };
        match decoded {
            Ok(ClientFrame::Request(request)) => {
                let id = request.id.into_owned();
                *self.open.entry(id.clone()).or_default() += 1;
                if request.path == "/subscribe" {
                    let last_event_id = request.headers.get("last-event-id").map(str::to_owned);
                    self.asked.insert(id, Asked { last_event_id });
                }
            }
            Ok(ClientFrame::Abort { id }) => {
                // From now on nothing is sent for it.
                self.live.take_if(|live| live.call == *id);
                self.asked.remove(&*id);
            }
            Ok(ClientFrame::Event { id, .. }) => drop(self.open.entry(id.into_owned()).or_default()),
            // It has no response.
            Ok(ClientFrame::Acknowledgement { .. }) => {}
            Err(error) => {
                if let Some(id) = error.id {
                    *self.open.entry(id).or_default() += 1;
                }
            }
        }
        match text {
            Ok(text) => self.socket.send_text(text),
            Err(_) => self.socket.send_bytes(message),
        }
        if !self.asked.is_empty() {
            self.object.advance(REPLAY_INTERVAL);
        }
    }

    /// Publishes `[event, options]`.
    fn publish(&mut self, input: &[u8]) {
        let Ok(text) = str::from_utf8(input) else { return };
        let Ok(input) = parse(Some(text), None) else { return };
        let Ok((event, options)) = from_value::<(Value, Option<Value>)>(input) else { return };
        let options = options.map(renamed);
        let published = self.object.publish_value(&event, options.as_ref());
        let fields = match &options {
            Some(Value::Object(fields)) => Some(fields),
            _ => None,
        };
        let published = match published {
            Ok(published) => published,
            Err(error) => {
                assert!(options.is_some() || !matches!(event, Value::Object(_)), "an object can be stored");
                return assert!(error.status() < 500, "{error}");
            }
        };
        if published.is_duplicate {
            return assert!(self.published.iter().any(|before| before.id == published.id));
        }
        let named = |option: &str, names: &[&str]| {
            let list = match fields.and_then(|fields| fields.get(option)) {
                Some(Value::Array(list)) => list,
                None => return None,
                Some(other) => panic!("{option} is {other:?}"),
            };
            Some(
                list.iter().any(|item| matches!(item, Value::String(name) if names.contains(&name.as_str()))),
            )
        };
        let connection = self.connection.as_slice();
        let is_for_client = !named("except", connection).unwrap_or(false)
            && named("to", connection).unwrap_or(true)
            && named("tags", self.tags).unwrap_or(true);
        let is_serialized = fields.is_some_and(|fields| fields.get("serialized") == Some(&Value::Bool(true)));
        let event = if is_serialized { deserialized(&event) } else { event };
        self.note(published.id, &event, is_for_client);
    }

    /// An event was stored.
    fn note(&mut self, id: EventId, event: &Value, is_for_client: bool) {
        assert!(self.published.last().is_none_or(|last| last.id < id), "ids grow");
        let json = serialize(event).unwrap().json.unwrap();
        self.published.push(Published { id, json, is_for_client });
    }

    /// Looks at what the client has received in this step: whether a subscription began, and the channel's events.
    fn receive(&mut self) -> (Option<Begun>, Vec<EventId>) {
        let (mut begun, mut sent) = (None, Vec::new());
        for message in self.socket.take_messages() {
            if message == Message::Text("pong".into()) {
                continue;
            }
            let Received { call, content } = Received::decode(&message).expect("a frame");
            let text = match &message {
                Message::Text(text) => text.as_str(),
                Message::Bytes(_) => "",
            };
            let is_first =
                matches!(content, Content::Response(_) | Content::Error(_) | Content::Stream { .. });
            let open = self.open.get_mut(&call).expect("a call of the client");
            *open = open.checked_sub(is_first.into()).expect("one response to a call");
            match content {
                Content::Stream { gap } => {
                    if let Some(asked) = self.asked.remove(&call) {
                        assert!(self.live.is_none(), "one subscription at a time");
                        self.live = Some(Live { call: call.clone(), last: None });
                        begun = Some(Begun { gap, asked });
                    }
                }
                Content::Event(Event { id: Some(id), .. }) => {
                    let live =
                        self.live.as_mut().filter(|live| live.call == call).expect("a live subscription");
                    assert!(live.last.is_none_or(|last| last < id), "in order");
                    live.last = Some(id);
                    let published = self.published.iter().find(|published| published.id == id);
                    let published = published.expect("it was published");
                    assert!(published.is_for_client, "it is for others");
                    assert!(text.contains(&published.json));
                    sent.push(id);
                }
                Content::Event(_) => {
                    assert!(self.live.as_ref().is_none_or(|live| live.call != call), "an event has an id");
                }
                Content::Done(_) | Content::Failed(_) | Content::Parked { .. } => {
                    let ended = self.live.take_if(|live| live.call == call);
                    begun = begun.filter(|_| ended.is_none());
                }
                Content::Error(_) => drop(self.asked.remove(&call)),
                _ => {}
            }
            check_answer(&call, &outgoing(message));
        }
        (begun, sent)
    }

    /// Everything after the cursor that the client sent, or after the gap; nothing that is for others.
    fn replayed(&self, Begun { gap, asked }: &Begun) -> Vec<EventId> {
        let cursor = asked.last_event_id.as_deref().and_then(|id| id.parse::<EventId>().ok());
        let last = self.published.last().map(|published| published.id);
        assert!(gap.is_none() || cursor.is_none() || cursor != last, "nothing is missing");
        let is_after = |id: EventId| match (gap, cursor) {
            (Some(gap), _) => id >= *gap,
            (None, Some(cursor)) => id > cursor,
            (None, None) => true,
        };
        let horizon = self.object.now() - RETENTION;
        let horizon = horizon.duration_since(UNIX_EPOCH).unwrap().as_micros();
        let is_retained = |id: EventId| u128::from(id.as_micros()) > horizon;
        let replayed = self.published.iter().filter(|published| published.is_for_client);
        replayed.map(|published| published.id).filter(|id| is_after(*id) && is_retained(*id)).collect()
    }

    /// What was stored in this step, if it is for the client and its token has not ended.
    fn sent_live(&self, stored: usize) -> Vec<EventId> {
        let is_expired = self.object.now() >= self.ends;
        let sent = self.published[stored..].iter().filter(|published| published.is_for_client && !is_expired);
        sent.map(|published| published.id).collect()
    }
}

/// The options with the idempotency key under its present name: the inputs are older.
fn renamed(options: Value) -> Value {
    let Value::Object(mut fields) = options else { return options };
    if let Some(key) = fields.remove("key") {
        fields.insert("idempotencyKey", key);
    }
    fields.into()
}

/// The event of `{ json, meta? }`.
fn deserialized(event: &Value) -> Value {
    let Value::Object(halves) = event else { panic!("{event:?} was published") };
    let half = |name: &str| match halves.get(name) {
        Some(Value::String(text)) => Some(text.as_str()),
        _ => None,
    };
    parse(half("json"), half("meta")).expect("it was published")
}

fn outgoing(message: Message) -> Outgoing {
    match message {
        Message::Text(text) => Outgoing::Text(text),
        Message::Bytes(bytes) => Outgoing::Binary(bytes),
    }
}
