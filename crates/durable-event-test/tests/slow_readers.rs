//! Slow readers on the test kit: its sockets hold what was sent, and these clients acknowledge only some of it.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)] // all of it is a test

use durable_event_iterator::{
    Call, Channel, DurableEventIteratorObject, EventId, Options, Procedures, PublishOptions, Result,
    StatsQuery, Subscribed, Token, Value,
};
use durable_event_test::{Content, Received, TestObject, TestSocket};
use serde::{Deserialize, Serialize};
use std::{cell::RefCell, time::Duration};
use worker::Env;

const LIVE_WINDOW: usize = 262_144;
const REPLAY_WINDOW: usize = 1_048_576;

/// The size of an event's text. A frame has about 80 characters more.
const SIZE: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Numbered {
    n: u32,
    padding: String,
}

/// What `on_subscribed` has received: whether there was a cursor, and a gap.
type Seen = (bool, bool);

struct Journal {
    channel: Channel<Numbered>,
    seen: RefCell<Vec<Seen>>,
}

impl DurableEventIteratorObject for Journal {
    type Channel = Channel<Numbered>;

    fn new(channel: Self::Channel, _: Env) -> Result<Self> {
        Ok(Self { channel, seen: RefCell::default() })
    }

    fn options(_: &Env) -> Options {
        Options::default().event_retention(Duration::from_secs(3_600)).retained_bytes(8_000_000)
    }

    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new()
            .procedure("seen", async |journal: &Self, _, ()| Ok(journal.seen.borrow().clone()))
            .procedure("live", async |journal: &Self, _, n: u32| {
                journal.channel.send_live(&journal.channel.sockets()?, &numbered(n))
            })
            .procedure("live_then_stored", async |journal: &Self, _, n: u32| {
                journal.channel.transaction(|_| {
                    journal.channel.send_live(&journal.channel.sockets()?, &numbered(n))?;
                    journal.channel.publish(&numbered(n)).map(drop)
                })
            })
    }

    fn on_subscribed(&self, client: &Subscribed<Self>) -> Result<()> {
        self.seen.borrow_mut().push((client.last_event_id.is_some(), client.gap.is_some()));
        Ok(())
    }
}

fn numbered(n: u32) -> Numbered {
    Numbered { n, padding: "x".repeat(SIZE) }
}

type Client = TestSocket<Journal>;

fn connected(journal: &TestObject<Journal>) -> Client {
    let token = Token::builder("test")
        .procedures(["seen", "live", "live_then_stored"])
        .lifetime(Duration::from_secs(600));
    journal.connect(token).unwrap()
}

fn subscribe(client: &Client, id: &str, after: Option<EventId>, has_flow_control: bool) {
    let mut headers = Vec::new();
    if let Some(after) = after {
        headers.push(format!(r#""last-event-id":"{after}""#));
    }
    if has_flow_control {
        headers.push(r#""x-durable-event-flow":"1""#.to_owned());
    }
    client.send_text(format!(
        r#"{{"i":"{id}","p":{{"u":"/subscribe","b":{{}},"h":{{{}}}}}}}"#,
        headers.join(",")
    ));
}

fn publish(journal: &TestObject<Journal>, numbers: impl IntoIterator<Item = u32>) {
    for n in numbers {
        journal.publish(&numbered(n)).unwrap();
    }
}

/// The events of all subscriptions.
fn events(client: &Client) -> Vec<(u32, Option<EventId>)> {
    let event = |received: Received| match received.content {
        Content::Event(event) => Some((event.to::<Numbered>().unwrap().n, event.id)),
        _ => None,
    };
    client.received().into_iter().filter_map(event).collect()
}

fn numbers(client: &Client) -> Vec<u32> {
    events(client).into_iter().map(|(n, _)| n).collect()
}

fn last(client: &Client) -> Option<EventId> {
    events(client).last().and_then(|(_, id)| *id)
}

fn parked(client: &Client) -> Vec<Option<EventId>> {
    let parked = |received: Received| match received.content {
        Content::Parked { after } => Some(after),
        _ => None,
    };
    client.received().into_iter().filter_map(parked).collect()
}

fn seen(client: &Client) -> Value {
    client.call(["seen"], &()).unwrap()
}

#[test]
fn an_event_of_the_transaction_that_parks_a_subscription_is_not_skipped() {
    let subscribed = || {
        let journal = TestObject::<Journal>::new();
        let client = connected(&journal);
        subscribe(&client, "s1", None, true);
        (journal, client)
    };
    let (journal, client) = subscribed();
    publish(&journal, 1..=60);
    let fitting = numbers(&client).len() as u32;

    let (journal, client) = subscribed();
    publish(&journal, 1..=fitting);
    assert!(parked(&client).is_empty());
    let _: Value = client.call(["live_then_stored"], &100).unwrap();
    subscribe(&client, "s2", parked(&client)[0], true);
    journal.advance(Duration::from_millis(100));
    assert_eq!(numbers(&client).last(), Some(&100));
}

#[test]
fn a_live_subscription_is_parked_at_its_window_and_continues() {
    let journal = TestObject::<Journal>::new();
    let client = connected(&journal);
    subscribe(&client, "s1", None, true);
    publish(&journal, 1..=60);
    let received = numbers(&client);
    let after = parked(&client)[0];
    assert!(after >= last(&client) && parked(&client).len() == 1);
    assert!((LIVE_WINDOW / (SIZE + 120)..=LIVE_WINDOW / SIZE + 1).contains(&received.len()), "{received:?}");
    subscribe(&client, "s2", last(&client), true);
    journal.advance(Duration::from_millis(100));
    publish(&journal, [61]);
    assert_eq!(numbers(&client), (1..=61).collect::<Vec<_>>());
}

#[test]
fn acknowledgements_keep_a_subscription_live() {
    let journal = TestObject::<Journal>::new();
    let client = connected(&journal);
    subscribe(&client, "s1", None, true);
    for n in 0..40 {
        publish(&journal, n * 7..n * 7 + 7);
        client.send_text(format!(r#"{{"i":"s1","t":5,"p":{}}}"#, 7 * (SIZE + 30)));
    }
    assert_eq!((numbers(&client), parked(&client)), ((0..280).collect(), vec![]));
}

#[test]
fn hibernation_adds_no_room() {
    let journal = TestObject::<Journal>::new();
    let client = connected(&journal);
    subscribe(&client, "s1", None, true);
    for n in 1..=40 {
        publish(&journal, [n]);
        assert!(journal.hibernate());
    }
    assert_eq!(parked(&client).len(), 1);
    assert!(numbers(&client).len() * SIZE <= LIVE_WINDOW + SIZE);
    subscribe(&client, "s2", last(&client), true);
    assert_eq!(numbers(&client), (1..=40).collect::<Vec<_>>());
}

#[test]
fn a_reader_that_acknowledges_has_room_after_hibernation() {
    let journal = TestObject::<Journal>::new();
    let client = connected(&journal);
    subscribe(&client, "s1", None, true);
    for n in 0..60 {
        publish(&journal, n * 7..n * 7 + 7);
        client.send_text(format!(r#"{{"i":"s1","t":5,"p":{}}}"#, 7 * (SIZE + 30)));
        assert!(journal.hibernate());
    }
    assert_eq!((numbers(&client), parked(&client)), ((0..420).collect(), vec![]));
    // It holds no more than before.
    for n in 420..460 {
        publish(&journal, [n]);
        assert!(journal.hibernate());
    }
    assert_eq!(parked(&client).len(), 1);
    let more = numbers(&client).len() - 420;
    assert!(more * SIZE <= LIVE_WINDOW + SIZE, "{more}");
}

#[test]
fn a_batch_after_hibernation_is_sent_as_far_as_there_is_room() {
    let batch = |journal: &TestObject<Journal>, numbers: std::ops::Range<u32>| {
        let events: Vec<_> = numbers.map(numbered).collect();
        let events = events.iter().map(|event| (event, PublishOptions::new()));
        journal.publish_batch_with(events).unwrap()
    };
    // The events of the batch that are stored and not sent yet do not count as sent.
    let journal = TestObject::<Journal>::new();
    let client = connected(&journal);
    subscribe(&client, "s1", None, true);
    assert!(journal.hibernate());
    batch(&journal, 0..20);
    assert_eq!((numbers(&client), parked(&client)), ((0..20).collect(), vec![]));

    // A larger one is parked after an event of it, and continues after that.
    assert!(journal.hibernate());
    let published = batch(&journal, 20..60);
    let count = numbers(&client).len();
    assert!((20..40).contains(&count), "{count}");
    assert_eq!(parked(&client), [Some(published.get(count - 21).unwrap().id)]);
    subscribe(&client, "s2", last(&client), true);
    journal.advance(Duration::from_millis(100));
    assert_eq!(numbers(&client), (0..60).collect::<Vec<_>>());
}

#[test]
fn live_only_events_and_a_log_without_events_park_without_a_position() {
    let journal = TestObject::<Journal>::new();
    let client = connected(&journal);
    subscribe(&client, "s1", None, true);
    for n in 1..=40 {
        client.call(["live"], &n).unwrap();
    }
    assert_eq!(parked(&client), [None]);
    assert!(numbers(&client).len() * SIZE <= LIVE_WINDOW + SIZE);
}

/// Subscribes until there are no more parts of the replay. Returns their number.
fn replay(journal: &TestObject<Journal>, client: &Client, has_flow_control: bool) -> usize {
    let end = |received: &Received| match &received.content {
        Content::Parked { .. } => true,
        Content::Failed(error) => {
            assert_eq!((&*error.code, error.status), ("SERVICE_UNAVAILABLE", 503));
            true
        }
        _ => false,
    };
    (1..)
        .find(|part| {
            let before = numbers(client).len();
            let id = format!("{has_flow_control}-{part}");
            subscribe(client, &id, last(client), has_flow_control);
            journal.advance(Duration::from_millis(100));
            let is_last = !client.received().iter().any(|received| received.call == id && end(received));
            let size = (numbers(client).len() - before) * (SIZE + 100);
            assert!(size <= REPLAY_WINDOW + LIVE_WINDOW + 2 * SIZE);
            assert!(is_last || size >= REPLAY_WINDOW - 2 * SIZE, "{size}");
            is_last
        })
        .unwrap()
}

#[test]
fn a_replay_ends_at_its_window_and_on_subscribed_receives_how_it_began() {
    for has_flow_control in [true, false] {
        let journal = TestObject::<Journal>::new();
        publish(&journal, 1..=400);
        let client = connected(&journal);
        let parts = replay(&journal, &client, has_flow_control);
        assert!((3..=5).contains(&parts));
        // The parts of a replay to a client of oRPC are nothing unusual.
        let parkings = journal.object().channel.stats(&StatsQuery::new()).unwrap().parkings;
        assert_eq!(parkings, if has_flow_control { parts as u64 - 1 } else { 0 });
        assert_eq!(numbers(&client), (1..=400).collect::<Vec<_>>());
        assert_eq!(
            seen(&client),
            Value::from(vec![Value::from(vec![Value::from(false), Value::from(false)])])
        );

        // The gap of the first part is not forgotten, also after hibernation.
        let late = connected(&journal);
        publish(&journal, 401..=1_200);
        subscribe(&late, "gap", Some(EventId::saturating(1)), has_flow_control);
        assert!(
            late.received()
                .iter()
                .any(|received| matches!(received.content, Content::Stream { gap: Some(_) }))
        );
        assert!(journal.hibernate());
        replay(&journal, &late, has_flow_control);
        let all = numbers(&late);
        assert_eq!(all, (all[0]..=1_200).collect::<Vec<_>>());
        assert_eq!(seen(&late), Value::from(vec![Value::from(vec![Value::from(true), Value::from(true)])]));
    }
}
