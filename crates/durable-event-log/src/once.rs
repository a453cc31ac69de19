//! Storing an event once, however often its publisher says it.

use super::append::checked;
use super::append_error::AppendError;
use super::database::{Database, DatabaseError};
use super::id::EventId;
use super::{Log, Record};

/// The longest idempotency key, in characters: the limit of the HTTP APIs that made the header customary.
pub const MAX_KEY_LENGTH: usize = 255;

/// What became of an event that was published with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It was stored.
    Now(EventId),
    /// One with its key was stored before; this one was not.
    Before(EventId),
}

impl Log {
    /// Stores an event unless one with the same key was stored within the window, whose id is the answer then, whatever is
    /// in the event.
    ///
    /// Event and key are stored in one transaction: after an error neither is, and nothing has changed. The key costs one
    /// row written besides the event's.
    pub fn append_once(
        &mut self,
        db: &impl Database,
        now_us: u64,
        record: &Record<'_>,
        key: &str,
    ) -> Result<Appended, AppendError> {
        if !is_key(key) {
            return Err(AppendError::InvalidKey);
        }
        let record = checked(record)?;
        if self.retention.keys.is_zero() {
            return self.append(db, now_us, &record).map(Appended::Now);
        }
        if let Some(id) = self.find_key(db, now_us, key)? {
            return Ok(Appended::Before(id));
        }
        let before = self.clone();
        let mut stored = Err(DatabaseError::new("the transaction did not run").into());
        let ended = db.atomically(&mut || {
            stored = self.append_with_key(db, now_us, &record, key);
            stored.is_ok()
        });
        let stored = ended.map_err(AppendError::from).and(stored);
        if stored.is_err() {
            // What the transaction took back, tables that it created included.
            *self = before;
        }
        stored.map(Appended::Now)
    }

    fn append_with_key(
        &mut self,
        db: &impl Database,
        now_us: u64,
        record: &Record<'_>,
        key: &str,
    ) -> Result<EventId, AppendError> {
        let id = self.append(db, now_us, record)?;
        self.keys.insert(db, &self.prefix, key, id, now_us, &self.retention)?;
        Ok(id)
    }

    /// The event of a key. When the tables are gone (the application dropped them), so are the keys.
    pub(super) fn find_key(
        &mut self,
        db: &impl Database,
        now_us: u64,
        key: &str,
    ) -> Result<Option<EventId>, DatabaseError> {
        self.keys.find(db, key, now_us, &self.retention).or_else(|error| {
            if self.keys.are_as_stored(db) {
                return Err(error);
            }
            self.read_again(db, now_us)?;
            self.keys.find(db, key, now_us, &self.retention)
        })
    }
}

/// Visible ASCII: what a header's value can carry, and nothing that looks like something else.
fn is_key(text: &str) -> bool {
    (1..=MAX_KEY_LENGTH).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::test_database::{NOW, SECOND, TestDatabase, USUAL, append, event, open, replay};
    use super::super::{Retention, TablePrefix};
    use super::*;

    fn once(log: &mut Log, db: &TestDatabase, now_us: u64, key: &str) -> Appended {
        log.append_once(db, now_us, &event("{}"), key).unwrap()
    }

    fn now(micros: u64) -> Appended {
        Appended::Now(EventId::saturating(micros))
    }

    fn before(micros: u64) -> Appended {
        Appended::Before(EventId::saturating(micros))
    }

    fn count(log: &Log, db: &TestDatabase) -> usize {
        replay(log, db, 0, NOW).0.len()
    }

    #[test]
    fn a_key_is_stored_once_within_its_window_and_answers_with_the_first_id() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        assert_eq!(once(&mut log, &db, NOW, "a"), now(NOW));
        assert_eq!(once(&mut log, &db, NOW, "a"), before(NOW));
        assert_eq!(once(&mut log, &db, NOW, "b"), now(NOW + 1));
        let other = log.append_once(&db, NOW + SECOND, &event("[1]"), "a").unwrap();
        assert_eq!(other, before(NOW), "whatever is in it");
        let mut log = open(&db, USUAL);
        assert_eq!(once(&mut log, &db, NOW + 300 * SECOND - 1, "a"), before(NOW), "after waking");
        assert_eq!(count(&log, &db), 2);
        assert_eq!(once(&mut log, &db, NOW + 300 * SECOND, "a"), now(NOW + 300 * SECOND));
        assert_eq!(once(&mut log, &db, NOW + 500 * SECOND, "a"), before(NOW + 300 * SECOND));
    }

    #[test]
    fn an_event_with_a_key_costs_two_rows_and_one_without_costs_what_it_did() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        once(&mut log, &db, NOW, "a");
        db.done();
        let changes = db.connection.total_changes();
        once(&mut log, &db, NOW, "b");
        assert_eq!(db.connection.total_changes() - changes, 2);
        assert_eq!(db.done(), ["SELECT", "SAVEPOINT", "INSERT", "INSERT", "RELEASE"]);
        once(&mut log, &db, NOW, "b");
        assert_eq!(db.done(), ["SELECT"]);
        append(&mut log, &db, NOW);
        assert_eq!(db.done(), ["INSERT"]);
        assert_eq!(db.connection.total_changes() - changes, 3);
    }

    #[test]
    fn tables_of_keys_are_made_by_half_windows_and_dropped_whole() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let keys = |db: &TestDatabase| {
            db.tables().into_iter().filter(|table| table.starts_with("dei_keys_")).collect::<Vec<_>>()
        };
        for n in 0..40 {
            let at = NOW + n * 50 * SECOND;
            once(&mut log, &db, at, &n.to_string());
            db.done();
            log.tidy(&db, at).unwrap();
            assert!(!db.done().contains(&"DELETE".to_owned()));
            assert!(keys(&db).len() <= 3, "{:?}", keys(&db));
        }
        assert_eq!(keys(&db).len(), 3);
        let last = NOW + 39 * 50 * SECOND;
        assert_eq!(once(&mut log, &db, last, "34"), before(NOW + 34 * 50 * SECOND));
        let due = log.next_expiry().unwrap();
        log.prune(&db, due).unwrap();
        assert!(log.next_expiry().unwrap() > due);
        log.prune(&db, last + 450 * SECOND).unwrap();
        assert_eq!((keys(&db), log.next_expiry()), (vec![], None));
    }

    #[test]
    fn whatever_statement_fails_neither_event_nor_key_remains() {
        for fails in ["SELECT", "SAVEPOINT", "CREATE", "INSERT INTO", "INSERT OR", "RELEASE"] {
            for has_tables in [false, true] {
                let db = TestDatabase::new();
                let mut log = open(&db, USUAL);
                let later = NOW + 200 * SECOND; // when both kinds of tables are full
                if has_tables {
                    once(&mut log, &db, NOW, "before");
                }
                if !has_tables && fails == "SELECT" {
                    continue; // there is nothing to look into
                }
                let (tables, state) = (db.tables(), format!("{log:?}"));
                db.refuse(fails);
                for _ in 0..2 {
                    let failed = log.append_once(&db, later, &event("{}"), "a");
                    assert!(matches!(failed, Err(AppendError::Storage(_))), "{fails}: {failed:?}");
                    assert_eq!((db.tables(), format!("{log:?}")), (tables.clone(), state.clone()), "{fails}");
                }
                db.accept();
                assert_eq!(count(&log, &db), usize::from(has_tables), "{fails}");
                let mut log = if has_tables { log } else { open(&db, USUAL) };
                assert_eq!(once(&mut log, &db, later, "a"), now(later), "{fails}");
                assert_eq!(once(&mut log, &db, later, "a"), before(later), "{fails}");
                let reopened = open(&db, USUAL);
                assert_eq!((&reopened.segments, &reopened.keys), (&log.segments, &log.keys));
            }
        }
    }

    #[test]
    fn a_table_of_keys_that_cannot_be_dropped_fails_no_later_publish() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        once(&mut log, &db, NOW, "a");
        let later = NOW + 1_000 * SECOND;
        append(&mut log, &db, later);
        db.refuse("DROP");
        assert!(log.tidy(&db, later).is_err());
        db.accept();
        assert_eq!(
            once(&mut log, &db, later, "a"),
            now(later + 1),
            "past its window, although its table is there"
        );
        log.tidy(&db, later).unwrap();
        assert_eq!(once(&mut log, &db, later, "a"), before(later + 1));
    }

    #[test]
    fn wiped_storage_forgets_keys_and_goes_on() {
        for tables_to_drop in ["dei_", "dei_keys_"] {
            let db = TestDatabase::new();
            let mut log = open(&db, USUAL);
            once(&mut log, &db, NOW, "a");
            db.drop_tables(|table| table.starts_with(tables_to_drop));
            let next = if tables_to_drop == "dei_" { NOW + 2 } else { NOW + 1 };
            assert_eq!(once(&mut log, &db, NOW, "a"), now(next));
            assert_eq!(once(&mut log, &db, NOW, "a"), before(next));
            let reopened = open(&db, USUAL);
            assert_eq!((&reopened.segments, &reopened.keys), (&log.segments, &log.keys));
        }
    }

    #[test]
    fn a_key_that_is_none_is_refused_before_anything_is_asked() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        db.done();
        for key in ["", " ", "a b", "a\n", "ä", "a\0", "\u{7f}", &"x".repeat(MAX_KEY_LENGTH + 1)] {
            let refused = log.append_once(&db, NOW, &event("{}"), key);
            assert!(matches!(refused, Err(AppendError::InvalidKey)), "{key:?}");
        }
        assert!(db.done().is_empty());
        for key in ["a", "'; DROP TABLE x; --", "\"quoted\"", &"~".repeat(MAX_KEY_LENGTH)]
            .map(|key| key.replace(' ', "_"))
        {
            let stored = once(&mut log, &db, NOW, &key);
            assert!(
                matches!(stored, Appended::Now(id) if once(&mut log, &db, NOW, &key) == Appended::Before(id)),
                "{key}"
            );
        }
        assert_ne!(once(&mut log, &db, NOW, "case"), once(&mut log, &db, NOW, "CASE"));
    }

    #[test]
    fn an_event_that_cannot_be_stored_leaves_its_key_free() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let large = "x".repeat(crate::MAX_EVENT_BYTES + 1);
        let refused = log.append_once(&db, NOW, &event(&large), "a");
        assert!(matches!(refused, Err(AppendError::TooLarge { .. })));
        assert_eq!(once(&mut log, &db, NOW, "a"), now(NOW));
    }

    #[test]
    fn without_a_window_keys_mean_nothing_and_cost_nothing() {
        let db = TestDatabase::new();
        let mut log = open(&db, Retention { keys: Duration::ZERO, ..USUAL });
        assert_eq!(once(&mut log, &db, NOW, "a"), now(NOW));
        assert_eq!(once(&mut log, &db, NOW, "a"), now(NOW + 1));
        assert_eq!(db.tables().len(), 1);
    }

    #[test]
    fn a_clock_that_steps_back_keeps_keys() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        once(&mut log, &db, NOW, "a");
        assert_eq!(once(&mut log, &db, NOW - 9_000 * SECOND, "a"), before(NOW));
        assert_eq!(once(&mut log, &db, NOW - 9_000 * SECOND, "b"), now(NOW + 1));
        assert_eq!(db.tables().len(), 2);
    }

    #[test]
    fn tables_that_look_similar_are_left_alone() {
        let db = TestDatabase::new();
        let foreign = [
            "dei_keys_",
            "dei_keys_05",
            "dei_keys_x",
            "dei_keysX5",
            "deiXkeys_5",
            "DEI_KEYS_7",
            "dei_keys_9_first",
        ];
        for table in foreign {
            db.run(&format!("CREATE TABLE \"{table}\" (x)"));
        }
        let damaged = NOW + SECOND;
        db.run(&format!("CREATE TABLE dei_keys_{damaged} (key, id)"));
        let tables = db.tables();
        let mut log = open(&db, USUAL);
        assert_eq!(once(&mut log, &db, NOW, "a"), now(NOW));
        let after = (damaged + 1).to_string();
        assert!(db.tables().contains(&format!("dei_keys_{after}")), "no name is taken twice");
        log.prune(&db, NOW + 9_000 * SECOND).unwrap();
        assert!(tables.iter().all(|table| db.tables().contains(table)));
    }

    #[test]
    fn two_logs_with_prefixes_that_contain_each_other_have_keys_apart() {
        let db = TestDatabase::new();
        let prefixes = ["a", "a_", "akeys_", "a_keys_", "aevents_", "akeys_0", "_", "0"];
        let mut logs: Vec<_> = prefixes.iter().map(|prefix| Log::open(&db, prefix, USUAL).unwrap()).collect();
        for (n, log) in logs.iter_mut().enumerate() {
            assert_eq!(once(log, &db, NOW + n as u64, "k"), now(NOW + n as u64));
        }
        for (prefix, log) in prefixes.iter().zip(&logs) {
            let opened = Log::read(&db, TablePrefix::new(prefix).unwrap(), USUAL).unwrap();
            assert_eq!((&opened.segments, &opened.keys), (&log.segments, &log.keys));
        }
    }
}
