//! Storing an event with an idempotency key.

use super::append::{Record, validated};
use super::append_error::{AppendError, MAX_KEY_LENGTH};
use super::database::{Database, DatabaseError};
use super::id::EventId;
use super::log::Log;

/// The result of storing an event with an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The event was stored with this id.
    Stored(EventId),
    /// An earlier event with this id has the same idempotency key. The new event was not stored.
    Duplicate(EventId),
}

impl Log {
    /// Stores an event unless an event with the same idempotency key was stored within the idempotency window.
    ///
    /// Returns the id of the earlier event in that case, even if the content differs. The event and its key are
    /// stored in one transaction. The key costs one additional written row.
    ///
    /// # Errors
    /// The key is not 1–255 visible ASCII characters, the event is too large, or the database fails. Neither the
    /// event nor the key is stored then.
    pub fn append_once(
        &mut self,
        db: &impl Database,
        now_us: u64,
        record: &Record<'_>,
        key: &str,
    ) -> Result<Appended, AppendError> {
        if !is_valid_key(key) {
            return Err(AppendError::InvalidKey);
        }
        let record = validated(record)?;
        if self.retention.keys.is_zero() {
            return self.append(db, now_us, &record).map(Appended::Stored);
        }
        if let Some(id) = self.find_key(db, now_us, key)? {
            return Ok(Appended::Duplicate(id));
        }
        let before = self.clone();
        let mut stored = Err(DatabaseError::new("the transaction did not run").into());
        let ended = db.atomically(&mut || {
            stored = self.append_with_key(db, now_us, &record, key);
            stored.is_ok()
        });
        let stored = ended.map_err(AppendError::from).and(stored);
        if stored.is_err() {
            // The transaction is rolled back, including the tables that it created.
            *self = before;
        }
        stored.map(Appended::Stored)
    }

    pub(super) fn append_with_key(
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

    /// Returns the event of an idempotency key that has not expired.
    pub(super) fn find_key(
        &mut self,
        db: &impl Database,
        now_us: u64,
        key: &str,
    ) -> Result<Option<EventId>, DatabaseError> {
        let horizon = self.retention.key_horizon(now_us);
        Ok(self.find_any_key(db, now_us, key)?.filter(|id| id.as_micros() > horizon))
    }

    /// Returns the event of an idempotency key, which may have expired. If the application has dropped the tables, the key is unknown.
    pub(super) fn find_any_key(
        &mut self,
        db: &impl Database,
        now_us: u64,
        key: &str,
    ) -> Result<Option<EventId>, DatabaseError> {
        self.keys.find(db, key).or_else(|error| {
            if self.keys.newest_table_exists(db) {
                return Err(error);
            }
            self.reload(db, now_us)?;
            self.keys.find(db, key)
        })
    }
}

/// Returns whether the text is a valid idempotency key. Visible ASCII fits into a header value and has no
/// look-alikes.
pub(super) fn is_valid_key(text: &str) -> bool {
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
        Appended::Stored(EventId::saturating(micros))
    }

    fn before(micros: u64) -> Appended {
        Appended::Duplicate(EventId::saturating(micros))
    }

    fn count(log: &Log, db: &TestDatabase) -> usize {
        replay(log, db, 0, NOW).0.len()
    }

    #[test]
    fn a_repeated_key_within_its_window_returns_the_first_id() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        assert_eq!(once(&mut log, &db, NOW, "a"), now(NOW));
        assert_eq!(once(&mut log, &db, NOW, "a"), before(NOW));
        assert_eq!(once(&mut log, &db, NOW, "b"), now(NOW + 1));
        let other = log.append_once(&db, NOW + SECOND, &event("[1]"), "a").unwrap();
        assert_eq!(other, before(NOW), "although the content differs");
        let mut log = open(&db, USUAL);
        assert_eq!(once(&mut log, &db, NOW + 300 * SECOND - 1, "a"), before(NOW), "after hibernation");
        assert_eq!(count(&log, &db), 2);
        assert_eq!(once(&mut log, &db, NOW + 300 * SECOND, "a"), now(NOW + 300 * SECOND));
        assert_eq!(once(&mut log, &db, NOW + 500 * SECOND, "a"), before(NOW + 300 * SECOND));
    }

    #[test]
    fn an_event_costs_two_rows_with_a_key_and_one_without() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        once(&mut log, &db, NOW, "a");
        db.verbs();
        let changes = db.connection.total_changes();
        once(&mut log, &db, NOW, "b");
        assert_eq!(db.connection.total_changes() - changes, 2);
        assert_eq!(db.verbs(), ["SELECT", "SAVEPOINT", "INSERT", "INSERT", "RELEASE"]);
        once(&mut log, &db, NOW, "b");
        assert_eq!(db.verbs(), ["SELECT"]);
        append(&mut log, &db, NOW);
        assert_eq!(db.verbs(), ["INSERT"]);
        assert_eq!(db.connection.total_changes() - changes, 3);
    }

    #[test]
    fn key_tables_span_half_a_window_and_are_dropped_as_a_whole() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let keys = |db: &TestDatabase| {
            db.tables().into_iter().filter(|table| table.starts_with("dei_keys_")).collect::<Vec<_>>()
        };
        for n in 0..40 {
            let at = NOW + n * 50 * SECOND;
            once(&mut log, &db, at, &n.to_string());
            db.verbs();
            log.delete_expired(&db, at).unwrap();
            assert!(!db.verbs().contains(&"DELETE".to_owned()));
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
    fn after_any_failing_statement_neither_event_nor_key_is_stored() {
        for fails in ["SELECT", "SAVEPOINT", "CREATE", "INSERT INTO", "INSERT OR", "RELEASE"] {
            for has_tables in [false, true] {
                let db = TestDatabase::new();
                let mut log = open(&db, USUAL);
                let later = NOW + 200 * SECOND; // both kinds of tables are full
                if has_tables {
                    once(&mut log, &db, NOW, "before");
                }
                if !has_tables && fails == "SELECT" {
                    continue; // there is no table to select from
                }
                let (tables, state) = (db.tables(), format!("{log:?}"));
                db.fail_on(fails);
                for _ in 0..2 {
                    let failed = log.append_once(&db, later, &event("{}"), "a");
                    assert!(matches!(failed, Err(AppendError::Storage(_))), "{fails}: {failed:?}");
                    assert_eq!((db.tables(), format!("{log:?}")), (tables.clone(), state.clone()), "{fails}");
                }
                db.stop_failing();
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
    fn a_key_table_that_cannot_be_dropped_does_not_fail_later_publishes() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        once(&mut log, &db, NOW, "a");
        let later = NOW + 1_000 * SECOND;
        append(&mut log, &db, later);
        db.fail_on("DROP");
        assert!(log.delete_expired(&db, later).is_err());
        db.stop_failing();
        assert_eq!(
            once(&mut log, &db, later, "a"),
            now(later + 1),
            "the key is expired although its table exists"
        );
        log.delete_expired(&db, later).unwrap();
        assert_eq!(once(&mut log, &db, later, "a"), before(later + 1));
    }

    #[test]
    fn after_storage_is_deleted_keys_are_unknown_and_publishing_continues() {
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
    fn an_invalid_key_is_rejected_before_any_statement_runs() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        db.verbs();
        for key in ["", " ", "a b", "a\n", "ä", "a\0", "\u{7f}", &"x".repeat(MAX_KEY_LENGTH + 1)] {
            let rejected = log.append_once(&db, NOW, &event("{}"), key);
            assert!(matches!(rejected, Err(AppendError::InvalidKey)), "{key:?}");
        }
        assert!(db.verbs().is_empty());
        for key in ["a", "'; DROP TABLE x; --", "\"quoted\"", &"~".repeat(MAX_KEY_LENGTH)]
            .map(|key| key.replace(' ', "_"))
        {
            let stored = once(&mut log, &db, NOW, &key);
            assert!(
                matches!(stored, Appended::Stored(id) if once(&mut log, &db, NOW, &key) == Appended::Duplicate(id)),
                "{key}"
            );
        }
        assert_ne!(once(&mut log, &db, NOW, "case"), once(&mut log, &db, NOW, "CASE"));
    }

    #[test]
    fn the_key_of_a_rejected_event_can_be_used_again() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let large = "x".repeat(crate::MAX_EVENT_BYTES + 1);
        let rejected = log.append_once(&db, NOW, &event(&large), "a");
        assert!(matches!(rejected, Err(AppendError::TooLarge { .. })));
        assert_eq!(once(&mut log, &db, NOW, "a"), now(NOW));
    }

    #[test]
    fn with_a_zero_window_keys_have_no_effect_and_no_cost() {
        let db = TestDatabase::new();
        let mut log = open(&db, Retention { keys: Duration::ZERO, ..USUAL });
        assert_eq!(once(&mut log, &db, NOW, "a"), now(NOW));
        assert_eq!(once(&mut log, &db, NOW, "a"), now(NOW + 1));
        assert_eq!(db.tables().len(), 1);
    }

    #[test]
    fn keys_are_kept_when_the_clock_steps_back() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        once(&mut log, &db, NOW, "a");
        assert_eq!(once(&mut log, &db, NOW - 9_000 * SECOND, "a"), before(NOW));
        assert_eq!(once(&mut log, &db, NOW - 9_000 * SECOND, "b"), now(NOW + 1));
        assert_eq!(db.tables().len(), 2);
    }

    #[test]
    fn similarly_named_tables_are_kept() {
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
        assert!(db.tables().contains(&format!("dei_keys_{after}")), "no name is used twice");
        log.prune(&db, NOW + 9_000 * SECOND).unwrap();
        assert!(tables.iter().all(|table| db.tables().contains(table)));
    }

    #[test]
    fn logs_whose_prefixes_contain_each_other_have_independent_keys() {
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
