//! Keys against a model: whatever is done, an event and its key are stored together or not at all.
#![allow(clippy::arithmetic_side_effects)] // test code, though not all of it is in test functions

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::test_database::{NOW, SECOND, TestDatabase, USUAL, append, event, open};
use super::{Appended, Log, Retention};

const KEYS: [&str; 4] = ["a", "b", "A", "\"a\""];

/// What the database can refuse in the middle of a publish.
const REFUSED: [&str; 6] = ["SELECT", "SAVEPOINT", "CREATE", "INSERT INTO", "INSERT OR", "RELEASE"];

#[derive(Clone, Copy, Debug)]
enum Action {
    Publish(usize),
    FailedPublish(usize, usize),
    PublishWithoutKey,
    Tidy,
    Prune,
    Reopen,
    /// The application wipes its storage.
    Wipe,
}

/// An action, and by how much the clock moves before it, in microseconds.
fn step() -> impl Strategy<Value = (i64, Action)> {
    let clock = prop_oneof![
        4 => Just(0),
        6 => 0..2 * SECOND as i64,
        2 => 0..12 * SECOND as i64,
        1 => -(2 * SECOND as i64)..0,
    ];
    let action = prop_oneof![
        10 => (0..KEYS.len()).prop_map(Action::Publish),
        4 => (0..KEYS.len(), 0..REFUSED.len()).prop_map(|(key, sql)| Action::FailedPublish(key, sql)),
        3 => Just(Action::PublishWithoutKey),
        3 => Just(Action::Tidy),
        1 => Just(Action::Prune),
        2 => Just(Action::Reopen),
        1 => Just(Action::Wipe),
    ];
    (clock, action)
}

/// A key that was stored.
#[derive(Clone, Copy, Debug)]
struct Stored {
    id: u64,
    /// The clock at that time, in microseconds.
    at: u64,
}

struct Model {
    window: u64,
    now: u64,
    /// The latest that the clock has ever been: what was dropped then does not come back with the clock.
    latest: u64,
    keys: BTreeMap<&'static str, Stored>,
}

impl Model {
    /// Whether the key must answer: true or false, or nothing where only a clock that stepped back makes the difference.
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

/// The ids of all events, in all tables.
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
        "in memory is what is stored"
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
                    Appended::Before(id) => {
                        assert_ne!(model.is_known(key), Some(false), "{key}");
                        assert_eq!(id.as_micros(), model.keys[key].id);
                        assert_eq!((events(&db), rows), (before, 0), "nothing is written");
                    }
                    Appended::Now(id) => {
                        assert_ne!(model.is_known(key), Some(true), "{key}");
                        model.keys.insert(key, Stored { id: id.as_micros(), at: model.now });
                        assert_eq!(events(&db).len(), before.len() + 1);
                        assert!(events(&db).contains(&id.as_micros()) && !before.contains(&id.as_micros()));
                        assert!(rows <= 3, "a replaced key is a row more");
                    }
                }
            }
            Action::FailedPublish(key, sql) => {
                let (key, tables, memory) = (KEYS[key], db.tables(), format!("{log:?}"));
                db.refuse(REFUSED[sql]);
                let failed = log.append_once(&db, model.now, &event("{}"), key);
                db.accept();
                match failed {
                    Err(_) => {
                        assert_eq!(
                            (events(&db), db.tables()),
                            (before, tables),
                            "a failed publish leaves nothing"
                        );
                        assert_eq!(format!("{log:?}"), memory);
                    }
                    // What was refused was not needed.
                    Ok(Appended::Before(id)) => assert_eq!(id.as_micros(), model.keys[key].id),
                    Ok(Appended::Now(id)) => {
                        model.keys.insert(key, Stored { id: id.as_micros(), at: model.now });
                    }
                }
            }
            Action::PublishWithoutKey => {
                append(&mut log, &db, model.now);
            }
            Action::Tidy => {
                log.tidy(&db, model.now).unwrap();
                let tables = db.tables().iter().filter(|table| table.starts_with("dei_keys_")).count();
                // Half windows: three, unless the clock has stepped back.
                assert!(tables <= 3 || model.now < model.latest, "{tables}");
            }
            Action::Prune => {
                log.prune(&db, model.now).unwrap();
                let next = log.keys.next_expiry(&retention);
                assert!(next.is_none_or(|next| next > model.now), "what is due is gone");
            }
            Action::Reopen => log = open(&db, retention),
            Action::Wipe => {
                db.wipe();
                model.keys.clear();
                // It is noticed by the next publish.
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
