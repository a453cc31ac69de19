//! Epochs: the log's recovery after its tables were deleted.

use super::database::{Database, DatabaseError, Param};
use super::id::EventId;
use super::lead::Lead;
use super::log::Log;
use super::segment::{Segment, SegmentKind, SegmentName};
use super::view::create_view;

/// The state of a log that must survive reopening it within the same instance. See [`Log::memory`] and
/// [`Log::restore`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The highest stored id. If the last id in the database is lower, events are lost.
    last: Option<EventId>,
    /// The highest id that was ever assigned to an event, stored or rolled back. It is not assigned again.
    highest_assigned: Option<EventId>,
    lead: Option<Lead>,
}

impl Memory {
    /// Returns the memory after a transaction was rolled back. `before` is from the beginning of the transaction, and
    /// `after` from its last change.
    pub fn rolled_back(before: Self, after: Self) -> Self {
        Self {
            last: before.last,
            highest_assigned: before.highest_assigned.max(after.highest_assigned),
            lead: before.lead.max(after.lead),
        }
    }
}

impl Log {
    /// Returns the state to pass to [`restore`](Self::restore) if the log is opened again.
    pub fn memory(&self) -> Memory {
        let last = self.last_id();
        Memory { last, highest_assigned: last.max(self.highest_assigned), lead: self.lead }
    }

    /// Continues the log that `memory` was taken from. If events are missing in the database, begins a new epoch;
    /// writes only in that case.
    ///
    /// Pass `Memory::default()` in a new instance. This cannot fail: state that cannot be written now is kept in
    /// memory and written with the next segment.
    pub fn restore(&mut self, db: &impl Database, now_us: u64, memory: Memory) {
        self.highest_assigned = self.highest_assigned.max(memory.highest_assigned);
        let is_empty = self.has_epoch && self.segments.is_empty() && self.unreadable.is_none();
        if is_empty || self.last_id() < memory.last {
            self.begin_epoch(db, now_us, memory.last);
        }
        if let Some(lead) = memory.lead.filter(|lead| self.lead.is_none_or(|known| known < *lead)) {
            // If this fails, the issue times of some more tokens are trusted.
            let _ = self.store_lead(db, lead);
        }
    }

    /// Reads the log again after the application may have deleted its tables. If tables are missing, begins a new
    /// epoch.
    ///
    /// # Errors
    /// A statement fails.
    pub fn reload(&mut self, db: &impl Database, now_us: u64) -> Result<(), DatabaseError> {
        let memory = self.memory();
        let mut log = Self::read(db, self.prefix.clone(), self.retention)?;
        log.restore(db, now_us, memory);
        *self = log;
        Ok(())
    }

    /// Begins a new epoch: all events stored before `now_us` count as lost. The epoch is marked by an empty segment
    /// whose `lower` is above all ids so far and not before `now_us`, so that every earlier cursor and token is a
    /// gap.
    fn begin_epoch(&mut self, db: &impl Database, now_us: u64, last: Option<EventId>) {
        let last = self.last_id().max(last).map_or(0, EventId::as_micros);
        let lower = EventId::saturating(now_us.max(last.saturating_add(1)));
        self.stranded.append(&mut self.segments);
        self.first_of_newest = None;
        let segment = Segment::new(&self.prefix, SegmentName { lower, kind: SegmentKind::Next });
        if segment.create(db).is_ok() {
            self.segments.push(segment);
            (self.unreadable, self.lost) = (None, None);
        } else {
            self.lost = Some(lower);
        }
        self.create_epoch_view(db);
    }

    /// Returns whether the event with this id is stored.
    ///
    /// # Errors
    /// The statement fails.
    pub fn contains(&self, db: &impl Database, id: EventId) -> Result<bool, DatabaseError> {
        let id = id.as_micros();
        let Some(segment) = self.segments.iter().find(|segment| segment.lower() < id && id <= segment.last())
        else {
            return Ok(false);
        };
        let sql = ["SELECT 1 FROM \"", &segment.table, "\" WHERE id = ?1"].concat();
        Ok(!db.execute(&sql, &[Param::Number(id as f64)])?.is_empty())
    }

    /// Creates the epoch view if it does not exist. If this fails, it is repeated with the next segment.
    pub(super) fn create_epoch_view(&mut self, db: &impl Database) {
        if !self.has_epoch {
            self.has_epoch = create_view(db, &self.prefix.epoch_view()).is_ok();
        }
    }

    /// Strands all segments before a hole. A segment begins with the last id of the previous one, so a difference is
    /// a hole.
    pub(super) fn strand_before_holes(&mut self) {
        let is_hole = |pair: &[Segment]| matches!(pair, [older, newer] if older.last() < newer.lower());
        if let Some(hole) = self.segments.windows(2).rposition(is_hole) {
            self.stranded.extend(self.segments.drain(..=hole));
        }
    }

    /// Returns the id up to which all events are deleted or lost: the highest id before the oldest segment. `None` if
    /// no events were deleted or lost.
    pub(super) fn missing_up_to(&self) -> Option<u64> {
        match self.segments.first() {
            Some(oldest) => (oldest.name.kind == SegmentKind::Next).then(|| oldest.lower()),
            None => self.unreadable.and(Some(EventId::MAX)).or(self.lost).map(EventId::as_micros),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_database::{
        NOW, PREFIX, SECOND, TestDatabase, USUAL, append, event, open, open_at, resumed,
    };
    use super::super::{ResumeFrom, Retention};
    use super::*;

    const LATER: u64 = NOW + 50 * SECOND;

    /// Asserts that exactly the cursors and tokens from before `lower` have a gap.
    fn check_epoch(log: &Log, db: &TestDatabase, now: u64, lower: u64) {
        let at = |micros: u64| ResumeFrom::IssuedAt(micros as f64 / 1e6);
        let (before, gap) = (lower.wrapping_sub(1), Some(lower.wrapping_add(1)));
        for seen in [NOW, NOW + 1, before] {
            assert_eq!(resumed(log, db, now, ResumeFrom::LastEventId(&seen.to_string())).1, gap, "{seen}");
            assert_eq!(resumed(log, db, now, at(seen)).1, gap, "{seen}");
        }
        assert_eq!(resumed(log, db, now, ResumeFrom::LastEventId(&lower.to_string())).1, None);
        assert_eq!(resumed(log, db, now, at(lower.wrapping_add(SECOND))).1, None);
        assert_eq!(resumed(log, db, now, ResumeFrom::End).1, None);
        assert!(log.has_dropped_after(before) && !log.has_dropped_after(lower));
    }

    #[test]
    fn deleting_everything_begins_an_epoch_that_survives_reopening() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        append(&mut log, &db, NOW);
        db.delete_all();
        log.reload(&db, LATER).unwrap();
        assert_eq!(
            (db.tables(), db.views()),
            (vec![format!("dei_events_{LATER}")], vec!["dei_epoch".to_owned()])
        );
        check_epoch(&log, &db, LATER, LATER);
        let mut opened = open_at(&db, USUAL, LATER + SECOND);
        assert_eq!(opened.segments, log.segments);
        check_epoch(&opened, &db, LATER + SECOND, LATER);
        assert_eq!(append(&mut opened, &db, LATER), LATER + 1);
        assert_eq!(db.tables().len(), 1);
    }

    #[test]
    fn deleting_an_empty_log_begins_no_epoch() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        db.delete_all();
        log.reload(&db, NOW).unwrap();
        assert_eq!((db.tables().len(), db.views().len()), (0, 0));
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::IssuedAt(0.0)), (vec![], None));
    }

    #[test]
    fn an_instance_that_finds_only_the_view_begins_an_epoch_once() {
        let db = TestDatabase::new();
        append(&mut open(&db, USUAL), &db, NOW);
        db.drop_tables(|_| true);
        let log = open_at(&db, USUAL, LATER);
        check_epoch(&log, &db, LATER, LATER);
        db.verbs();
        let opened = open_at(&db, USUAL, LATER + 20 * SECOND);
        assert_eq!(db.verbs(), ["SELECT"; 2]);
        check_epoch(&opened, &db, LATER + 20 * SECOND, LATER);
    }

    #[test]
    fn an_epoch_that_cannot_be_stored_is_kept_in_memory_and_stored_by_the_next_instance_or_event() {
        let db = TestDatabase::new();
        append(&mut open(&db, USUAL), &db, NOW);
        db.drop_tables(|_| true);
        db.fail_on("CREATE");
        let mut log = open_at(&db, USUAL, LATER);
        check_epoch(&log, &db, LATER, LATER);
        assert!(log.append(&db, LATER, &event("{}")).is_err());
        db.stop_failing();
        let opened = open_at(&db, USUAL, LATER + SECOND);
        check_epoch(&opened, &db, LATER + SECOND, LATER + SECOND);
        db.drop_tables(|_| true);
        assert_eq!(append(&mut log, &db, LATER), LATER + 1);
        check_epoch(&log, &db, LATER, LATER);
        assert_eq!(open(&db, USUAL).segments, log.segments);
    }

    #[test]
    fn all_events_before_a_missing_segment_are_lost() {
        for missing in 0..3_usize {
            let db = TestDatabase::new();
            let four = Retention { events: 4, ..USUAL };
            let mut log = open(&db, four);
            let ids = [0, 1, 2, 3].map(|later| append(&mut log, &db, NOW + later * SECOND));
            let now = ids[3];
            let tables = db.tables();
            // The name of the first segment sorts before the others.
            db.drop_tables(|table| table == tables[missing]);
            let mut opened = open_at(&db, four, now);
            let end = ids[missing];
            for seen in [ids[0] - 1, end - 1] {
                let (served, gap) = resumed(&opened, &db, now, ResumeFrom::LastEventId(&seen.to_string()));
                assert_eq!(gap, Some(end + 1), "{missing}");
                assert_eq!(served, ids[missing + 1..]);
            }
            assert!(opened.has_dropped_after(end - 1) && !opened.has_dropped_after(end));
            assert_eq!(resumed(&opened, &db, now, ResumeFrom::LastEventId(&end.to_string())).1, None);
            opened.delete_expired(&db, now).unwrap();
            assert_eq!(db.tables().len(), 3 - missing, "tables before the hole are dropped");
            assert_eq!(open_at(&db, four, now).segments, opened.segments);
        }
    }

    #[test]
    fn a_missing_newest_segment_is_detected_by_an_instance_that_remembers_it() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let ids = [0, 150].map(|later| append(&mut log, &db, NOW + later * SECOND));
        db.drop_tables(|table| table == format!("dei_events_{}", ids[0]));
        let mut opened = Log::open(&db, PREFIX, USUAL).unwrap();
        opened.restore(&db, ids[1], log.memory());
        check_epoch(&opened, &db, ids[1], ids[1] + 1);
        assert_eq!(append(&mut opened, &db, NOW), ids[1] + 2);
        assert_eq!(open(&db, USUAL).segments, opened.segments);
    }

    #[test]
    fn a_rolled_back_event_is_not_lost_and_its_id_is_not_reused() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let first = append(&mut log, &db, NOW);
        let before = log.memory();
        db.run("SAVEPOINT outer");
        let second = append(&mut log, &db, NOW);
        assert!(log.contains(&db, EventId::saturating(second)).unwrap());
        db.run("ROLLBACK TO outer; RELEASE outer");
        let mut opened = Log::open(&db, PREFIX, USUAL).unwrap();
        opened.restore(&db, NOW, Memory::rolled_back(before, log.memory()));
        assert!(!opened.contains(&db, EventId::saturating(second)).unwrap());
        assert!(opened.contains(&db, EventId::saturating(first)).unwrap());
        assert_eq!(resumed(&opened, &db, NOW, ResumeFrom::LastEventId(&first.to_string())), (vec![], None));
        let third = append(&mut opened, &db, NOW);
        assert_eq!(third, second + 1);
        assert_eq!(
            resumed(&opened, &db, NOW, ResumeFrom::LastEventId(&first.to_string())),
            (vec![third], None)
        );
    }

    #[test]
    fn a_foreign_view_or_table_with_the_name_is_kept() {
        for sql in ["CREATE VIEW dei_epoch AS SELECT 2", "CREATE TABLE dei_epoch (x)"] {
            let db = TestDatabase::new();
            db.run(sql);
            let mut log = open(&db, USUAL);
            assert_eq!(resumed(&log, &db, NOW, ResumeFrom::IssuedAt(0.0)), (vec![], None));
            append(&mut log, &db, NOW);
            append(&mut log, &db, NOW + 200 * SECOND);
            assert_eq!(open(&db, USUAL).segments, log.segments);
        }
    }
}
