//! Tests idempotency keys against a model: an event and its key are always stored together or not at all.
#![allow(clippy::arithmetic_side_effects)] // test helpers outside of test functions

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::test_database::{NOW, SECOND, TestDatabase, USUAL, append, event, open};
use super::{Appended, Log, Retention};

const KEYS: [&str; 4] = ["a", "b", "A", "\"a\""];

/// The statements that can fail during a publish.
const FAILING: [&str; 6] = ["SELECT", "SAVEPOINT", "CREATE", "INSERT INTO", "INSERT OR", "RELEASE"];

#[derive(Clone, Copy, Debug)]
enum Action {
    Publish(usize),
    FailedPublish(usize, usize),
    PublishWithoutKey,
    DeleteExpired,
    Prune,
    Reopen,
    /// The application deletes its storage.
    DeleteAll,
}

/// Generates an action, and how far the clock moves before it, in microseconds.
fn step() -> impl Strategy<Value = (i64, Action)> {
    let clock = prop_oneof![
        4 => Just(0),
        6 => 0..2 * SECOND as i64,
        2 => 0..12 * SECOND as i64,
        1 => -(2 * SECOND as i64)..0,
    ];
    let action = prop_oneof![
        10 => (0..KEYS.len()).prop_map(Action::Publish),
        4 => (0..KEYS.len(), 0..FAILING.len()).prop_map(|(key, sql)| Action::FailedPublish(key, sql)),
        3 => Just(Action::PublishWithoutKey),
        3 => Just(Action::DeleteExpired),
        1 => Just(Action::Prune),
        2 => Just(Action::Reopen),
        1 => Just(Action::DeleteAll),
    ];
    (clock, action)
}

/// A stored idempotency key.
#[derive(Clone, Copy, Debug)]
struct Stored {
    id: u64,
    /// The time at which it was stored, in microseconds.
    at: u64,
}

struct Model {
    window: u64,
    now: u64,
    /// The latest time so far. Keys that expired then stay expired if the clock steps back.
    latest: u64,
    keys: BTreeMap<&'static str, Stored>,
}

impl Model {
    /// Returns whether the key must be found. `None` if both results are valid because the clock has stepped back.
    fn is_known(&self, key: &str) -> Option<bool> {
        let Some(stored) = self.keys.get(key) else { return Some(false) };
        if self.latest < stored.at + self.window {
            Some(true)
        } else if self.now >= stored.id + self.window {
            Some(false)
        } else {
            None
        }
    }
}

/// Returns the ids of all events in all tables.
fn events(db: &TestDatabase) -> Vec<u64> {
    let mut ids = Vec::new();
    for table in db.tables().iter().filter(|table| table.starts_with("dei_events_")) {
        let mut select = db.connection.prepare(&format!("SELECT id FROM {table}")).unwrap();
        ids.extend(select.query_map([], |row| row.get::<_, i64>(0)).unwrap().map(|id| id.unwrap() as u64));
    }
    ids
}

fn check(model: &Model, log: &mut Log, db: &TestDatabase) {
    let reopened = open(db, log.retention);
    assert_eq!(
        (&reopened.segments, &reopened.keys),
        (&log.segments, &log.keys),
        "the state in memory equals the stored state"
    );
    for key in KEYS {
        let found = log.find_key(db, model.now, key).unwrap().map(super::EventId::as_micros);
        match model.is_known(key) {
            Some(true) => assert_eq!(found, Some(model.keys[key].id), "{key}"),
            Some(false) => assert_eq!(found, None, "{key}"),
            None => assert!(found.is_none() || found == Some(model.keys[key].id), "{key}"),
        }
    }
}

fn run(retention: Retention, steps: Vec<(i64, Action)>) {
    let db = TestDatabase::new();
    let mut log = open(&db, retention);
    let window = retention.keys.as_micros() as u64;
    let mut model = Model { window, now: NOW, latest: NOW, keys: BTreeMap::new() };
    for (clock, action) in steps {
        model.now = model.now.saturating_add_signed(clock);
        model.latest = model.latest.max(model.now);
        let before = events(&db);
        match action {
            Action::Publish(key) => {
                let key = KEYS[key];
                let rows = db.connection.total_changes();
                let appended = log.append_once(&db, model.now, &event("{}"), key).unwrap();
                let rows = db.connection.total_changes() - rows;
                match appended {
                    Appended::Duplicate(id) => {
                        assert_ne!(model.is_known(key), Some(false), "{key}");
                        assert_eq!(id.as_micros(), model.keys[key].id);
                        assert_eq!((events(&db), rows), (before, 0), "nothing is written");
                    }
                    Appended::Stored(id) => {
                        assert_ne!(model.is_known(key), Some(true), "{key}");
                        model.keys.insert(key, Stored { id: id.as_micros(), at: model.now });
                        assert_eq!(events(&db).len(), before.len() + 1);
                        assert!(events(&db).contains(&id.as_micros()) && !before.contains(&id.as_micros()));
                        assert!(rows <= 3, "replacing a key writes one more row");
                    }
                }
            }
            Action::FailedPublish(key, sql) => {
                let (key, tables, memory) = (KEYS[key], db.tables(), format!("{log:?}"));
                db.fail_on(FAILING[sql]);
                let failed = log.append_once(&db, model.now, &event("{}"), key);
                db.stop_failing();
                match failed {
                    Err(_) => {
                        assert_eq!(
                            (events(&db), db.tables()),
                            (before, tables),
                            "a failed publish leaves nothing"
                        );
                        assert_eq!(format!("{log:?}"), memory);
                    }
                    // The failing statement was not needed.
                    Ok(Appended::Duplicate(id)) => assert_eq!(id.as_micros(), model.keys[key].id),
                    Ok(Appended::Stored(id)) => {
                        model.keys.insert(key, Stored { id: id.as_micros(), at: model.now });
                    }
                }
            }
            Action::PublishWithoutKey => {
                append(&mut log, &db, model.now);
            }
            Action::DeleteExpired => {
                log.delete_expired(&db, model.now).unwrap();
                let tables = db.tables().iter().filter(|table| table.starts_with("dei_keys_")).count();
                // Each table spans half a window: there are at most three unless the clock has stepped back.
                assert!(tables <= 3 || model.now < model.latest, "{tables}");
            }
            Action::Prune => {
                log.prune(&db, model.now).unwrap();
                let next = log.keys.next_expiry(&retention);
                assert!(next.is_none_or(|next| next > model.now), "expired tables are dropped");
            }
            Action::Reopen => log = open(&db, retention),
            Action::DeleteAll => {
                db.delete_all();
                model.keys.clear();
                // The next publish detects it.
                append(&mut log, &db, model.now);
                log.find_key(&db, model.now, "a").unwrap();
            }
        }
        check(&model, &mut log, &db);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn an_event_and_its_key_are_stored_together_or_not_at_all(
        window in prop_oneof![1..10 * SECOND, 1..3 * SECOND, Just(300 * SECOND)],
        retained in prop_oneof![Just(Duration::ZERO), Just(Duration::from_secs(3)), Just(USUAL.period)],
        events in prop_oneof![1..8_u64, Just(USUAL.events)],
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        run(Retention { period: retained, events, keys: Duration::from_micros(window), ..USUAL }, steps);
    }
}
