//! The numbers of a channel, its data points and the lines about anomalies, on the test kit.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // all of it is a test

use durable_event_iterator::{
    Channel, ConnectionState, ConnectionsQuery, DurableEventIteratorObject, Options, PublishOptions, Result,
    StatsQuery, Token, Value,
};
use durable_event_test::TestObject;
use std::time::Duration;
use worker::Env;

const SECOND: Duration = Duration::from_secs(1);

struct Room(Channel<Value>);

impl DurableEventIteratorObject for Room {
    type Channel = Channel<Value>;

    fn new(channel: Self::Channel, _: Env) -> Result<Self> {
        Ok(Self(channel))
    }

    fn options(_: &Env) -> Options {
        Options::default().retained_events(8).max_sockets_per_connection(1).metrics("METRICS").log_anomalies()
    }
}

fn event(n: u32) -> Value {
    Value::from_json(format!("{{\"n\":{n}}}").as_bytes()).unwrap()
}

/// Returns the doubles of the data points since the last call.
fn doubles(room: &TestObject<Room>) -> Vec<Vec<f64>> {
    let points = room.take_data_points();
    let points = points.iter().map(|point| serde_json::from_str::<serde_json::Value>(point).unwrap());
    points
        .map(|point| {
            assert_eq!(point["indexes"], serde_json::json!(["test"]));
            assert_eq!(point["blobs"][0], "durable-event-iterator/1");
            point["doubles"].as_array().unwrap().iter().map(|double| double.as_f64().unwrap()).collect()
        })
        .collect()
}

#[test]
fn the_numbers_are_those_of_the_history() {
    let room = TestObject::<Room>::new();
    let client = room.connect_as(Token::builder("test").subject("ann"), "one").unwrap();
    client.subscribe();
    let idle = room.connect(Token::builder("test")).unwrap();
    for n in 0..3 {
        room.publish(&event(n)).unwrap();
        room.advance(10 * SECOND);
    }
    room.publish_with(&event(3), PublishOptions::new().idempotency_key("k")).unwrap();
    room.publish_with(&event(3), PublishOptions::new().idempotency_key("k")).unwrap();
    assert_eq!(room.connect_as(Token::builder("test"), "one").unwrap_err().status, 429);

    let stats = room.object().0.stats(&StatsQuery::new().timeline(4)).unwrap();
    assert_eq!(stats.channel.as_deref(), Some("test"));
    assert_eq!((stats.sockets, stats.subscriptions, stats.parked, stats.members), (2, 1, 0, None));
    assert_eq!((stats.published, stats.duplicates, stats.delivered), (4, 1, 4));
    assert_eq!((stats.events.count, stats.events.bytes), (4, 4 * "{\"n\":0}".len() as u64));
    assert_eq!((stats.events.retention_seconds, stats.events.max_events), (300.0, 8));
    assert_eq!(
        stats.rejections.into_iter().collect::<Vec<_>>(),
        [("max_sockets_per_connection".to_owned(), 1)]
    );
    assert!(stats.database_bytes > 0);
    let timeline = stats.timeline.unwrap();
    assert_eq!(timeline.iter().map(|bucket| bucket.events).collect::<Vec<_>>(), [1, 1, 1, 1]);
    assert_eq!(room.now().duration_since(timeline[0].from).unwrap().as_secs(), 30);
    assert_eq!(room.now().duration_since(stats.since).unwrap().as_secs(), 30);
    assert!(room.object().0.stats(&StatsQuery::new().timeline(241)).is_err());

    // The counts are those of the instance, the rest is stored.
    room.advance(20 * SECOND);
    assert!(room.hibernate());
    let stats = room.object().0.stats(&StatsQuery::new()).unwrap();
    assert_eq!((stats.published, stats.delivered, stats.sockets, stats.events.count), (0, 0, 2, 4));
    assert_eq!((stats.since, stats.timeline), (room.now(), None));
    drop(idle);
}

#[test]
fn connections_are_paged_in_a_stable_order() {
    let room = TestObject::<Room>::new();
    let mut sockets: Vec<_> = ["c", "a", "b"]
        .iter()
        .map(|id| room.connect_as(Token::builder("test").subject(format!("s-{id}")), id).unwrap())
        .collect();
    sockets.extend((0..4).map(|_| room.connect(Token::builder("test")).unwrap()));
    sockets[1].subscribe();
    let connections = |query: &ConnectionsQuery| room.object().0.connections(query).unwrap();
    let all = connections(&ConnectionsQuery::new());
    let mut sorted: Vec<_> = all.connections.iter().collect();
    sorted.sort_by_key(|each| &each.connection);
    let ids: Vec<_> = sorted.iter().map(|each| each.connection.as_deref()).collect();
    assert_eq!(ids, [None, None, None, None, Some("a"), Some("b"), Some("c")]);
    assert_eq!(all.next, None);
    let a = sorted[4];
    assert_eq!((a.subject.as_deref(), a.subscription), (Some("s-a"), Some(ConnectionState::Live)));
    assert_eq!((a.issued_at, sorted[5].subscription), (room.now(), None));
    for limit in 1..8 {
        let mut pages = Vec::new();
        let mut query = ConnectionsQuery::new().limit(limit);
        loop {
            let page = connections(&query);
            assert!(page.connections.len() <= limit as usize);
            pages.extend(page.connections);
            let Some(next) = page.next else { break };
            // The digest of 16 bytes, and a number.
            assert_eq!(next.find('.'), Some(22), "{next}");
            query = ConnectionsQuery::new().limit(limit).after(next);
        }
        assert_eq!(pages, all.connections, "pages of {limit}");
    }
    for query in [
        ConnectionsQuery::new().limit(0),
        ConnectionsQuery::new().limit(1_001),
        ConnectionsQuery::new().after("?"),
    ] {
        assert!(room.object().0.connections(&query).is_err());
    }
}

#[test]
fn there_is_at_most_one_data_point_in_ten_seconds() {
    let room = TestObject::<Room>::new();
    room.connect(Token::builder("test")).unwrap().subscribe();
    for n in 0..1_000 {
        room.publish(&event(n)).unwrap();
    }
    assert_eq!(doubles(&room).len(), 0);
    room.advance(5 * SECOND);
    let points = doubles(&room);
    assert_eq!(points.len(), 1);
    // The span, published, duplicates, delivered, sockets, opened.
    assert_eq!(points[0][..6], [5.0, 1_000.0, 0.0, 1_000.0, 1.0, 1.0]);
    // A channel that is always busy.
    for n in 0..600 {
        room.publish(&event(n)).unwrap();
        room.advance(SECOND / 10);
    }
    let points = doubles(&room);
    assert!(points.len() <= 6, "{} in 60 s", points.len());
    room.advance(10 * SECOND);
    let rest = doubles(&room);
    let published: f64 = points.iter().chain(&rest).map(|point| point[1]).sum();
    assert_eq!(published, 600.0);
    // Without activity there is no timer, so that the Durable Object hibernates.
    room.advance(60 * SECOND);
    assert_eq!(doubles(&room).len(), 0);
    assert!(room.hibernate());
}

#[test]
fn anomalies_are_one_line_per_minute_without_secrets() {
    let room = TestObject::<Room>::new();
    for n in 0..30 {
        room.publish(&event(n)).unwrap();
    }
    for _ in 0..5 {
        let client = room.connect(Token::builder("test").subject("a secret subject")).unwrap();
        client.subscribe_after(1);
        assert!(client.gap().is_some());
        assert_eq!(room.connect_with("token=a-secret-token").unwrap_err().status, 401);
    }
    let lines = room.take_log();
    let anomalies: Vec<serde_json::Value> =
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let names: Vec<_> =
        anomalies.iter().map(|line| (&line["anomaly"], &line["reason"], &line["count"])).collect();
    let (gap, rejected) = (serde_json::json!("gap"), serde_json::json!("upgrade_rejected"));
    assert_eq!(
        names,
        [
            (&gap, &serde_json::Value::Null, &serde_json::json!(1)),
            (&rejected, &serde_json::json!("token_invalid"), &serde_json::json!(1))
        ]
    );
    assert_eq!(anomalies[0]["channel"], "test");
    assert!(!lines.concat().contains("a-secret-token") && !lines.concat().contains("a secret subject"));

    room.advance(60 * SECOND);
    let _ = room.take_log();
    room.connect(Token::builder("test")).unwrap().subscribe_after(1);
    let lines = room.take_log();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("\"count\":5"), "those since the last line: {lines:?}");
    assert_eq!(room.object().0.stats(&StatsQuery::new()).unwrap().gaps, 6);
    let point = doubles(&room).concat();
    assert_eq!((point[7], point[8]), (5.0, 5.0), "rejections and gaps");
}
