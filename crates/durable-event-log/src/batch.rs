//! Storing several events at once.

use std::collections::BTreeMap;
use std::fmt;

use super::append::{Record, validated};
use super::append_error::AppendError;
use super::database::{Database, DatabaseError};
use super::id::EventId;
use super::idempotency::{Appended, is_valid_key};
use super::log::Log;

/// An event of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchItem<'a> {
    /// The event.
    pub record: Record<'a>,
    /// Its idempotency key: see [`Log::append_once`].
    pub key: Option<&'a str>,
}

/// The reason why no event of a batch was stored. The log is unchanged.
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchError {
    /// The index of the event that was rejected. `None` if the transaction failed.
    pub index: Option<usize>,
    /// The reason.
    pub error: AppendError,
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "event {index} of the batch: {}", self.error),
            None => self.error.fmt(f),
        }
    }
}

impl std::error::Error for BatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl Log {
    /// Stores events in order, all or none, in one transaction. Returns the result of each.
    ///
    /// The ids increase in the order of the events. An event whose idempotency key was used before, also by an earlier event of the
    /// batch, is a duplicate. Each event costs what it costs by itself: one written row, and one more with a key.
    ///
    /// # Errors
    /// An event is too large, a key is not 1–255 visible ASCII characters, or the database fails. Nothing is stored then.
    pub fn append_batch(
        &mut self,
        db: &impl Database,
        now_us: u64,
        items: &[BatchItem<'_>],
    ) -> Result<Vec<Appended>, BatchError> {
        // Before any statement runs.
        let items = items
            .iter()
            .enumerate()
            .map(|(index, item)| checked(item).map_err(|error| BatchError { index: Some(index), error }));
        let items = items.collect::<Result<Vec<_>, _>>()?;
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let before = self.clone();
        let mut stored = Err(DatabaseError::new("the transaction did not run").into());
        let ended = db.atomically(&mut || {
            stored = self.append_items(db, now_us, &items);
            stored.is_ok()
        });
        let stored: Result<_, AppendError> = ended.map_err(AppendError::from).and(stored);
        stored.map_err(|error| {
            // The transaction is rolled back, including the tables that it created.
            *self = before;
            BatchError { index: None, error }
        })
    }

    /// Stores the events that are not duplicates.
    fn append_items<'a>(
        &mut self,
        db: &impl Database,
        now_us: u64,
        items: &[BatchItem<'a>],
    ) -> Result<Vec<Appended>, AppendError> {
        let has_keys = !self.retention.keys.is_zero();
        let mut known = BTreeMap::new();
        for key in items.iter().filter_map(|item| item.key.filter(|_| has_keys)) {
            if let Some(id) = self.find_any_key(db, now_us, key)? {
                known.insert(key, id);
            }
        }
        let horizon = horizon_of(self.retention.key_horizon(now_us), known.values());
        known.retain(|_, id| id.as_micros() > horizon);
        let append = |item: &BatchItem<'a>| {
            let BatchItem { record, key } = item;
            let Some(key) = key.filter(|_| has_keys) else {
                return self.append(db, now_us, record).map(Appended::Stored);
            };
            if let Some(id) = known.get(key) {
                return Ok(Appended::Duplicate(*id));
            }
            let id = self.append_with_key(db, now_us, record, key)?;
            known.insert(key, id);
            Ok(Appended::Stored(id))
        };
        items.iter().map(append).collect()
    }
}

/// How far apart the ids of a batch are at most, in microseconds, if it has up to 1,000 events.
const MAX_SPAN_US: u64 = 1_000;

/// Returns the highest id that has expired for a batch whose keys have the events `known`.
///
/// The ids of a batch are successive. If some of them have expired and others have not, none has, so that a batch that is repeated at
/// the end of its window is not stored in part.
fn horizon_of<'a>(horizon: u64, known: impl Iterator<Item = &'a EventId>) -> u64 {
    let first = known.map(|id| id.as_micros()).filter(|id| *id > horizon).min();
    first.map_or(horizon, |first| horizon.min(first.saturating_sub(MAX_SPAN_US)))
}

fn checked<'a>(item: &BatchItem<'a>) -> Result<BatchItem<'a>, AppendError> {
    if item.key.is_some_and(|key| !is_valid_key(key)) {
        return Err(AppendError::InvalidKey);
    }
    Ok(BatchItem { record: validated(&item.record)?, ..*item })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::test_database::{NOW, SECOND, TestDatabase, USUAL, append, event, open, replay};
    use super::super::{EventId, MAX_EVENT_BYTES, Retention};
    use super::*;

    fn item(json: &str) -> BatchItem<'_> {
        BatchItem { record: event(json), key: None }
    }

    fn keyed<'a>(json: &'a str, key: &'a str) -> BatchItem<'a> {
        BatchItem { key: Some(key), ..item(json) }
    }

    fn stored(micros: u64) -> Appended {
        Appended::Stored(EventId::saturating(micros))
    }

    fn duplicate(micros: u64) -> Appended {
        Appended::Duplicate(EventId::saturating(micros))
    }

    fn texts(log: &Log, db: &TestDatabase) -> Vec<(u64, String)> {
        let read = replay(log, db, 0, NOW).0.into_iter();
        read.map(|event| (event.id, event.text.split('|').next().unwrap().to_owned())).collect()
    }

    #[test]
    fn the_events_of_a_batch_have_successive_ids_in_their_order() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        let ids = log.append_batch(&db, NOW, &[item("[1]"), item("[2]"), item("[3]")]).unwrap();
        assert_eq!(ids, [stored(NOW + 1), stored(NOW + 2), stored(NOW + 3)]);
        assert_eq!(append(&mut log, &db, NOW), NOW + 4);
        let expected = [(NOW, "{}"), (NOW + 1, "[1]"), (NOW + 2, "[2]"), (NOW + 3, "[3]"), (NOW + 4, "{}")];
        assert_eq!(texts(&log, &db), expected.map(|(id, text)| (id, text.to_owned())));
        assert_eq!(open(&db, USUAL).segments, log.segments);
    }

    #[test]
    fn a_batch_costs_one_row_per_event_in_one_transaction() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        db.verbs();
        let before = db.connection.total_changes();
        log.append_batch(&db, NOW, &[item("{}"), item("{}"), item("{}")]).unwrap();
        assert_eq!(db.verbs(), ["SAVEPOINT", "INSERT", "INSERT", "INSERT", "RELEASE"]);
        assert_eq!(db.connection.total_changes() - before, 3);
        assert!(log.append_batch(&db, NOW, &[]).unwrap().is_empty());
        assert!(db.verbs().is_empty());
    }

    #[test]
    fn a_batch_may_fill_several_segments() {
        let db = TestDatabase::new();
        let retention = Retention { events: 8, ..USUAL };
        let mut log = open(&db, retention);
        let ids = log.append_batch(&db, NOW, &[item("{}"); 7]).unwrap();
        assert_eq!(ids, [0, 1, 2, 3, 4, 5, 6].map(|n| stored(NOW + n)));
        assert_eq!(db.tables().len(), 4, "two events each");
        assert_eq!(open(&db, retention).segments, log.segments);
    }

    #[test]
    fn the_keys_of_a_batch_are_those_of_single_events() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        assert_eq!(log.append_once(&db, NOW, &event("[0]"), "a").unwrap(), stored(NOW));
        let items = [item("[1]"), keyed("[2]", "a"), keyed("[3]", "b"), keyed("[4]", "b"), keyed("[5]", "c")];
        let expected =
            [stored(NOW + 1), duplicate(NOW), stored(NOW + 2), duplicate(NOW + 2), stored(NOW + 3)];
        assert_eq!(log.append_batch(&db, NOW, &items).unwrap(), expected);
        assert_eq!(log.append_once(&db, NOW, &event("[6]"), "c").unwrap(), duplicate(NOW + 3));
        let mut log = open(&db, USUAL);
        let again = log.append_batch(&db, NOW + SECOND, &items[1..]).unwrap();
        let ids = [NOW, NOW + 2, NOW + 2, NOW + 3];
        assert_eq!(again, ids.map(duplicate), "after hibernation");
        assert_eq!(texts(&log, &db).len(), 4);
    }

    #[test]
    fn a_batch_that_is_repeated_at_the_end_of_its_window_is_stored_as_a_whole_or_not_at_all() {
        const WINDOW: u64 = 300 * SECOND;
        let keys: Vec<String> = (0..1_000).map(|n| format!("k#{n}")).collect();
        let batch: Vec<_> = keys.iter().map(|key| keyed("{}", key)).collect();
        // In the middle of a millisecond: the ids of the batch end in the next one.
        for first in [NOW, NOW + 600] {
            for count in [2, 500, 1_000] {
                let db = TestDatabase::new();
                let mut log = open(&db, USUAL);
                append(&mut log, &db, first - 1);
                log.append_batch(&db, NOW, &batch[..count]).unwrap();
                let last = first + count as u64 - 1;
                let times = [first - 1, first, first + 1, first.midpoint(last), NOW + 1_000, last - 1];
                for again in times.into_iter().filter(|time| *time < last) {
                    let again = log.append_batch(&db, again + WINDOW, &batch[..count]).unwrap();
                    assert!((first..=last).map(duplicate).eq(again));
                }
                let later = last + WINDOW;
                let again = log.append_batch(&db, later, &batch[..count]).unwrap();
                assert!((later..).take(count).map(stored).eq(again));
            }
        }
    }

    #[test]
    fn an_expired_key_of_an_earlier_event_is_stored_again_beside_a_key_within_its_window() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        log.append_once(&db, NOW, &event("{}"), "a").unwrap();
        log.append_once(&db, NOW + 1_000, &event("{}"), "b").unwrap();
        let now = NOW + 300 * SECOND;
        let again = log.append_batch(&db, now, &[keyed("{}", "a"), keyed("{}", "b")]).unwrap();
        assert_eq!(again, [stored(now), duplicate(NOW + 1_000)]);
    }

    #[test]
    fn with_a_zero_window_keys_have_no_effect() {
        let db = TestDatabase::new();
        let mut log = open(&db, Retention { keys: Duration::ZERO, ..USUAL });
        let ids = log.append_batch(&db, NOW, &[keyed("{}", "a"), keyed("{}", "a")]).unwrap();
        assert_eq!(ids, [stored(NOW), stored(NOW + 1)]);
        assert_eq!(db.tables().len(), 1);
    }

    #[test]
    fn an_invalid_event_is_named_and_rejected_before_any_statement_runs() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        db.verbs();
        let large = "x".repeat(MAX_EVENT_BYTES + 1);
        let failed = log.append_batch(&db, NOW, &[item("{}"), item("{}"), item(&large)]).unwrap_err();
        assert_eq!(failed.index, Some(2));
        assert!(matches!(failed.error, AppendError::TooLarge { .. }), "{failed}");
        let failed = log.append_batch(&db, NOW, &[item("{}"), keyed("{}", "a b")]).unwrap_err();
        assert_eq!(failed.index, Some(1));
        assert!(matches!(failed.error, AppendError::InvalidKey), "{failed}");
        assert!(failed.to_string().starts_with("event 1 of the batch: idempotency key must be"), "{failed}");
        assert!(db.verbs().is_empty());
    }

    #[test]
    fn after_any_failing_statement_nothing_of_the_batch_is_stored() {
        for fails in ["SELECT", "SAVEPOINT", "CREATE", "INSERT INTO", "INSERT OR", "RELEASE"] {
            for has_tables in [false, true] {
                if !has_tables && fails == "SELECT" {
                    continue; // there is no table to select from
                }
                let db = TestDatabase::new();
                let mut log = open(&db, USUAL);
                let later = NOW + 200 * SECOND; // both kinds of tables are full
                if has_tables {
                    log.append_once(&db, NOW, &event("{}"), "before").unwrap();
                }
                let (tables, state) = (db.tables(), format!("{log:?}"));
                let items = [item("[1]"), item("[2]"), keyed("[3]", "a")];
                db.fail_on(fails);
                for _ in 0..2 {
                    let failed = log.append_batch(&db, later, &items).unwrap_err();
                    assert!(matches!(failed.error, AppendError::Storage(_)), "{fails}: {failed:?}");
                    assert_eq!(failed.index, None);
                    assert_eq!((db.tables(), format!("{log:?}")), (tables.clone(), state.clone()), "{fails}");
                }
                db.stop_failing();
                let expected = [stored(later), stored(later + 1), stored(later + 2)];
                assert_eq!(log.append_batch(&db, later, &items).unwrap(), expected, "{fails}");
                let reopened = open(&db, USUAL);
                assert_eq!((&reopened.segments, &reopened.keys), (&log.segments, &log.keys));
            }
        }
    }

    #[test]
    fn after_its_tables_are_dropped_a_batch_is_stored_with_higher_ids() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        db.drop_tables(|_| true);
        let ids = log.append_batch(&db, NOW, &[item("[1]"), keyed("[2]", "a")]).unwrap();
        assert_eq!(ids, [stored(NOW + 2), stored(NOW + 3)]);
        assert_eq!(open(&db, USUAL).segments, log.segments);
    }
}
