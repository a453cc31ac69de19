//! Presence and the close hook on the test kit.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)] // all of it is a test

use durable_event_iterator::{
    Audience, Call, Channel, ClientKind, Date, DurableEventIteratorObject, EventId, Member, Options,
    Presence, PresenceEvent, PresenceMember, Procedures, PublishOptions, Result, SocketOf, StatsQuery,
    Subscribed, Token, TokenBuilder, Undefined, Value,
};
use durable_event_test::{Content, TestObject, TestSocket};
use serde::{Deserialize, Serialize};
use std::{cell::RefCell, collections::BTreeMap, time::Duration};
use worker::Env;

const GRACE: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Event {
    Message { text: String },
    Presence(PresenceEvent),
}

fn message(text: &str) -> Event {
    Event::Message { text: text.to_owned() }
}

/// What `on_closed` has seen: subject, custom attachment, and the number of the sockets.
type Closed = (String, Option<String>, usize);

thread_local! {
    static CLOSED: RefCell<Vec<Closed>> = const { RefCell::new(Vec::new()) };
}

macro_rules! room {
    ($name:ident, $options:expr) => {
        struct $name {
            channel: Channel<Event, Option<BTreeMap<String, Value>>, String>,
        }

        impl DurableEventIteratorObject for $name {
            type Channel = Channel<Event, Option<BTreeMap<String, Value>>, String>;

            fn new(channel: Self::Channel, _: Env) -> Result<Self> {
                Ok(Self { channel })
            }

            fn options(_: &Env) -> Options {
                $options
            }

            fn procedures() -> Procedures<Self, Call<Self>> {
                Procedures::new()
                    .procedure("keep", async |_: &Self, call: Call<Self>, text: String| {
                        call.socket.set_attachment(&text)
                    })
                    .procedure("state", async |_: &Self, call: Call<Self>, state: Value| {
                        call.socket.set_presence(&state)
                    })
                    .procedure("wait", async |_: &Self, _, ()| {
                        std::future::pending::<()>().await;
                        Ok(())
                    })
            }

            fn on_subscribed(&self, client: &Subscribed<Self>) -> Result<()> {
                let greeting = client.socket.attachment()?;
                if greeting.as_deref() == Some("with a state") {
                    client.socket.set_presence("from the server")?;
                }
                if greeting.as_deref() == Some("closing") {
                    client.socket.close(4000, "closing");
                }
                if greeting.as_deref() == Some("failing") {
                    return Err(durable_event_iterator::Error::new(durable_event_iterator::Code::Conflict));
                }
                Ok(())
            }

            fn on_closed(&self, socket: &SocketOf<Self>) -> Result<()> {
                let name =
                    socket.token_attachment()?.and_then(|att| Some(format!("{:?}", att.get("userId")?)));
                let closed = (name.unwrap_or_default(), socket.attachment()?, self.channel.sockets()?.len());
                CLOSED.with_borrow_mut(|list| list.push(closed));
                Ok(())
            }
        }
    };
}

room!(Room, Options::default().presence(Presence::by_subject()));
room!(Immediate, Options::default().presence(Presence::by_connection().grace(Duration::ZERO)));
room!(ByAttachment, Options::default().presence(Presence::by_attachment("userId")));
room!(Plain, Options::default());

fn token(subject: &str) -> TokenBuilder {
    Token::builder("test")
        .subject(subject)
        .procedures(["setPresence", "keep", "state", "wait"])
        .lifetime(Duration::from_secs(600))
}

/// Returns the presence events that a client has received, and forgets all events.
fn presence<O: DurableEventIteratorObject>(client: &TestSocket<O>) -> Vec<PresenceEvent> {
    let events = client.events_as::<Event>();
    let _ = client.take_messages();
    events
        .into_iter()
        .filter_map(|event| match event {
            Event::Presence(event) => Some(event),
            Event::Message { .. } => None,
        })
        .collect()
}

fn ids(members: &[PresenceMember]) -> Vec<&str> {
    members.iter().map(|member| member.id.as_str()).collect()
}

fn joined(id: &str) -> PresenceEvent {
    event(|event| event.joined = vec![member(id)])
}

fn left(id: &str) -> PresenceEvent {
    event(|event| event.left = vec![id.to_owned()])
}

fn event(set: impl FnOnce(&mut PresenceEvent)) -> PresenceEvent {
    let mut event =
        PresenceEvent { own_id: None, members: None, joined: vec![], changed: vec![], left: vec![] };
    set(&mut event);
    event
}

fn list(own_id: Option<&str>, members: &[&str]) -> PresenceEvent {
    event(|event| {
        event.own_id = own_id.map(str::to_owned);
        event.members = Some(members.iter().copied().map(member).collect());
    })
}

fn member(id: &str) -> PresenceMember {
    PresenceMember { id: id.to_owned(), state: None }
}

fn members(room: &TestObject<Room>) -> Vec<(String, Option<Value>, usize)> {
    let members = room.object().channel.members().unwrap();
    members.into_iter().map(|Member { id, state, connections, .. }| (id, state, connections)).collect()
}

fn join(room: &TestObject<Room>, subject: &str) -> TestSocket<Room> {
    let client = room.connect_as(token(subject), &format!("{subject}-1")).unwrap();
    client.subscribe();
    client
}

#[test]
fn members_join_and_leave_after_the_grace_period() {
    let room = TestObject::<Room>::new();
    let anna = join(&room, "anna");
    assert_eq!(presence(&anna), [list(Some("anna"), &["anna"])]);
    room.advance(INTERVAL);
    let bert = join(&room, "bert");
    assert_eq!(presence(&bert), [list(Some("bert"), &["anna", "bert"])]);
    assert_eq!(presence(&anna), [joined("bert")]);
    assert!(room.hibernate(), "an idle channel hibernates");

    bert.close(1000);
    room.advance(GRACE - Duration::from_millis(1));
    assert_eq!(presence(&anna), []);
    assert!(!room.hibernate(), "the timer is pending");
    assert_eq!(members(&room), [("anna".to_owned(), None, 1), ("bert".to_owned(), None, 0)]);
    room.advance(Duration::from_millis(1));
    assert_eq!(presence(&anna), [left("bert")]);
    assert!(room.hibernate());
    room.publish(&message("wakes")).unwrap();
    assert_eq!(presence(&anna), []);
    assert_eq!(members(&room), [("anna".to_owned(), None, 1)]);
}

#[test]
fn a_reconnect_within_the_grace_period_causes_no_event_and_keeps_the_state() {
    let room = TestObject::<Room>::new();
    let anna = join(&room, "anna");
    let bert = join(&room, "bert");
    bert.call(["setPresence"], "writing").unwrap();
    room.advance(INTERVAL);
    presence(&anna);
    bert.lose();
    room.advance(GRACE / 2);
    let bert = join(&room, "bert");
    room.advance(GRACE * 2);
    assert_eq!(presence(&anna), []);
    let with_state = PresenceMember { id: "bert".into(), state: Some("writing".into()) };
    let list = event(|event| {
        (event.own_id, event.members) = (Some("bert".into()), Some(vec![member("anna"), with_state]))
    });
    assert_eq!(presence(&bert), [list]);
    // The new socket keeps it.
    assert!(room.hibernate());
    assert_eq!(members(&room)[1], ("bert".to_owned(), Some("writing".into()), 1));
}

#[test]
fn changes_are_batched_after_the_first_one() {
    let room = TestObject::<Room>::new();
    let watch = join(&room, "watch");
    room.advance(INTERVAL);
    presence(&watch);
    let clients = ["a", "b", "c"].map(|subject| join(&room, subject));
    assert_eq!(presence(&watch), [joined("a")]);
    clients[0].call(["setPresence"], &1).unwrap();
    clients[0].call(["setPresence"], &2).unwrap();
    assert_eq!(presence(&watch), []);
    room.advance(INTERVAL);
    let changed = PresenceMember { id: "a".into(), state: Some(2.into()) };
    let update =
        event(|event| (event.joined, event.changed) = (vec![member("b"), member("c")], vec![changed]));
    assert_eq!(presence(&watch), std::slice::from_ref(&update));
    assert_eq!(presence(&clients[2]), [list(Some("c"), &["a", "b", "c", "watch"]), update]);
    // Setting the same state again changes nothing.
    clients[0].call(["setPresence"], &2).unwrap();
    room.advance(INTERVAL);
    assert_eq!(presence(&watch), []);
}

#[test]
fn a_member_has_all_sockets_of_its_subject_and_the_latest_state() {
    let room = TestObject::<Room>::new();
    let watch = join(&room, "watch");
    let phone = room.connect_as(token("anna"), "phone").unwrap();
    phone.subscribe();
    let laptop = room.connect_as(token("anna"), "laptop").unwrap();
    laptop.subscribe();
    phone.call(["setPresence"], "phone").unwrap();
    laptop.call(["state"], "laptop").unwrap();
    room.advance(INTERVAL);
    presence(&watch);
    assert_eq!(members(&room)[0], ("anna".to_owned(), Some("laptop".into()), 2));
    laptop.close(1000);
    room.advance(GRACE * 2);
    assert_eq!(presence(&watch), []);
    // The other socket keeps the state.
    assert!(room.hibernate());
    assert_eq!(members(&room)[0], ("anna".to_owned(), Some("laptop".into()), 1));
    phone.call(["setPresence"], &Undefined).unwrap();
    assert_eq!(presence(&watch), [event(|event| event.changed = vec![member("anna")])]);
    assert!(room.hibernate());
    assert_eq!(members(&room)[0], ("anna".to_owned(), None, 1));
}

#[test]
fn a_socket_without_a_subscription_sets_the_state_of_its_member() {
    let room = TestObject::<Room>::new();
    let watch = join(&room, "watch");
    let _anna = join(&room, "anna");
    room.advance(INTERVAL);
    presence(&watch);
    // As for a call over HTTP.
    let call = room.connect_as(token("anna"), "anna").unwrap();
    call.call(["setPresence"], "typing").unwrap();
    call.close(1000);
    room.advance(INTERVAL);
    let anna = PresenceMember { id: "anna".into(), state: Some("typing".into()) };
    assert_eq!(presence(&watch), [event(|event| event.changed = vec![anna])]);
    assert!(room.hibernate());
    assert_eq!(members(&room)[0], ("anna".to_owned(), Some("typing".into()), 1));
}

#[test]
fn the_server_sets_the_state_with_which_a_member_joins() {
    let room = TestObject::<Room>::new();
    let watch = join(&room, "watch");
    room.advance(INTERVAL);
    presence(&watch);
    let client = room.connect_as(token("anna"), "c").unwrap();
    client.call(["keep"], "with a state").unwrap();
    client.subscribe();
    let anna = PresenceMember { id: "anna".into(), state: Some("from the server".into()) };
    assert_eq!(presence(&watch), [event(|event| event.joined = vec![anna])]);

    // A subscription that fails makes no member.
    let failing = room.connect_as(token("bert"), "b").unwrap();
    failing.call(["keep"], "failing").unwrap();
    failing.subscribe();
    assert_eq!(members(&room).len(), 2);
    room.advance(GRACE * 2);
    assert_eq!(presence(&failing), []);
    assert_eq!(members(&room).len(), 2);
}

#[test]
fn states_have_all_types_and_limits() {
    let room = TestObject::<Room>::new();
    let anna = join(&room, "anna");
    let date = Value::from(Date::from_millis(1_800_000_000_000));
    let state =
        Value::Object([("since", date)].into_iter().map(|(key, value)| (key.to_owned(), value)).collect());
    anna.call(["setPresence"], &state).unwrap();
    room.advance(INTERVAL);
    // The buffer of a tagged enum has the JSON form of types, so the test reads the value.
    let Value::Object(mut event) = anna.events().pop().unwrap().value else { panic!("an object") };
    let changed = Value::Array(vec![Value::Object(
        [("id".to_owned(), "anna".into()), ("state".to_owned(), state.clone())].into_iter().collect(),
    )]);
    assert_eq!(event.remove("changed"), Some(changed));
    let _ = anna.take_messages();
    assert_eq!(members(&room)[0].1, Some(state.clone()));
    let bert = join(&room, "bert");
    assert!(format!("{:?}", bert.events()[0].value).contains("Date(Date(Some(1800000000000)))"));

    let fits = "x".repeat(1_022);
    anna.call(["setPresence"], &fits).unwrap();
    let error = anna.call(["setPresence"], &"x".repeat(1_023)).unwrap_err();
    assert_eq!((error.code.as_str(), error.status), ("PAYLOAD_TOO_LARGE", 413));
    assert_eq!(error.message, "A presence state must be at most 1024 bytes of JSON, got 1025.");
    let error = anna.call(["setPresence"], &durable_event_iterator::Blob::new(vec![1])).unwrap_err();
    assert_eq!((error.code.as_str(), error.status), ("BAD_REQUEST", 400));
    assert_eq!(members(&room)[0].1, Some(fits.into()));

    // The token must list the procedure, and presence must be on.
    let other = room.connect(Token::builder("test").subject("other")).unwrap();
    assert_eq!(other.call(["setPresence"], &1).unwrap_err().code, "FORBIDDEN");
    let plain = TestObject::<Plain>::new();
    let client = plain.connect(token("anna")).unwrap();
    assert_eq!(client.call(["setPresence"], &1).unwrap_err().code, "NOT_FOUND");
    assert_eq!(client.call(["state"], &1).unwrap_err().code, "INTERNAL_SERVER_ERROR");
    assert_eq!(plain.object().channel.members().unwrap_err().code(), "NOT_FOUND");
}

#[test]
fn an_eviction_during_a_grace_period_is_made_up_for_by_the_full_list() {
    for wake in ["publish", "join", "members", "close", "stats", "state"] {
        let room = TestObject::<Room>::new();
        let (anna, bert) = (join(&room, "anna"), join(&room, "bert"));
        let carl = join(&room, "carl");
        carl.close(1000);
        room.advance(INTERVAL);
        presence(&anna);
        room.evict();
        match wake {
            "publish" => drop(room.publish(&message("x")).unwrap()),
            "join" => drop(join(&room, "dora")),
            "members" => drop(members(&room)),
            "stats" => drop(room.object().channel.stats(&StatsQuery::new()).unwrap()),
            // A socket without a subscription.
            "state" => {
                let call = room.connect_as(token("nobody"), "call").unwrap();
                call.call(["setPresence"], &1).unwrap();
            }
            _ => bert.close(1000),
        }
        room.advance(INTERVAL);
        let lists: Vec<_> = presence(&anna).into_iter().filter_map(|event| event.members).collect();
        let expected: &[&str] = if wake == "join" { &["anna", "bert", "dora"] } else { &["anna", "bert"] };
        assert_eq!(lists.iter().map(|list| ids(list)).collect::<Vec<_>>(), [expected], "{wake}");
        room.advance(GRACE * 2);
        assert!(room.hibernate(), "{wake}: nothing is pending any more");
        presence(&anna);
        room.publish(&message("x")).unwrap();
        assert_eq!(presence(&anna), [], "{wake}: the list is sent once");
    }
}

#[test]
fn sockets_that_close_while_the_durable_object_hibernates_leave() {
    let room = TestObject::<Room>::new();
    let (anna, bert) = (join(&room, "anna"), join(&room, "bert"));
    let carl = join(&room, "carl");
    room.advance(INTERVAL);
    presence(&anna);
    assert!(room.hibernate());
    bert.close(1000);
    carl.lose();
    room.advance(GRACE);
    assert_eq!(
        presence(&anna).into_iter().flat_map(|event| event.left).collect::<Vec<_>>(),
        ["bert", "carl"]
    );
    assert_eq!(members(&room), [("anna".to_owned(), None, 1)]);
}

#[test]
fn an_abort_and_an_expired_token_leave() {
    let room = TestObject::<Room>::new();
    let anna = room.connect_as(token("anna").lifetime(Duration::from_secs(6_000)), "anna").unwrap();
    anna.subscribe();
    let bert = room.connect_as(token("bert").lifetime(Duration::from_secs(60)), "b").unwrap();
    let call = bert.subscribe();
    room.advance(INTERVAL);
    presence(&anna);
    bert.abort(&call);
    room.advance(GRACE);
    assert_eq!(presence(&anna), [left("bert")]);
    room.advance(INTERVAL);
    bert.subscribe();
    assert_eq!(presence(&anna), [joined("bert")]);
    room.advance(Duration::from_secs(60));
    room.publish(&message("x")).unwrap();
    room.advance(GRACE);
    assert_eq!(presence(&anna), [left("bert")]);
    assert!(bert.is_open());

    // The socket of a `DurableIterator` client is closed.
    let carl = token("carl").for_clients(ClientKind::DurableIterator).lifetime(Duration::from_secs(60));
    let carl = room.connect_as(carl, "c").unwrap();
    carl.subscribe();
    room.advance(Duration::from_secs(61));
    room.publish(&message("x")).unwrap();
    room.advance(GRACE);
    assert_eq!(presence(&anna), [joined("carl"), left("carl")]);
    assert!(!carl.is_open());
}

#[test]
fn without_a_key_or_connection_id_each_socket_is_a_member() {
    let room = TestObject::<Immediate>::new();
    let plain = || Token::builder("test");
    let (first, second) = (room.connect(plain()).unwrap(), room.connect(plain()).unwrap());
    first.subscribe();
    second.subscribe();
    let third = room.connect_as(plain(), "secret-connection").unwrap();
    third.subscribe();
    let list = presence(&third);
    let members = list[0].members.clone().unwrap();
    assert_eq!(members.len(), 3);
    assert!(members.iter().all(|member| member.id.len() == 22), "{members:?}");
    let before: Vec<_> = ids(&members).into_iter().map(str::to_owned).collect();
    room.advance(INTERVAL);
    assert!(room.hibernate());
    let after: Vec<_> =
        room.object().channel.members().unwrap().into_iter().map(|member| member.id).collect();
    assert_eq!(after, before, "the ids are the same after hibernation");
    presence(&first);
    second.close(1000);
    room.advance(INTERVAL);
    assert_eq!(presence(&first)[0].left.len(), 1, "without a grace period, a member leaves at once");
    assert!(room.hibernate());
}

#[test]
fn a_token_refresh_may_change_the_member() {
    let room = TestObject::<ByAttachment>::new();
    let attached = |user: &str| {
        Token::builder("test")
            .for_clients(ClientKind::DurableIterator)
            .attachment(&BTreeMap::from([("userId", user)]))
    };
    let watch = room.connect_as(attached("watch"), "w").unwrap();
    watch.subscribe();
    let client = room.connect_as(attached("anna"), "c").unwrap();
    client.subscribe();
    room.advance(INTERVAL);
    room.advance(INTERVAL);
    presence(&watch);
    client.refresh_token(&room.sign(attached("bert"))).unwrap();
    assert_eq!(presence(&watch), [joined("bert")]);
    room.advance(GRACE);
    assert_eq!(presence(&watch), [left("anna")]);
}

#[test]
fn a_token_refresh_does_not_pass_the_state_on_to_another_member() {
    let room = TestObject::<ByAttachment>::new();
    let attached = |user: &str| {
        token("one subject")
            .for_clients(ClientKind::DurableIterator)
            .attachment(&BTreeMap::from([("userId", user)]))
    };
    let watch = room.connect_as(attached("watch"), "w").unwrap();
    watch.subscribe();
    let states = || -> Vec<_> {
        let members = room.object().channel.members().unwrap().into_iter();
        members.filter_map(|Member { id, state, .. }| Some((id, state?))).collect()
    };
    let of = |user: &str| vec![(user.to_owned(), Value::from("of anna"))];
    for is_subscribed in [true, false] {
        let (client, other) = (
            room.connect_as(attached("anna"), "c").unwrap(),
            room.connect_as(attached("anna"), "d").unwrap(),
        );
        if is_subscribed {
            client.subscribe();
        }
        client.call(["setPresence"], "of anna").unwrap();
        client.refresh_token(&room.sign(attached("bert"))).unwrap();
        if is_subscribed {
            // The other member keeps it.
            assert_eq!(states(), of("anna"));
            other.subscribe();
            room.advance(GRACE);
            assert!(room.hibernate());
            assert_eq!(states(), of("anna"));
        } else {
            client.subscribe();
            assert_eq!(states(), []);
        }
        client.close(1000);
        other.close(1000);
        room.advance(GRACE);
    }
}

#[test]
fn a_token_refresh_may_make_a_member_a_reader_of_every_audience_and_back() {
    for hibernates in [false, true] {
        let room = TestObject::<Room>::new();
        let watch = join(&room, "watch");
        let anna = |every: bool| {
            let token = token("anna").for_clients(ClientKind::DurableIterator);
            if every { token.every_audience() } else { token }
        };
        let client = room.connect_as(anna(false), "a").unwrap();
        let call = client.subscribe();
        client.call(["setPresence"], "of a member").unwrap();
        room.advance(INTERVAL * 2);
        let pause = || {
            if hibernates {
                assert!(room.hibernate());
            }
        };
        pause();
        presence(&watch);
        client.refresh_token(&room.sign(anna(true))).unwrap();
        room.advance(GRACE);
        assert_eq!(presence(&watch), [left("anna")]);
        room.advance(INTERVAL);
        pause();
        client.refresh_token(&room.sign(anna(false))).unwrap();
        assert_eq!(presence(&watch), [joined("anna")], "without the state of the member who has left");
        room.advance(INTERVAL);
        pause();
        client.refresh_token(&room.sign(anna(true))).unwrap();
        client.abort(&call);
        client.refresh_token(&room.sign(anna(false))).unwrap();
        room.advance(GRACE);
        assert_eq!(presence(&watch), [left("anna")], "it has no subscription");
        client.close(1000);
        pause();
        room.advance(GRACE);
        assert_eq!(presence(&watch), []);
        assert_eq!(members(&room).len(), 1);
    }
}

/// Connects as the HTTP endpoint does for a call.
fn connect_for_call(room: &TestObject<Room>, token: TokenBuilder, id: &str) -> TestSocket<Room> {
    room.connect_with(&format!("token={}&id={id}&call=1", room.sign(token))).unwrap()
}

#[test]
fn a_call_over_http_sets_the_state_of_a_member_in_its_grace_period() {
    for is_lost in [true, false] {
        let room = TestObject::<Room>::new();
        let (watch, bert) = (join(&room, "watch"), join(&room, "bert"));
        bert.call(["setPresence"], "first").unwrap();
        room.advance(INTERVAL);
        if is_lost {
            bert.lose();
        } else {
            // Its socket has closed, which is not handled yet.
            room.channel().sockets().unwrap()[1].close(4000, "bye");
        }
        presence(&watch);
        let call = connect_for_call(&room, token("bert"), "bert");
        call.call(["setPresence"], "away").unwrap();
        call.close(1000);
        room.advance(INTERVAL);
        let away = PresenceMember { id: "bert".into(), state: Some("away".into()) };
        assert_eq!(presence(&watch), [event(|event| event.changed = vec![away.clone()])]);
        let bert = join(&room, "bert");
        let list = presence(&bert).remove(0).members.unwrap();
        assert_eq!(list, [away, member("watch")]);
        // The new socket keeps it.
        room.advance(GRACE);
        assert!(room.hibernate());
        assert_eq!(members(&room)[0], ("bert".to_owned(), Some("away".into()), 1));
        // A state lasts until the member has left.
        bert.close(1000);
        let call = connect_for_call(&room, token("bert"), "bert");
        call.call(["setPresence"], &Undefined).unwrap();
        call.call(["setPresence"], "back").unwrap();
        room.advance(GRACE);
        assert_eq!(call.call(["setPresence"], "late").unwrap_err().code, "CONFLICT");
        assert_eq!(presence(&join(&room, "bert"))[0].members.as_ref().unwrap()[0], member("bert"));
    }
}

#[test]
fn a_call_over_http_of_a_client_that_is_not_a_member_is_rejected() {
    let room = TestObject::<Room>::new();
    for call in [
        connect_for_call(&room, token("anna"), "a"),
        connect_for_call(&room, token("reader").every_audience(), "r"),
        room.connect_with(&format!(
            "token={}&call=1",
            room.sign(Token::builder("test").procedures(["state"]))
        ))
        .unwrap(),
    ] {
        let error = call.call(["state"], "lost").unwrap_err();
        assert_eq!((error.code.as_str(), error.status), ("CONFLICT", 409));
        assert_eq!(
            error.message,
            "Only a member of the channel has a presence state: subscribe before you set it."
        );
        call.close(1000);
    }
    assert_eq!(members(&room), []);
    // A WebSocket may subscribe later.
    let socket = room.connect_as(token("anna"), "a").unwrap();
    socket.call(["setPresence"], "early").unwrap();
    socket.subscribe();
    assert_eq!(members(&room), [("anna".to_owned(), Some("early".into()), 1)]);
}

#[test]
fn a_long_list_has_parts_of_which_the_last_one_has_the_own_id() {
    let room = TestObject::<Room>::new();
    let clients: Vec<_> = (0..1_000)
        .map(|n| {
            let client = room.connect_as(token(&format!("member {n:04}")), &format!("c{n}")).unwrap();
            client.call(["setPresence"], &"x".repeat(200)).unwrap();
            client.subscribe();
            let _ = client.take_messages();
            client
        })
        .collect();
    room.advance(Duration::from_secs(1));
    let newcomer = join(&room, "newcomer");
    let parts = presence(&newcomer);
    assert!((3..6).contains(&parts.len()), "{}", parts.len());
    let (last, others) = parts.split_last().unwrap();
    assert_eq!(last.own_id.as_deref(), Some("newcomer"));
    assert!(others.iter().all(|part| part.own_id.is_none()));
    assert!(parts[0].members.is_some() && parts[1..].iter().all(|part| part.members.is_none()));
    let all: Vec<_> =
        parts.iter().flat_map(|part| part.members.iter().flatten().chain(&part.joined)).collect();
    assert_eq!(all.len(), 1_001);
    // Everyone has received the others.
    let last = clients.last().unwrap();
    assert_eq!(presence(last).iter().flat_map(|event| &event.joined).count(), 1_000);
}

#[test]
fn a_parked_subscription_stays_a_member() {
    let room = TestObject::<Room>::new();
    let watch = join(&room, "watch");
    let slow = room.connect_as(token("slow"), "s").unwrap();
    slow.send_text(r#"{"i":"1","p":{"u":"/subscribe","b":{},"h":{"x-durable-event-flow":"1"}}}"#);
    room.advance(INTERVAL);
    presence(&watch);
    let text = "x".repeat(100_000);
    for _ in 0..4 {
        room.publish(&message(&text)).unwrap();
    }
    assert!(slow.received().iter().any(|received| matches!(received.content, Content::Parked { .. })));
    room.advance(GRACE * 2);
    assert_eq!(presence(&watch), []);
    assert!(room.hibernate());
    assert_eq!(members(&room).len(), 2);
    slow.close(1000);
    room.advance(GRACE);
    assert_eq!(presence(&watch), [left("slow")]);
}

#[test]
fn events_are_sent_after_a_transaction() {
    let room = TestObject::<Room>::new();
    let (anna, bert) = (join(&room, "anna"), join(&room, "bert"));
    room.advance(INTERVAL);
    presence(&anna);
    presence(&bert);
    room.advance(INTERVAL);
    let object = room.object();
    let result = object.channel.transaction(|_| -> Result<()> {
        for socket in object.channel.sockets()? {
            socket.set_presence(&socket.connection_id())?;
        }
        assert_eq!(bert.events(), []);
        Ok(())
    });
    result.unwrap();
    drop(object);
    room.run_until_idle();
    assert_eq!(presence(&anna)[0].changed.len(), 2);
}

#[test]
fn the_hook_is_called_once_for_each_socket_that_has_closed() {
    let room = TestObject::<Room>::new();
    let connect = |name: &str| {
        let attachment = BTreeMap::from([("userId", name)]);
        let client = room.connect_as(token(name).attachment(&attachment), name).unwrap();
        client.call(["keep"], &format!("{name}'s")).unwrap();
        client
    };
    let [closing, losing, closed, hibernating] = ["closing", "losing", "closed", "hibernating"].map(connect);
    let seen = || CLOSED.take();
    let of = |name: &str, rest: usize| vec![(format!("String({name:?})"), Some(format!("{name}'s")), rest)];
    assert_eq!(seen(), []);
    closing.close(1000);
    assert_eq!(seen(), of("closing", 3));
    losing.lose();
    assert_eq!(seen(), of("losing", 2));
    let sockets = room.object().channel.sockets().unwrap();
    let socket = sockets.iter().find(|socket| socket.connection_id() == Some("closed")).unwrap();
    socket.close(4000, "by the Durable Object");
    drop(sockets);
    room.run_until_idle();
    assert_eq!(seen(), of("closed", 1));
    assert!(!closed.is_open());
    assert!(room.hibernate());
    hibernating.close(None);
    assert_eq!(seen(), of("hibernating", 0));
    assert_eq!(room.take_log(), Vec::<String>::new());
}

/// Subscribes with flow control, after the event `after`.
fn subscribe_with_flow<O: DurableEventIteratorObject>(
    client: &TestSocket<O>,
    call: &str,
    after: Option<EventId>,
) {
    let after = after.map(|id| format!(r#","last-event-id":"{id}""#)).unwrap_or_default();
    client.send_text(format!(
        r#"{{"i":"{call}","p":{{"u":"/subscribe","b":{{}},"h":{{"x-durable-event-flow":"1"{after}}}}}}}"#
    ));
}

/// Returns the first characters of the messages, and the cursor of the parked subscription, and forgets both.
fn read_all<O: DurableEventIteratorObject>(client: &TestSocket<O>) -> (String, Option<EventId>) {
    let (mut texts, mut parked) = (String::new(), None);
    for received in client.received() {
        match received.content {
            Content::Parked { after } => parked = after,
            Content::Event(event) => {
                if let Event::Message { text } = event.to().unwrap() {
                    texts.extend(text.chars().next());
                }
            }
            _ => {}
        }
    }
    let _ = client.take_messages();
    (texts, parked)
}

/// Sends the events 5–7 to a reader with little room, after `cause` has made a presence event due meanwhile.
fn send_to_slow_reader<O>(sending: &str, filling: usize, cause: impl FnOnce(&TestObject<O>, TestSocket<O>))
where
    O: DurableEventIteratorObject<Channel = Channel<Event, Option<BTreeMap<String, Value>>, String>>,
{
    let text = |n: usize, size: usize| message(&format!("{n}{}", "x".repeat(size)));
    let room = TestObject::<O>::new();
    let anna = room.connect_as(token("anna"), "anna").unwrap();
    anna.subscribe();
    let slow = room.connect_as(token("slow"), "s").unwrap();
    subscribe_with_flow(&slow, "1", None);
    let leaving = room.connect_as(token("leaving").lifetime(Duration::from_secs(60)), "l").unwrap();
    leaving.subscribe();
    room.advance(INTERVAL * 2);
    for n in 0..filling {
        room.publish(&text(n, 60_000)).unwrap();
    }
    let (mut read, parked) = read_all(&slow);
    assert_eq!((read.len(), parked), (filling, None));
    cause(&room, leaving);
    let events = [text(5, 60_000), text(6, 10), text(7, 10)];
    match sending {
        "single" => events.iter().for_each(|event| {
            room.publish(event).unwrap();
        }),
        "batch" => {
            let events = events.iter().map(|event| (event, PublishOptions::new()));
            room.publish_batch_with(events).unwrap();
        }
        _ => {
            let channel = room.channel();
            let publish = |event: &Event| channel.publish(event).map(drop);
            channel.transaction(|_| events.iter().try_for_each(publish)).unwrap();
        }
    }
    room.run_until_idle();
    let (first, parked) = read_all(&slow);
    assert!(parked.is_some(), "{sending}, {filling}: parked");
    read.push_str(&first);
    subscribe_with_flow(&slow, "2", parked);
    room.advance(INTERVAL);
    read.push_str(&read_all(&slow).0);
    assert_eq!(read, format!("{}567", "01234".get(..filling).unwrap()), "{sending}");
    room.advance(GRACE);
    let left = presence(&anna).into_iter().any(|event| !event.left.is_empty() || event.members.is_some());
    assert!(left, "{sending}, {filling}: the presence event was sent");
}

#[test]
fn a_full_reader_misses_no_event_when_presence_is_sent_meanwhile() {
    for sending in ["single", "batch", "transaction"] {
        send_to_slow_reader::<Room>(sending, 4, |room, leaving| {
            leaving.close(1000);
            room.evict();
        });
        send_to_slow_reader::<Immediate>(sending, 5, |room, _| room.advance(Duration::from_secs(60)));
    }
}

#[test]
fn a_disconnected_member_leaves_even_if_its_client_does_not_answer() {
    let room = TestObject::<Room>::new();
    let watch = join(&room, "watch");
    let bert = join(&room, "bert");
    let slow = room.connect_as(token("slow"), "s").unwrap();
    subscribe_with_flow(&slow, "1", None);
    for _ in 0..6 {
        room.publish(&message(&"x".repeat(60_000))).unwrap();
    }
    assert!(read_all(&slow).1.is_some(), "parked");
    room.advance(INTERVAL);
    presence(&watch);
    // Before the close frames are answered.
    let channel = room.channel();
    let everyone_else = Audience::everyone().except_connection("watch-1");
    assert_eq!(channel.disconnect(&everyone_else, "bye").unwrap(), 2);
    let connections =
        |members: Vec<Member>| members.iter().map(|member| member.connections).collect::<Vec<_>>();
    assert_eq!(connections(channel.members().unwrap()), [0, 0, 1]);
    drop(channel);
    room.advance(GRACE);
    assert_eq!(
        presence(&watch),
        [event(|event| event.left = vec!["bert".to_owned(), "slow".to_owned()])],
        "once, although the sockets have closed since"
    );
    assert!(!bert.is_open() && room.hibernate());
    assert_eq!(members(&room).len(), 1);
}

#[test]
fn a_member_whose_next_subscription_fails_leaves() {
    for hibernates in [false, true] {
        let room = TestObject::<Room>::new();
        let watch = join(&room, "watch");
        let anna = join(&room, "anna");
        room.advance(INTERVAL);
        anna.call(["keep"], "failing").unwrap();
        if hibernates {
            assert!(room.hibernate());
        }
        presence(&watch);
        anna.subscribe();
        room.advance(INTERVAL);
        room.advance(GRACE);
        assert_eq!(presence(&watch), [left("anna")], "hibernates: {hibernates}");
    }
}

#[test]
fn a_socket_that_closes_before_it_has_joined_does_not_leave() {
    let room = TestObject::<Room>::new();
    let watch = join(&room, "watch");
    room.advance(INTERVAL);
    presence(&watch);
    let client = room.connect_as(token("anna"), "a").unwrap();
    client.call(["keep"], "closing").unwrap();
    client.subscribe();
    room.advance(GRACE * 2);
    assert!(!client.is_open());
    assert_eq!(presence(&watch), []);
}

#[test]
fn an_eviction_is_made_up_for_if_the_marked_socket_closes_with_another_one() {
    let room = TestObject::<Room>::new();
    // The last socket is the marked one, since it is that of the first member.
    let (_zoe, carl, watch) = (join(&room, "zoe"), join(&room, "carl"), join(&room, "watch"));
    let _anna = join(&room, "anna");
    room.advance(INTERVAL);
    carl.close(1000);
    presence(&watch);
    room.evict();
    for socket in room.channel().sockets().unwrap() {
        // Both are closed before the first of them is handled.
        if socket.connection_id() != Some("watch-1") {
            socket.close(4000, "bye");
        }
    }
    room.run_until_idle();
    room.advance(GRACE);
    let lists: Vec<_> = presence(&watch).into_iter().filter_map(|event| event.members).collect();
    assert_eq!(lists.len(), 1);
    assert!(!ids(&lists[0]).contains(&"carl"));
}

#[test]
fn an_eviction_is_made_up_for_if_only_a_reader_of_every_audience_is_left() {
    let room = TestObject::<Room>::new();
    let anna = join(&room, "anna");
    let reader = room.connect_as(token("reader").every_audience(), "r").unwrap();
    reader.subscribe();
    room.advance(INTERVAL);
    anna.close(1000);
    presence(&reader);
    room.evict();
    room.publish(&message("x")).unwrap();
    assert_eq!(presence(&reader), [list(None, &[])]);
    assert!(room.hibernate());
}

#[test]
fn an_aborted_parked_subscription_leaves() {
    let room = TestObject::<Room>::new();
    let watch = join(&room, "watch");
    let slow = room.connect_as(token("slow"), "s").unwrap();
    subscribe_with_flow(&slow, "1", None);
    for _ in 0..6 {
        room.publish(&message(&"x".repeat(60_000))).unwrap();
    }
    room.advance(INTERVAL);
    presence(&watch);
    slow.abort("1");
    room.advance(GRACE);
    assert_eq!(presence(&watch), [left("slow")]);
    assert!(slow.is_open());
}

#[test]
fn a_pending_change_is_sent_although_another_socket_of_the_member_has_closed() {
    let room = TestObject::<Room>::new();
    let watch = join(&room, "watch");
    let phone = room.connect_as(token("anna"), "phone").unwrap();
    phone.subscribe();
    let laptop = room.connect_as(token("anna"), "laptop").unwrap();
    laptop.subscribe();
    room.advance(INTERVAL);
    assert!(room.hibernate());
    presence(&watch);
    let sockets = room.channel().sockets().unwrap();
    let of = |id: &str| sockets.iter().find(|socket| socket.connection_id() == Some(id)).unwrap();
    // Closed before the members are read, and handled after a change that is not sent yet.
    of("laptop").close(4000, "bye");
    of("phone").set_presence("first").unwrap();
    of("phone").set_presence("second").unwrap();
    drop(sockets);
    room.run_until_idle();
    room.advance(INTERVAL);
    let states: Vec<_> =
        presence(&watch).into_iter().flat_map(|event| event.changed).map(|anna| anna.state).collect();
    assert_eq!(states, [Some("first".into()), Some("second".into())]);
}

#[test]
fn newcomers_of_a_large_channel_receive_all_members() {
    let room = TestObject::<Room>::new();
    let name = |n: usize| format!("member-{:05}", (n * 7_919) % 10_000);
    let mut clients: Vec<TestSocket<Room>> = Vec::new();
    let mut states: BTreeMap<String, Option<Value>> = BTreeMap::new();
    for n in 0..600 {
        let client = room.connect_as(token(&name(n)), &name(n)).unwrap();
        client.call(["setPresence"], &"x".repeat(150)).unwrap();
        client.subscribe();
        states.insert(name(n), Some("x".repeat(150).into()));
        if n % 3 == 0 {
            client.call(["setPresence"], "changed").unwrap();
            states.insert(name(n), Some("changed".into()));
        }
        if n % 50 == 0 {
            room.advance(INTERVAL);
        }
        if n == 500 {
            // Their grace period ends at once.
            for client in clients.drain(..20) {
                client.close(1000);
            }
            (0..20).for_each(|n| drop(states.remove(&name(n))));
            room.advance(GRACE);
        }
        let mut known: BTreeMap<String, Option<Value>> = BTreeMap::new();
        let events = presence(&client);
        assert_eq!(events.iter().filter(|event| event.own_id == Some(name(n))).count(), 1);
        for (part, event) in events.into_iter().enumerate() {
            assert_eq!(event.members.is_some(), part == 0);
            let upserts = event.members.into_iter().flatten().chain(event.joined).chain(event.changed);
            known.extend(upserts.map(|member| (member.id, member.state)));
            event.left.iter().for_each(|id| drop(known.remove(id)));
        }
        // Its own change may be unsent.
        states.get(&name(n)).into_iter().for_each(|state| drop(known.insert(name(n), state.clone())));
        assert_eq!(known, states, "{n}");
        clients.push(client);
    }
}

/// Connects a client that is parked at once, and whose token expires after a minute.
fn parked(room: &TestObject<Room>, kind: ClientKind) -> TestSocket<Room> {
    let token = token("slow").for_clients(kind).lifetime(Duration::from_secs(60));
    let slow = room.connect_as(token, "s").unwrap();
    subscribe_with_flow(&slow, "1", None);
    for _ in 0..6 {
        room.publish(&message(&"x".repeat(60_000))).unwrap();
    }
    assert!(read_all(&slow).1.is_some(), "parked");
    room.advance(INTERVAL);
    slow
}

#[test]
fn a_parked_member_whose_token_has_expired_leaves_with_the_next_event() {
    for kind in [ClientKind::DurableEventIterator, ClientKind::DurableIterator] {
        for hibernates in [false, true] {
            let room = TestObject::<Room>::new();
            let watch = join(&room, "watch");
            let slow = parked(&room, kind);
            if hibernates {
                assert!(room.hibernate());
            }
            presence(&watch);
            room.publish(&message("not expired")).unwrap();
            room.advance(Duration::from_secs(60));
            assert_eq!(presence(&watch), []);
            room.publish(&message("expired")).unwrap();
            room.advance(GRACE);
            assert_eq!(presence(&watch), [left("slow")]);
            assert_eq!(slow.is_open(), kind == ClientKind::DurableEventIterator);
            assert_eq!(read_all(&slow), (String::new(), None));
            room.publish(&message("nothing is pending")).unwrap();
            assert_eq!(members(&room).len(), 1);
            assert!(room.hibernate());
        }
    }
}

#[test]
fn an_aborted_call_leaves_a_parked_subscription_as_it_is() {
    let room = TestObject::<Room>::new();
    let watch = join(&room, "watch");
    let slow = parked(&room, ClientKind::DurableEventIterator);
    let call = slow.start_call(["wait"], &Undefined);
    presence(&watch);
    slow.abort(&call);
    room.advance(GRACE * 2);
    assert_eq!(presence(&watch), []);
    assert_eq!(members(&room).len(), 2);
    slow.abort("1");
    room.advance(GRACE);
    assert_eq!(presence(&watch), [left("slow")]);
}

#[test]
fn a_member_whose_token_has_expired_leaves_even_if_its_client_does_not_answer() {
    let room = TestObject::<Room>::new();
    let watch = join(&room, "watch");
    let token = token("bert").for_clients(ClientKind::DurableIterator).lifetime(Duration::from_secs(60));
    let bert = room.connect_as(token, "b").unwrap();
    bert.subscribe();
    room.advance(Duration::from_secs(60));
    room.advance(Duration::from_millis(1));
    presence(&watch);
    // Before the close frame is answered.
    let channel = room.channel();
    channel.publish(&message("expired")).unwrap();
    let members = channel.members().unwrap();
    assert_eq!(members.iter().map(|member| member.connections).collect::<Vec<_>>(), [0, 1]);
    drop(channel);
    room.advance(GRACE);
    assert_eq!(presence(&watch), [left("bert")], "once, although the socket has closed since");
    assert_eq!(bert.closed().map(|frame| frame.code), Some(1008));
    assert!(room.hibernate());
}
