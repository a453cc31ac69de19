//! The log, as it is opened.

use super::database::{Cell, Database, DatabaseError, Param};
use super::id::EventId;
use super::key_tables::{self, KeyTables};
use super::lead::Lead;
use super::retention::Retention;
use super::revocation_table::{COLUMNS as REVOCATION_COLUMNS, RevocationTable, Revocations};
use super::segment::{self, Segment, SegmentName, TablePrefix};
use super::view::VIEW_BODY;

/// The event log of one channel.
#[derive(Clone, Debug)]
pub struct Log {
    pub(super) prefix: TablePrefix,
    pub(super) retention: Retention,
    /// The segments, oldest first. The newest stores the next event; only it may be empty.
    pub(super) segments: Vec<Segment>,
    /// The lowest id in the newest segment. `None` if the segment is empty, or until the id is needed.
    pub(super) first_of_newest: Option<u64>,
    /// Segments before an unreadable or missing one. No resume can use them, so
    /// [`delete_expired`](Self::delete_expired) drops them.
    pub(super) stranded: Vec<Segment>,
    /// `lower` of the newest unreadable table, if it is newer than all segments.
    pub(super) unreadable: Option<EventId>,
    /// The id up to which all events are lost, if no table records it because creating that table failed.
    pub(super) lost: Option<EventId>,
    /// The highest id that was ever assigned to an event, including rolled back events. It is not assigned again.
    pub(super) highest_assigned: Option<EventId>,
    /// Whether the epoch view exists.
    pub(super) has_epoch: bool,
    /// How far the clocks of token issuers are ahead.
    pub(super) lead: Option<Lead>,
    pub(super) keys: KeyTables,
    pub(super) revocations: Revocations,
}

impl Log {
    /// Opens the log by reading the list of tables and one row of each segment. Writes nothing: the tables of a new
    /// log are created with its first event.
    ///
    /// `prefix` is the beginning of all table names, see [`TablePrefix`].
    ///
    /// # Errors
    /// The prefix is invalid, or a statement fails.
    pub fn open(db: &impl Database, prefix: &str, retention: Retention) -> Result<Self, DatabaseError> {
        Self::read(db, TablePrefix::new(prefix)?, retention)
    }

    /// Returns the id after which the newest segment begins. It is different for each segment.
    pub fn newest_segment(&self) -> Option<EventId> {
        self.segments.last().map(|newest| EventId::saturating(newest.lower()))
    }

    /// Returns the highest known event id. For a log without events, returns the time of its creation, or `None`
    /// before that.
    pub fn last_id(&self) -> Option<EventId> {
        let newest = self.segments.last().map(|newest| EventId::saturating(newest.last()));
        // An unreadable table counts as one event after `lower`, so that the next segment gets a different name.
        let unreadable =
            self.unreadable.map(|lower| EventId::saturating(lower.as_micros().saturating_add(1)));
        newest.max(unreadable).max(self.lost)
    }

    pub(super) fn read(
        db: &impl Database,
        prefix: TablePrefix,
        retention: Retention,
    ) -> Result<Self, DatabaseError> {
        let (from, to) = prefix.table_range();
        let (keys_from, keys_to) = prefix.key_table_range();
        let epoch_view = prefix.epoch_view();
        let (lead_from, lead_to) = prefix.lead_view_range();
        let revocation_table = prefix.revocation_table();
        // SQLite compares each table's definition with ours, which is faster than returning its SQL text.
        let sql = [
            "SELECT name, CASE sql WHEN 'CREATE TABLE \"' || name || '",
            segment::COLUMNS,
            "' THEN 1 WHEN 'CREATE TABLE \"' || name || '",
            key_tables::COLUMNS,
            "' THEN 2 WHEN 'CREATE VIEW \"' || name || '",
            VIEW_BODY,
            "' THEN 3 WHEN 'CREATE TABLE \"' || name || '",
            REVOCATION_COLUMNS,
            "' THEN 4 END FROM sqlite_master WHERE type = 'table' AND \
             (name >= ?1 AND name < ?2 OR name >= ?3 AND name < ?4 OR name = ?8) \
             OR type = 'view' AND (name = ?5 OR name >= ?6 AND name < ?7)",
        ];
        let names = [&from, &to, &keys_from, &keys_to, &epoch_view, &lead_from, &lead_to, &revocation_table];
        let names = names.map(|name| Param::Text(name));
        let rows = db.execute(&sql.concat(), &names)?;
        // Sorted by insertion: there are only a few tables.
        let mut found: Vec<(SegmentName, bool)> = Vec::with_capacity(rows.len());
        let mut keys = KeyTables::default();
        let (mut has_epoch, mut lead) = (false, None);
        let mut revocations = Revocations::default();
        for row in &rows {
            let [Cell::Text(table), layout] = row.as_slice() else { continue };
            if let Some(name) = prefix.parse(table) {
                let is_ours = *layout == Cell::Number(1.0);
                found.insert(found.partition_point(|(other, _)| *other < name), (name, is_ours));
            } else if let Some(start) = prefix.parse_key_table(table) {
                keys.add(&prefix, start, *layout == Cell::Number(2.0));
            } else if *table == revocation_table {
                let is_ours = *layout == Cell::Number(4.0);
                revocations.table = if is_ours { RevocationTable::Ours } else { RevocationTable::Foreign };
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
            highest_assigned: None,
            has_epoch,
            lead,
            keys,
            revocations,
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
        log.strand_before_holes();
        Ok(log)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_database::{NOW, SECOND, TestDatabase, USUAL, append, open, resumed};
    use super::*;
    use crate::ResumeFrom;

    #[test]
    fn opening_writes_nothing_and_runs_one_statement_per_table() {
        let db = TestDatabase::new();
        open(&db, USUAL);
        assert!(db.tables().is_empty());
        assert_eq!(db.verbs(), ["SELECT"]);
        let mut log = open(&db, USUAL);
        for n in 0..100 {
            append(&mut log, &db, NOW + n * 5 * SECOND);
        }
        assert_eq!(db.tables().len(), 4);
        db.verbs();
        let opened = open(&db, USUAL);
        assert_eq!(db.verbs(), ["SELECT"; 5]);
        assert!(db.effort.get() < 60, "{}", db.effort.get());
        assert_eq!(opened.segments, log.segments);
        assert_eq!(opened.last_id(), log.last_id());
    }

    #[test]
    fn an_invalid_prefix_is_rejected() {
        let db = TestDatabase::new();
        for prefix in ["", "a\"; DROP TABLE x; --", "sqlite_", "Ä"] {
            assert!(Log::open(&db, prefix, USUAL).is_err());
        }
        assert!(db.verbs().is_empty());
    }

    #[test]
    fn logs_whose_prefixes_contain_each_other_are_independent() {
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
    fn similarly_named_tables_views_and_indexes_are_ignored_and_kept() {
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

    /// Creates three tables of one event each and returns the ids.
    fn three_tables(db: &TestDatabase) -> [u64; 3] {
        let mut log = open(db, USUAL);
        [NOW, NOW + 150 * SECOND, NOW + 300 * SECOND].map(|now| append(&mut log, db, now))
    }

    #[test]
    fn a_damaged_table_between_others_is_a_gap_and_later_events_are_replayed() {
        let db = TestDatabase::new();
        let [a, b, c] = three_tables(&db);
        let damaged = format!("dei_events_{a}");
        db.run(&format!("ALTER TABLE {damaged} DROP COLUMN meta"));
        let mut log = open(&db, USUAL);
        let now = c;
        assert_eq!(resumed(&log, &db, now, ResumeFrom::LastEventId(&a.to_string())), (vec![c], Some(b + 1)));
        assert_eq!(resumed(&log, &db, now, ResumeFrom::LastEventId(&b.to_string())), (vec![c], None));
        assert_eq!(log.next_expiry(), Some(0), "tables before the damaged one can be dropped");
        log.prune(&db, now + 9000 * SECOND).unwrap();
        assert_eq!(db.tables(), [damaged, format!("dei_events_{c}")], "the damaged table is kept");
        assert_eq!(open(&db, USUAL).segments, log.segments);
    }

    #[test]
    fn a_damaged_newest_table_is_a_gap_until_the_next_event_creates_a_new_table() {
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
        log.delete_expired(&db, d).unwrap();
        assert_eq!(db.tables(), [format!("dei_events_{b}"), format!("dei_events_{}", d - 1)]);
        assert_eq!(open(&db, USUAL).segments, log.segments);
    }

    #[test]
    fn events_are_stored_after_a_damaged_table_with_a_future_name() {
        let db = TestDatabase::new();
        let future = NOW + 9000 * SECOND;
        db.run(&format!("CREATE TABLE dei_events_{future} (x)"));
        let mut log = open(&db, USUAL);
        let id = append(&mut log, &db, NOW);
        assert!(id > future);
        assert_eq!(append(&mut open(&db, USUAL), &db, NOW), id + 1);
    }

    #[test]
    fn the_log_opens_with_rows_inserted_by_hand() {
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
