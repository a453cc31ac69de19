//! Several messages on one socket, as the object has them: read, decided about, called, answered; and events between them,
//! stored in SQLite and replayed.
//!
//! An input is a list of parts with the byte 0xFE between them, which UTF-8 never has. A part that begins with a byte of
//! [`Step`] is what happens beside the socket; any other is a message of the client.

use std::{cell::RefCell, rc::Rc};

use futures_util::{
    FutureExt, StreamExt, TryStreamExt,
    future::{AbortHandle, LocalBoxFuture},
    stream,
};
use serde::{Deserialize, Serialize};

use super::{
    frames::check_answer,
    tokens::{NOW_MS, good, keys},
};
use crate::{
    audience::AudienceRule,
    error::{Code, Error, Result},
    log::{
        Appended, EventId, Log, Record, Retention,
        test_database::{PREFIX, TestDatabase, USUAL, replay},
    },
    object::{
        calls::{Calls, Running},
        message::{self, Admitted, Asked, Refused, Route},
    },
    options::Options,
    procedure::{Answer, Input, Procedures, Reply, Upload},
    publish_options::PublishOptions,
    session::{Session, Subscription},
    subscription::{Subscribe, answer},
    token::{Generation, verify},
    wire::{
        BigInt, Body, ClientFrame, Date, Map, Outgoing, Request, Serialized, Set, StreamEventKind, Url,
        Value, decode_binary, decode_text, error_response, event_tail, expired_response, from_value, head,
        parse, response, serialize, stop_upload, stream_event, stream_response, text_response,
    },
};

const BETWEEN: u8 = 0xFE;

/// The only socket's key.
const SOCKET: u32 = 1;

/// What happens beside the socket.
mod step {
    /// Somebody publishes: the rest is `[event, options]`.
    pub(super) const PUBLISH: u8 = 1;
    /// Time passes: as many seconds as the next byte says.
    pub(super) const LATER: u8 = 2;
    /// What is past retention is removed.
    pub(super) const PRUNE: u8 = 3;
    /// The object has slept: nothing is left of it but what is stored.
    pub(super) const WAKE: u8 = 4;
}

/// Small enough for an input to pass over it.
const RETENTION: Retention = Retention { events: 8, bytes: 4_096, ..USUAL };

/// An input with more messages has nothing new to say, and takes its time.
const MAX_PARTS: usize = 32;

pub(super) fn check(input: &[u8]) {
    // The first byte says of which generation the client is, and whether it has a connection id.
    let Some((kind, input)) = input.split_first() else { return };
    let generation = if kind.is_multiple_of(2) { Generation::One } else { Generation::Two };
    let claims = verify(good(generation), keys(), NOW_MS).unwrap();
    let connection = (kind % 4 >= 2).then(|| "me".to_owned());
    let room = Room::default();
    let mut host = Host {
        room: &room,
        procedures: procedures(),
        session: Session::new(&claims, connection, true).encode().unwrap(),
        calls: Calls::new(&Options::default().max_call_bytes(64 * 1_024)),
        running: Vec::new(),
        database: None,
        log: None,
        published: Vec::new(),
        now_ms: NOW_MS,
    };
    for part in input.split(|byte| *byte == BETWEEN).take(MAX_PARTS) {
        match part.split_first() {
            Some((&step::PUBLISH, event)) => host.publish(event),
            Some((&step::LATER, seconds)) => {
                let seconds = seconds.first().copied().unwrap_or_default();
                host.now_ms += u64::from(seconds) * 1_000;
            }
            Some((&step::PRUNE, _)) => host.prune(),
            Some((&step::WAKE, _)) => host.wake(),
            _ => {
                if host.message(part) == Socket::Closed {
                    return;
                }
            }
        }
        host.run();
        if let Some(published) = room.said.take() {
            host.append(&published, &PublishOptions::default());
        }
    }
}

/// The object of an application.
#[derive(Default)]
struct Room {
    said: RefCell<Option<Value>>,
}

#[derive(Serialize, Deserialize)]
struct Typed {
    text: String,
    at: Option<Date>,
    big: Option<BigInt>,
    links: Option<Map<String, Set<Url>>>,
}

fn procedures() -> Procedures<Room, ()> {
    let echo = async |_: &Room, (), value: Value| Ok(value);
    let typed = async |_: &Room, (), typed: Typed| Ok(typed);
    let count = async |_: &Room, (), up_to: u8| Ok(stream::iter((0..up_to).map(Ok)));
    let sum = async |_: &Room, (), numbers: Upload<f64>| {
        numbers.try_fold(0.0, async |sum, number| Ok(sum + number)).await
    };
    let say = async |room: &Room, (), event: Value| {
        *room.said.try_borrow_mut()? = Some(event);
        Ok(())
    };
    let router = Procedures::new().procedure("typed", typed).stream("count", count);
    let router = router.upload("sum", sum).procedure("say", say);
    Procedures::new().procedure("echo", echo).nest("router", router).procedure("forbidden", echo)
}

#[derive(PartialEq)]
enum Socket {
    Open,
    Closed,
}

/// An event that was stored, and for whom.
struct Published {
    id: u64,
    rule: AudienceRule,
    json: String,
}

struct Host<'r> {
    room: &'r Room,
    procedures: Procedures<Room, ()>,
    /// Encoded, as it is between two messages.
    session: Vec<u8>,
    calls: Calls,
    running: Vec<(String, LocalBoxFuture<'r, Result<Reply>>)>,
    database: Option<TestDatabase>,
    log: Option<Log>,
    published: Vec<Published>,
    now_ms: u64,
}

impl<'r> Host<'r> {
    fn session(&self) -> Session {
        Session::decode(&self.session).expect("what was kept can be read")
    }

    fn keep(&mut self, session: &Session) {
        self.session = session.encode().expect("a token of this size fits");
        assert_eq!(self.session(), *session);
    }

    fn now_us(&self) -> u64 {
        self.now_ms * 1_000
    }

    fn message(&mut self, message: &[u8]) -> Socket {
        let decoded = match str::from_utf8(message) {
            Ok(text) => decode_text(text),
            Err(_) => decode_binary(message),
        };
        let frame = match decoded {
            Ok(frame) => frame,
            Err(error) => {
                let id = error.id.clone();
                return match message::refuse(error) {
                    Refused::Answered(answer) => {
                        check_answer(&id.expect("a call"), &answer);
                        Socket::Open
                    }
                    Refused::Closed { code, reason } => {
                        assert!([1007, 1008].contains(&code) && reason.len() < 123);
                        Socket::Closed
                    }
                };
            }
        };
        let mut session = self.session();
        match frame {
            ClientFrame::Request(request) => self.request(session, request),
            ClientFrame::Abort { id } => {
                if session.subscription.as_ref().is_some_and(|subscription| subscription.id == id) {
                    session.subscription = None;
                    self.keep(&session);
                } else {
                    self.calls.abort(SOCKET, &id);
                    if self.calls.is_running(SOCKET, &id) {
                        self.finish(&id);
                    }
                }
                Socket::Open
            }
            ClientFrame::Event { id, event } => {
                let is_expired = session.is_expired(self.now_ms);
                if let Some(answer) = message::upload(&mut self.calls, SOCKET, is_expired, &id, &event) {
                    check_answer(&id, &answer);
                }
                Socket::Open
            }
        }
    }

    fn request(&mut self, mut session: Session, request: Request<'_>) -> Socket {
        let id = request.id.clone().into_owned();
        if message::is_open(&session, &self.calls, SOCKET, &id) {
            return Socket::Closed;
        }
        if session.is_expired(self.now_ms) {
            check_answer(&id, &expired_response(&id, &message::token_expired()));
            return if session.claims.is_second { Socket::Closed } else { Socket::Open };
        }
        match message::route(&request.path, &self.procedures) {
            Route::Subscribe => {
                if let Some(previous) = session.subscription.take() {
                    let done = stream_event(&previous.id, StreamEventKind::Done, None, None);
                    check_answer(&previous.id, &Outgoing::Text(done));
                }
                self.subscribe(&session, &Subscribe::new(id.clone(), &request.headers));
                session.subscription = Some(Subscription { id, live: true });
                self.keep(&session);
            }
            Route::UpdateToken => {
                let renewed = request.body.into_value().map_err(Error::from).and_then(|input| {
                    message::renew(&session, input, keys(), &|channel| channel == "a", self.now_ms)
                });
                match renewed {
                    Ok(renewed) => {
                        assert_eq!(renewed.claims.tags, session.claims.tags);
                        assert_eq!(renewed.claims.is_second, session.claims.is_second);
                        assert!(!renewed.is_expired(self.now_ms));
                        self.keep(&renewed);
                        check_answer(&id, &response(&id, 200, Serialized::default()));
                    }
                    Err(error) => check_answer(&id, &error_response(&id, &error)),
                }
            }
            Route::Call => self.call(&session, &id, None, request),
            Route::Direct(path) => self.call(&session, &id, Some(path), request),
            Route::Nowhere => check_answer(&id, &text_response(&id, 404, "No procedure matched")),
        }
        Socket::Open
    }

    fn call(&mut self, session: &Session, id: &str, direct: Option<Vec<String>>, request: Request<'_>) {
        if self.calls.running(SOCKET) >= 4 {
            return check_answer(id, &error_response(id, &Error::new(Code::TooManyRequests)));
        }
        let held = self.calls.holds_nothing();
        let headers = request.headers.into_map();
        let (upload, asked) = if matches!(request.body, Body::Stream) {
            let (sender, upload) = Upload::<Value>::channel(4_096, Rc::clone(&held));
            (Some(sender), Asked::new(direct, Input::Stream(upload)))
        } else {
            (None, Asked::read(direct, request.body))
        };
        let admitted = message::admit(&self.procedures, session, asked).and_then(|admitted| {
            self.calls.hold(SOCKET, &held, admitted.memory(&headers))?;
            Ok(admitted)
        });
        let Admitted { path, input, handler } = match admitted {
            Ok(admitted) => admitted,
            Err(error) => return check_answer(id, &error_response(id, &error)),
        };
        assert!(["echo", "router"].contains(&path[0].as_str()), "{path:?} is not the token's");
        let (handle, _) = AbortHandle::new_pair();
        self.calls.start(SOCKET, id, Running { handle, upload, held });
        let room = self.room;
        self.running.push((id.to_owned(), async move { handler(room, (), input).await }.boxed_local()));
    }

    fn finish(&mut self, id: &str) {
        self.running.retain(|(other, _)| other != id);
        self.calls.finish(SOCKET, id);
    }

    /// Lets every call go on, and answers those that end.
    fn run(&mut self) {
        let mut ended = Vec::new();
        for (id, call) in &mut self.running {
            if let Some(result) = call.now_or_never() {
                ended.push((id.clone(), result));
            }
        }
        for (id, result) in ended {
            match result {
                Ok(Reply(Answer::Value(output))) => check_answer(&id, &response(&id, 200, output)),
                Ok(Reply(Answer::Stream(items))) => {
                    check_answer(&id, &Outgoing::Text(stream_response(&id, &[])));
                    let items = items.collect::<Vec<_>>().now_or_never().expect("items that are there");
                    for item in items {
                        let item = item.unwrap();
                        let kind = StreamEventKind::Message;
                        let event = stream_event(&id, kind, Some(&item.data), Some(&item.meta));
                        check_answer(&id, &Outgoing::Text(event));
                    }
                }
                Err(error) => check_answer(&id, &error_response(&id, &error)),
            }
            if self.calls.upload(SOCKET, &id).is_some() {
                check_answer(&id, &Outgoing::Text(stop_upload(&id)));
            }
            self.finish(&id);
        }
    }

    /// Works on the log, which is opened when it is needed.
    fn with_log<R>(&mut self, work: impl FnOnce(&mut Log, &TestDatabase) -> R) -> R {
        let database = self.database.get_or_insert_with(TestDatabase::new);
        let log = self.log.get_or_insert_with(|| Log::open(database, PREFIX, RETENTION).unwrap());
        work(log, database)
    }

    fn publish(&mut self, input: &[u8]) {
        let Ok(text) = str::from_utf8(input) else { return };
        let Ok(input) = parse(Some(text), None) else { return };
        let Ok((event, options)) = from_value::<(Value, Option<Value>)>(input) else { return };
        if let Ok(options) = options.map_or_else(|| Ok(PublishOptions::default()), PublishOptions::read) {
            self.append(&event, &options);
        }
    }

    fn append(&mut self, event: &Value, options: &PublishOptions) {
        let Ok(Serialized { json: Some(json), meta, blobs }) = serialize(event) else { return };
        if !blobs.is_empty() {
            return;
        }
        let Ok(event_meta) = options.meta() else { return };
        let extra = event_meta.to_extra();
        let rule = options.audience().rule;
        let audience = rule.to_text();
        let record = Record {
            json: &json,
            meta: meta.as_deref(),
            extra: extra.as_deref(),
            audience: audience.as_deref(),
        };
        let (now_us, key) = (self.now_us(), options.idempotency_key());
        let appended = self.with_log(|log, database| match key {
            Some(key) => log.append_once(database, now_us, &record, key),
            None => log.append(database, now_us, &record).map(Appended::Now),
        });
        match appended {
            Ok(Appended::Now(id)) => {
                let id = id.as_micros();
                assert!(self.published.last().is_none_or(|last| last.id < id), "ids grow");
                let session = self.session();
                if let Some(Subscription { id: call, live: true }) = &session.subscription {
                    let tail = event_tail(&json, record.meta, record.extra, id);
                    check_answer(call, &Outgoing::Text(head(call) + &tail));
                }
                self.published.push(Published { id, rule, json });
            }
            Ok(Appended::Before(id)) => {
                assert!(self.published.iter().any(|published| published.id == id.as_micros()));
            }
            Err(_) => assert!(!matches!(event, Value::Object(_)) || key.is_some(), "an object can be stored"),
        }
        self.with_log(|log, database| log.tidy(database, now_us).unwrap());
    }

    fn prune(&mut self) {
        let now_us = self.now_us();
        self.with_log(|log, database| log.prune(database, now_us).unwrap());
    }

    fn wake(&mut self) {
        self.log = None;
        self.running.clear();
        self.calls.abort_all(SOCKET);
    }

    /// Everything after the place that the client tells, in order, or a gap; and nothing that is meant for others.
    fn subscribe(&mut self, session: &Session, ask: &Subscribe) {
        let now_us = self.now_us();
        let from = ask.from(session, false);
        let (resume, events) = self.with_log(|log, database| {
            let resume = log.resume(database, now_us, from).unwrap();
            (resume, replay(log, database, resume.after, now_us).0)
        });
        check_answer(&ask.id, &Outgoing::Text(answer(&ask.id, resume.gap)));
        let admits =
            |rule: &AudienceRule| rule.admits(session.connection.as_deref(), &session.claims.tags, false);
        let sent: Vec<u64> = events
            .iter()
            .filter(|event| admits(&AudienceRule::stored(event.audience.as_deref())))
            .map(|event| {
                check_answer(&ask.id, &Outgoing::Text(head(&ask.id) + &event.tail));
                event.id
            })
            .collect();
        // By the word of who published them, from where the log promises all.
        let begin = resume.gap.map_or(resume.after, |gap| gap.as_micros() - 1);
        let horizon = RETENTION.horizon(now_us);
        let expected: Vec<u64> = self
            .published
            .iter()
            .filter(|published| published.id > begin && published.id > horizon && admits(&published.rule))
            .map(|published| published.id)
            .collect();
        assert_eq!(sent, expected);
        if let Some(seen) = ask.last_event_id.as_deref().and_then(|id| id.parse::<EventId>().ok())
            && resume.gap.is_none()
        {
            assert_eq!(resume.after, seen.as_micros(), "a whole resume begins where the client is");
        }
        for event in &events {
            let published = self.published.iter().find(|published| published.id == event.id);
            assert!(event.tail.contains(&published.expect("it was published").json));
        }
    }
}
