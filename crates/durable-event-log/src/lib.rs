//! The event log: what a channel remembers, and for how long.
//!
//! Events live in a few tables, the segments, named `<prefix>events_<lower>`, where `lower` is the highest id ever before
//! them; the first one ever is `<prefix>events_<time of birth>_first`. The names are the only metadata. Events go into the
//! newest segment; when it spans half the retention or a quarter of a bound, the next one begins. What is too old is
//! dropped by the table, so an event costs one row written over its whole life.
//!
//! An id is a time ([`EventId`]), so one column says order, age and place. The clock is always a parameter, in
//! microseconds since the epoch.
//!
//! Idempotency keys have tables of their own, `<prefix>keys_<start>`, so that an event without a key costs nothing more
//! (`keys.rs`).
//!
//! # Layout
//!
//! | name | kind | states |
//! | --- | --- | --- |
//! | `<prefix>events_<birth>_first` | table | the first segment; nothing was before it |
//! | `<prefix>events_<lower>` | table | a segment; all events up to `lower` were before it. Only the newest may be empty |
//! | `<prefix>keys_<start>` | table | idempotency keys, see `keys.rs` |
//! | `<prefix>epoch` | view | this channel has had events |
//! | `<prefix>lead_<seconds>_<until>` | view | how far ahead the clocks of token issuers are, see `lead.rs` |
//!
//! Views have no content and take no page, and dropping every table does not remove them. A database without the
//! epoch view (of a version before it) gets one with its next segment.
//!
//! # Lost tables
//!
//! Tables can vanish behind the log's back: the application calls `deleteAll`, or drops them. The log then begins a new
//! epoch (`epoch.rs`): an empty segment `<prefix>events_<lower>` whose `lower` is above every id so far and at least the
//! clock, so that every older cursor and every older token is a gap. The log notices a loss
//!
//! - at `deleteAll`, which `runtime/hot.js` wraps;
//! - when a statement fails because the newest table is gone;
//! - when it opens and finds the epoch view without any segment;
//! - when it opens and a segment does not begin where the one before it ends: whatever is before the hole counts as lost;
//! - when it opens in an instance that knows of later events than the database.
//!
//! It cannot notice that exactly the newest tables were dropped by hand and the instance was evicted before the log was
//! used again, nor that the epoch view was dropped too. An instance that finds all tables gone knows no ids, and begins
//! with the clock. A point-in-time recovery looks like a log whose later events never
//! happened: cursors beyond its last event are a gap until newer events have passed them.
//!
//! # Damage
//!
//! The names above are reserved, and what bears one without having exactly our columns (altered by hand, or written by
//! another version) is never read and never dropped: it may be somebody's only copy. As its events cannot be served, they
//! count as lost: resuming from before its end is a gap.
//!
//! A row that was changed by hand, say so that its `json` is no JSON, is sent as it is, and the client fails to read that
//! frame. Nothing else depends on it: the server parses no stored event, ids and sums are columns of their own, and the
//! rows after it follow. Checking each row again on replay would cost every replay for what only a hand can cause. An
//! unreadable audience is different, since it could give an event to the wrong reader: it admits nobody.

mod append;
mod append_error;
mod database;
mod epoch;
mod id;
mod keys;
mod lead;
mod once;
mod resume;
mod retention;
mod segment;
mod step;
mod tidy;

pub use self::{
    append::{MAX_EVENT_BYTES, Record},
    append_error::AppendError,
    database::{Cell, Database, DatabaseError, Param},
    epoch::Memory,
    id::{EventId, InvalidEventId},
    lead::is_early,
    once::{Appended, MAX_KEY_LENGTH},
    resume::{Resume, ResumeFrom},
    retention::Retention,
    segment::TablePrefix,
    step::{STEP_BYTES, Step},
};
use self::{
    keys::KeyTables,
    lead::Lead,
    segment::{Segment, SegmentName},
};

/// The event log of one channel.
#[derive(Clone, Debug)]
pub struct Log {
    prefix: TablePrefix,
    retention: Retention,
    /// Oldest first. Only the newest may be empty; it takes the next event.
    segments: Vec<Segment>,
    /// The lowest id in the newest segment, if that is not empty; not read before it is needed.
    first_of_newest: Option<u64>,
    /// Segments from before an unreadable or a missing one: they can make no resume whole, so they are dropped at the next occasion.
    stranded: Vec<Segment>,
    /// `lower` of the newest unreadable table, while no segment is newer.
    unreadable: Option<EventId>,
    /// Everything up to this id is gone, and no table says so yet: creating it has failed.
    lost: Option<EventId>,
    /// The highest id that was given to an event and then rolled back. It is not given again.
    floor_of_ids: Option<EventId>,
    /// Whether the epoch view exists.
    has_epoch: bool,
    /// How far ahead the clocks of token issuers are.
    lead: Option<Lead>,
    keys: KeyTables,
}

impl Log {
    /// Opens the log: reads the list of tables and a row of each segment. Writes nothing; a log that never was written
    /// has no table.
    ///
    /// # Errors
    ///
    /// When the database cannot be read, or `prefix` is not 1 to 32 of `a` to `z`, `0` to `9` and `_`.
    pub fn open(db: &impl Database, prefix: &str, retention: Retention) -> Result<Self, DatabaseError> {
        Self::read(db, TablePrefix::new(prefix)?, retention)
    }

    /// The highest id in the log's history, as far as one is known; for a log that is empty, the time of its birth.
    pub fn last_id(&self) -> Option<EventId> {
        let newest = self.segments.last().map(|newest| EventId::saturating(newest.last()));
        // An unreadable table holds one event at least, and no two tables can have the same name.
        let unreadable =
            self.unreadable.map(|lower| EventId::saturating(lower.as_micros().saturating_add(1)));
        newest.max(unreadable).max(self.lost)
    }

    fn read(db: &impl Database, prefix: TablePrefix, retention: Retention) -> Result<Self, DatabaseError> {
        let (from, to) = prefix.table_range();
        let (keys_from, keys_to) = prefix.key_table_range();
        let epoch_view = prefix.epoch_view();
        let (lead_from, lead_to) = prefix.lead_view_range();
        // Whether a table is as we create it, SQLite can tell with less effort than it takes to hand its SQL over.
        let sql = [
            "SELECT name, CASE sql WHEN 'CREATE TABLE \"' || name || '",
            segment::LAYOUT,
            "' THEN 1 WHEN 'CREATE TABLE \"' || name || '",
            keys::LAYOUT,
            "' THEN 2 WHEN 'CREATE VIEW \"' || name || '",
            epoch::VIEW,
            "' THEN 3 END FROM sqlite_master WHERE type = 'table' AND \
             (name >= ?1 AND name < ?2 OR name >= ?3 AND name < ?4) \
             OR type = 'view' AND (name = ?5 OR name >= ?6 AND name < ?7)",
        ];
        let names = [&from, &to, &keys_from, &keys_to, &epoch_view, &lead_from, &lead_to];
        let names = names.map(|name| Param::Text(name));
        let rows = db.execute(&sql.concat(), &names)?;
        // In the order of their names, of which there are few.
        let mut found: Vec<(SegmentName, bool)> = Vec::with_capacity(rows.len());
        let mut keys = KeyTables::default();
        let (mut has_epoch, mut lead) = (false, None);
        for row in &rows {
            let [Cell::Text(table), layout] = row.as_slice() else { continue };
            if let Some(name) = prefix.parse(table) {
                let is_ours = *layout == Cell::Number(1.0);
                found.insert(found.partition_point(|(other, _)| *other < name), (name, is_ours));
            } else if let Some(start) = prefix.parse_key_table(table) {
                keys.add(&prefix, start, *layout == Cell::Number(2.0));
            } else if *layout == Cell::Number(3.0) {
                has_epoch |= *table == epoch_view;
                lead = lead.max(prefix.parse_lead_view(table).map(Lead::from));
            }
        }

        let mut log = Self {
            prefix,
            retention,
            segments: Vec::new(),
            first_of_newest: None,
            stranded: Vec::new(),
            unreadable: None,
            lost: None,
            floor_of_ids: None,
            has_epoch,
            lead,
            keys,
        };
        for (name, is_ours) in found {
            if is_ours {
                log.segments.push(Segment::new(&log.prefix, name));
                log.unreadable = None;
            } else {
                log.stranded.append(&mut log.segments);
                log.unreadable = Some(name.lower);
            }
        }
        for segment in &mut log.segments {
            segment.read_content(db)?;
        }
        log.cut_off_at_holes();
        Ok(log)
    }
}

// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod keys_model;
#[cfg(test)]
mod layouts;
#[cfg(test)]
mod model;
#[cfg(test)]
mod test_database;

#[cfg(test)]
mod tests {
    use super::test_database::{NOW, SECOND, TestDatabase, USUAL, append, open, resumed};
    use super::*;

    #[test]
    fn opening_writes_nothing_and_reads_one_statement_per_table() {
        let db = TestDatabase::new();
        open(&db, USUAL);
        assert!(db.tables().is_empty());
        assert_eq!(db.done(), ["SELECT"]);
        let mut log = open(&db, USUAL);
        for n in 0..100 {
            append(&mut log, &db, NOW + n * 5 * SECOND);
        }
        assert_eq!(db.tables().len(), 4);
        db.done();
        let opened = open(&db, USUAL);
        assert_eq!(db.done(), ["SELECT"; 5]);
        assert!(db.effort.get() < 60, "{}", db.effort.get());
        assert_eq!(opened.segments, log.segments);
        assert_eq!(opened.last_id(), log.last_id());
    }

    #[test]
    fn a_prefix_that_is_no_name_is_refused() {
        let db = TestDatabase::new();
        for prefix in ["", "a\"; DROP TABLE x; --", "sqlite_", "Ä"] {
            assert!(Log::open(&db, prefix, USUAL).is_err());
        }
        assert!(db.done().is_empty());
    }

    #[test]
    fn two_logs_with_prefixes_that_contain_each_other_are_apart() {
        let db = TestDatabase::new();
        let mut logs: Vec<_> = ["a", "a_", "aevents_", "a_events_", "_", "0"]
            .iter()
            .map(|prefix| Log::open(&db, prefix, USUAL).unwrap())
            .collect();
        for (n, log) in logs.iter_mut().enumerate() {
            append(log, &db, NOW + n as u64);
        }
        for log in &logs {
            let opened = Log::read(&db, log.prefix.clone(), USUAL).unwrap();
            assert_eq!(opened.segments, log.segments);
            assert_eq!(opened.segments.len(), 1);
        }
    }

    #[test]
    fn tables_views_and_indexes_that_look_similar_are_ignored_and_left_alone() {
        let db = TestDatabase::new();
        let foreign = [
            "dei_events_",
            "dei_events_12x",
            "dei_events_1_first_x",
            "deiXevents_5",
            "dei_eventsX5",
            "dei_events_05",
            "dei_events_-5",
            "dei_events_9999999999999999999",
            "mydei_events_5",
            "DEI_EVENTS_6",
            "dei_events_5 ",
        ];
        for table in foreign {
            db.run(&format!("CREATE TABLE \"{table}\" (x)"));
        }
        db.run("CREATE TABLE other (x); CREATE INDEX dei_events_7 ON other (x); CREATE VIEW dei_events_8 AS SELECT 1");
        let before = db.tables();
        let mut log = open(&db, USUAL);
        assert_eq!((log.segments.len(), log.unreadable), (0, None));
        append(&mut log, &db, NOW);
        assert!(db.tables().contains(&format!("dei_events_{}_first", NOW - 1)));
        log.prune(&db, NOW + 400 * SECOND).unwrap();
        for table in before {
            assert!(db.tables().contains(&table), "{table}");
        }
    }

    /// Three tables of one event each; returns their ids.
    fn three_tables(db: &TestDatabase) -> [u64; 3] {
        let mut log = open(db, USUAL);
        [NOW, NOW + 150 * SECOND, NOW + 300 * SECOND].map(|now| append(&mut log, db, now))
    }

    #[test]
    fn a_damaged_table_between_others_is_a_gap_and_the_rest_is_served() {
        let db = TestDatabase::new();
        let [a, b, c] = three_tables(&db);
        let damaged = format!("dei_events_{a}");
        db.run(&format!("ALTER TABLE {damaged} DROP COLUMN meta"));
        let mut log = open(&db, USUAL);
        let now = c;
        assert_eq!(resumed(&log, &db, now, ResumeFrom::LastEventId(&a.to_string())), (vec![c], Some(b + 1)));
        assert_eq!(resumed(&log, &db, now, ResumeFrom::LastEventId(&b.to_string())), (vec![c], None));
        assert_eq!(log.next_expiry(), Some(0), "what is before the damage can go");
        log.prune(&db, now + 9000 * SECOND).unwrap();
        assert_eq!(
            db.tables(),
            [damaged, format!("dei_events_{c}")],
            "the damaged table is not ours to drop"
        );
        assert_eq!(open(&db, USUAL).segments, log.segments);
    }

    #[test]
    fn a_damaged_newest_table_is_a_gap_until_the_next_event_begins_a_new_one() {
        let db = TestDatabase::new();
        let [_, b, c] = three_tables(&db);
        db.run(&format!("ALTER TABLE dei_events_{b} DROP COLUMN json"));
        let mut log = open(&db, USUAL);
        for id in [b, c] {
            let (served, gap) = resumed(&log, &db, c, ResumeFrom::LastEventId(&id.to_string()));
            assert_eq!((served, gap), (vec![], Some(c)));
        }
        assert_eq!(resumed(&log, &db, c, ResumeFrom::IssuedAt(0.0)).1, Some(c));
        let d = append(&mut log, &db, c + SECOND);
        assert_eq!(resumed(&log, &db, d, ResumeFrom::LastEventId(&c.to_string())), (vec![d], Some(d)));
        assert_eq!(resumed(&log, &db, d, ResumeFrom::LastEventId(&d.to_string())), (vec![], None));
        log.tidy(&db, d).unwrap();
        assert_eq!(db.tables(), [format!("dei_events_{b}"), format!("dei_events_{}", d - 1)]);
        assert_eq!(open(&db, USUAL).segments, log.segments);
    }

    #[test]
    fn a_damaged_table_from_the_future_still_lets_events_be_stored() {
        let db = TestDatabase::new();
        let future = NOW + 9000 * SECOND;
        db.run(&format!("CREATE TABLE dei_events_{future} (x)"));
        let mut log = open(&db, USUAL);
        let id = append(&mut log, &db, NOW);
        assert!(id > future);
        assert_eq!(append(&mut open(&db, USUAL), &db, NOW), id + 1);
    }

    #[test]
    fn rows_that_no_append_wrote_do_not_keep_the_log_from_opening() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let (a, b) = (append(&mut log, &db, NOW), append(&mut log, &db, NOW));
        let table = db.tables().remove(0);
        for id in ["-5", "0", "5", "9007199254740992", "9223372036854775807"] {
            db.run(&format!("INSERT INTO {table} (id, count, bytes, json) VALUES ({id}, 1, 1, '{{}}')"));
        }
        db.run(&format!("UPDATE {table} SET count = 'x', bytes = -1 WHERE id = {b}"));
        let mut log = open(&db, USUAL);
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::LastEventId("7")), (vec![a, b], Some(a)));
        assert_eq!(append(&mut log, &db, NOW), b + 1);
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::LastEventId(&a.to_string())), (vec![b, b + 1], None));
    }
}
