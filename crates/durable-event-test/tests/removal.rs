//! Disconnected clients and revoked tokens on the test kit.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)] // all of it is a test

use durable_event_iterator::{
    Audience, Call, Channel, ClientKind, DurableEventIteratorObject, Options, Procedures, Result, Revocation,
    RpcMethods, Token, TokenBuilder, Value,
};
use durable_event_test::{TestObject, TestSocket};
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use worker::Env;

/// The events of the journal: objects with a number.
type Numbered = std::collections::BTreeMap<String, u32>;

struct Journal {
    channel: Channel<Numbered>,
    seen: Rc<RefCell<Vec<u32>>>,
    gate: Rc<Gate>,
}

/// What the calls of `hold` wait for.
#[derive(Default)]
struct Gate {
    is_open: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Gate {
    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        if self.is_open.get() {
            return Poll::Ready(());
        }
        self.waiting.borrow_mut().push(context.waker().clone());
        Poll::Pending
    }

    fn open(&self) {
        self.is_open.set(true);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }
}

impl DurableEventIteratorObject for Journal {
    type Channel = Channel<Numbered>;

    fn new(channel: Self::Channel, _: Env) -> Result<Self> {
        Ok(Self { channel, seen: Rc::default(), gate: Rc::default() })
    }

    fn options(_: &Env) -> Options {
        Options::default().publisher()
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new()
            .procedure("see", async |journal: &Self, _, n: u32| {
                journal.seen.borrow_mut().push(n);
                Ok(())
            })
            .procedure("hold", async |journal: &Self, _, n: u32| {
                let seen = Rc::clone(&journal.seen);
                let gate = Rc::clone(&journal.gate);
                poll_fn(|context| gate.poll(context)).await;
                seen.borrow_mut().push(n);
                Ok(())
            })
            .procedure("open", async |journal: &Self, _, ()| {
                journal.gate.open();
                Ok(())
            })
            .procedure("banAndPublish", async |journal: &Self, _, user: String| {
                let closed = journal.channel.revoke(&Revocation::subject(user), "Banned")?;
                journal.channel.publish(&numbered(7))?;
                Ok(closed)
            })
            .procedure("leave", async |journal: &Self, call: Call<Self>, by: String| {
                match by.as_str() {
                    "disconnect" => {
                        journal.channel.disconnect(&Audience::everyone().to_socket(&call.socket), "Bye")?
                    }
                    _ => journal.channel.revoke(&Revocation::subject("anna"), "Bye")?,
                };
                journal.seen.borrow_mut().push(1);
                // Continues before the client answers the close frame.
                let mut has_waited = false;
                poll_fn(|context| {
                    context.waker().wake_by_ref();
                    if std::mem::replace(&mut has_waited, true) { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
                journal.seen.borrow_mut().push(2);
                Ok(())
            })
    }

    fn rpc_methods() -> RpcMethods<Self> {
        RpcMethods::new().method("seen", async |journal: &Self, ()| Ok(journal.seen.borrow().clone()))
    }
}

fn numbered(n: u32) -> Numbered {
    Numbered::from([("n".to_owned(), n)])
}

fn token() -> TokenBuilder {
    Token::builder("test")
        .procedures(["see", "hold", "open", "banAndPublish", "leave"])
        .lifetime(Duration::from_secs(600))
}

fn subscribed(journal: &TestObject<Journal>, token: TokenBuilder, id: &str) -> TestSocket<Journal> {
    let client = journal.connect_as(token, id).unwrap();
    client.subscribe();
    client
}

fn tagged(tags: &[&str]) -> TokenBuilder {
    token().for_clients(ClientKind::DurableIterator).tags(tags.iter().copied())
}

/// Returns the indexes of the clients that are closed, all with the same code and reason.
fn closed(clients: &[TestSocket<Journal>], code: u16, reason: &str) -> Vec<usize> {
    let mut closed = Vec::new();
    for (n, client) in clients.iter().enumerate() {
        if let Some(frame) = client.closed() {
            assert_eq!((frame.code, frame.reason.as_str()), (code, reason));
            closed.push(n);
        }
    }
    closed
}

#[test]
fn the_clients_in_an_audience_are_disconnected() {
    let cases: [(Audience, &[usize]); 6] = [
        (Audience::everyone().to("a"), &[0]),
        (Audience::everyone().to_connections(["a", "c", "x"]), &[0, 2]),
        (Audience::everyone().tagged("y"), &[1, 2]),
        (Audience::everyone().tagged("y").except_connection("c"), &[1]),
        (Audience::everyone().except_connection("c"), &[0, 1]),
        (Audience::everyone().to_connections::<String>([]), &[]),
    ];
    for (audience, expected) in cases {
        for hibernates in [false, true] {
            let journal = TestObject::<Journal>::new();
            let clients = [(&["x"][..], "a"), (&["y"], "b"), (&["x", "y"], "c")]
                .map(|(tags, id)| subscribed(&journal, tagged(tags), id));
            let (publisher, _) = journal.publisher_subscribe(None).unwrap();
            if hibernates {
                assert!(journal.hibernate());
            }
            assert_eq!(journal.channel().disconnect(&audience, "Go").unwrap(), expected.len());
            assert_eq!(closed(&clients, 4001, "Go"), expected, "{audience:?}");
            assert!(publisher.is_open());
        }
    }
}

#[test]
fn sockets_without_a_connection_id_are_selected_by_the_socket() {
    let journal = TestObject::<Journal>::new();
    let clients = [0, 1, 2].map(|_| journal.connect(token()).unwrap());
    let sockets = journal.channel().sockets().unwrap();
    let [first, second, _] = sockets.as_slice() else { panic!("{}", sockets.len()) };
    assert_eq!(journal.channel().disconnect(&Audience::everyone().to_socket(second), "Go").unwrap(), 1);
    assert_eq!(closed(&clients, 4001, "Go"), [1]);
    assert_eq!(journal.channel().disconnect(&Audience::everyone().except(first), "Go").unwrap(), 1);
    assert_eq!(closed(&clients, 4001, "Go"), [1, 2]);
}

#[test]
fn nothing_is_sent_to_or_executed_for_a_disconnected_client() {
    let journal = TestObject::<Journal>::new();
    let client = subscribed(&journal, token(), "a");
    let other = subscribed(&journal, token(), "b");
    let held = client.start_call(["hold"], &1);
    let others = other.start_call(["hold"], &3);
    journal.channel().disconnect(&Audience::everyone().to("a"), "Go").unwrap();
    let _ = client.take_messages();
    journal.publish(&numbered(1)).unwrap();
    client.send_text(r#"{"i":"9","p":{"u":"/call","b":{"json":{"path":["see"],"input":2}}}}"#);
    other.call(["open"], &()).unwrap();
    assert!(client.take_messages().is_empty() && client.response(&held).is_none());
    assert!(other.response(&others).is_some_and(|response| response.is_ok()));
    assert_eq!(journal.rpc::<_, Vec<u32>>("seen", ()).unwrap(), [3]);
}

#[test]
fn a_call_that_disconnects_its_own_client_is_aborted() {
    for by in ["disconnect", "revoke"] {
        let journal = TestObject::<Journal>::new();
        let client = subscribed(&journal, token().subject("anna"), "a");
        let other = subscribed(&journal, token().subject("bert"), "b");
        let call = client.start_call(["leave"], by);
        assert!(!client.is_open() && client.response(&call).is_none());
        assert_eq!(journal.rpc::<_, Vec<u32>>("seen", ()).unwrap(), [1], "{by}");
        // Another call is not.
        let others = other.start_call(["hold"], &3);
        other.call(["open"], &()).unwrap();
        assert!(other.response(&others).is_some_and(|response| response.is_ok()));
    }
}

#[test]
fn a_disconnected_client_may_return_and_resumes() {
    let journal = TestObject::<Journal>::new();
    let client = subscribed(&journal, token(), "a");
    let first = journal.publish(&numbered(1)).unwrap();
    journal.channel().disconnect(&Audience::everyone(), "Go").unwrap();
    journal.publish(&numbered(2)).unwrap();
    let again = journal.connect_as(token(), "a").unwrap();
    again.subscribe_after(first);
    assert_eq!(client.events_as::<Numbered>(), [numbered(1)]);
    assert_eq!(again.events_as::<Numbered>(), [numbered(2)]);
    assert_eq!(again.gap(), None);
}

#[test]
fn a_revoked_token_is_rejected_until_a_new_one_is_issued() {
    for revocation in
        [Revocation::connection("a"), Revocation::subject("anna"), Revocation::issued_before(issued_before())]
    {
        let journal =
            TestObject::<Journal>::builder().now(issued_before() - Duration::from_secs(1)).build().unwrap();
        let anna = || token().subject("anna");
        let old = journal.sign(anna());
        let client = subscribed(&journal, anna(), "a");
        let other = subscribed(&journal, token().subject("bert"), "b");
        journal.publish(&numbered(0)).unwrap();
        let _ = client.take_messages();
        journal.advance(Duration::from_millis(600));
        let all = revocation == Revocation::issued_before(issued_before());
        let count = journal.channel().revoke(&revocation, "Banned").unwrap();
        journal.publish(&numbered(1)).unwrap();
        assert_eq!(count, if all { 2 } else { 1 });
        let frame = client.closed().unwrap();
        assert_eq!((frame.code, frame.reason.as_str()), (1008, "Banned"));
        assert!(client.take_messages().is_empty());
        assert_eq!(other.is_open(), !all);
        for restarts in [false, true] {
            if restarts {
                journal.evict();
            }
            let rejected = journal.connect_with(&format!("token={old}&id=a")).unwrap_err();
            assert_eq!((rejected.status, rejected.text), (401, "Token revoked"));
        }
        journal.advance(Duration::from_secs(2));
        assert!(journal.connect_with(&format!("token={old}&id=a")).is_err());
        assert!(journal.connect_as(anna(), "a").is_ok(), "issued later");
        assert!(journal.connect_as(token().subject("bert"), "b").is_ok());
    }
}

/// A time in whole seconds.
fn issued_before() -> std::time::SystemTime {
    std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_601)
}

#[test]
fn a_token_that_is_revoked_cannot_refresh_the_token_of_a_socket() {
    let journal = TestObject::<Journal>::new();
    let revoked = journal.sign(tagged(&["x"]).subject("anna"));
    journal.channel().revoke(&Revocation::subject("anna"), "Banned").unwrap();
    journal.advance(Duration::from_secs(3));
    let client = subscribed(&journal, tagged(&["x"]).subject("anna"), "a");
    let error = client.refresh_token(&revoked).unwrap_err();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("UNAUTHORIZED", "Token revoked"));
    assert!(client.is_open());
}

#[test]
fn an_event_that_is_published_in_the_same_turn_is_not_received() {
    let journal = TestObject::<Journal>::new();
    let anna = subscribed(&journal, token().subject("anna"), "a");
    let bert = subscribed(&journal, token().subject("bert"), "b");
    assert_eq!(bert.call(["banAndPublish"], &"anna").unwrap(), Value::from(1_u32));
    assert!(anna.events().is_empty() && !anna.is_open());
    assert_eq!(bert.events_as::<Numbered>(), [numbered(7)]);
}

#[test]
fn a_client_that_is_parked_or_waits_for_its_replay_is_disconnected() {
    let journal = TestObject::<Journal>::new();
    let client = subscribed(&journal, token(), "a");
    client.subscribe(); // it waits for the minimum interval between two replays
    let _ = client.take_messages();
    assert_eq!(journal.channel().disconnect(&Audience::everyone().to("a"), "Go").unwrap(), 1);
    journal.advance(Duration::from_secs(1));
    assert!(client.take_messages().is_empty());
    assert_eq!(journal.channel().disconnect(&Audience::everyone(), "Go").unwrap(), 0, "it has closed");
}

#[test]
fn the_reason_is_truncated_to_the_size_of_a_close_frame() {
    let journal = TestObject::<Journal>::new();
    let client = subscribed(&journal, token(), "a");
    journal.channel().disconnect(&Audience::everyone(), &"é".repeat(100)).unwrap();
    assert_eq!(client.closed().unwrap().reason, "é".repeat(61));
}

#[test]
fn a_time_in_the_far_future_is_rejected() {
    let journal = TestObject::<Journal>::new();
    let client = subscribed(&journal, token(), "a");
    let later = journal.now() + Duration::from_secs(2 * 86_400);
    let error = journal.channel().revoke(&Revocation::issued_before(later), "x").unwrap_err();
    assert_eq!(error.code(), "BAD_REQUEST");
    assert!(client.is_open());
}
