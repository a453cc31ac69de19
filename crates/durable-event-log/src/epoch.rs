//! What the log does when its tables are gone.

use super::Log;
use super::database::{Database, DatabaseError, Param};
use super::id::EventId;
use super::lead::Lead;
use super::segment::{Segment, SegmentKind, SegmentName};

/// What follows a view's name in the statement that creates it. It has no apostrophes.
pub(super) const VIEW: &str = "\" AS SELECT 1";

/// What an instance remembers of a log that it no longer holds in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The highest id that is stored. If the database ends before it, events are lost.
    last: Option<EventId>,
    /// The highest id that was ever given to an event, stored or rolled back. No event gets it again.
    floor: Option<EventId>,
    lead: Option<Lead>,
}

impl Memory {
    /// The memory of a log after a transaction was rolled back: `before` it began, and `after` its last change.
    pub fn rolled_back(before: Self, after: Self) -> Self {
        Self { last: before.last, floor: before.floor.max(after.floor), lead: before.lead.max(after.lead) }
    }
}

impl Log {
    /// What must outlive this log if it is opened anew.
    pub fn memory(&self) -> Memory {
        let last = self.last_id();
        Memory { last, floor: last.max(self.floor_of_ids), lead: self.lead }
    }

    /// Continues the log that `memory` is of. If events are missing, begins a new epoch, and writes only then.
    ///
    /// Nothing fails here: what cannot be written now is in memory, and is written with the next segment.
    pub fn go_on(&mut self, db: &impl Database, now_us: u64, memory: Memory) {
        self.floor_of_ids = self.floor_of_ids.max(memory.floor);
        let is_empty = self.has_epoch && self.segments.is_empty() && self.unreadable.is_none();
        if is_empty || self.last_id() < memory.last {
            self.begin_epoch(db, now_us, memory.last);
        }
        if let Some(lead) = memory.lead.filter(|lead| self.lead.is_none_or(|known| known < *lead)) {
            // Without it a few tokens more are taken at their word.
            let _ = self.remember_lead(db, lead);
        }
    }

    /// Reads the log again after its tables may have been removed behind its back. If they were, a new epoch begins.
    pub fn read_again(&mut self, db: &impl Database, now_us: u64) -> Result<(), DatabaseError> {
        let memory = self.memory();
        let mut log = Self::read(db, self.prefix.clone(), self.retention)?;
        log.go_on(db, now_us, memory);
        *self = log;
        Ok(())
    }

    /// Ends the history before `now_us`: whatever was stored until then counts as lost. An empty segment says so, whose name
    /// is above every id so far and at least the clock, so that every cursor and token from before is a gap.
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
        self.mark_epoch(db);
    }

    /// Whether the event with this id is stored.
    pub fn contains(&self, db: &impl Database, id: EventId) -> Result<bool, DatabaseError> {
        let id = id.as_micros();
        let Some(segment) = self.segments.iter().find(|segment| segment.lower() < id && id <= segment.last())
        else {
            return Ok(false);
        };
        let sql = ["SELECT 1 FROM \"", &segment.table, "\" WHERE id = ?1"].concat();
        Ok(!db.execute(&sql, &[Param::Number(id as f64)])?.is_empty())
    }

    /// Creates the epoch view, if it does not exist. Where that fails, the next segment tries again.
    pub(super) fn mark_epoch(&mut self, db: &impl Database) {
        if !self.has_epoch {
            self.has_epoch = create_view(db, &self.prefix.epoch_view()).is_ok();
        }
    }

    /// Strands the segments that another one should follow which is not there: each begins with the last id before it.
    pub(super) fn cut_off_at_holes(&mut self) {
        let is_hole = |pair: &[Segment]| matches!(pair, [older, newer] if older.last() < newer.lower());
        if let Some(hole) = self.segments.windows(2).rposition(is_hole) {
            self.stranded.extend(self.segments.drain(..=hole));
        }
    }

    /// The id up to which events are gone: the last one before the oldest segment. None: nothing was before it.
    pub(super) fn gone_up_to(&self) -> Option<u64> {
        match self.segments.first() {
            Some(oldest) => (oldest.name.kind == SegmentKind::Next).then(|| oldest.lower()),
            None => self.unreadable.and(Some(EventId::MAX)).or(self.lost).map(EventId::as_micros),
        }
    }
}

pub(super) fn create_view(db: &impl Database, view: &str) -> Result<(), DatabaseError> {
    db.execute(&["CREATE VIEW \"", view, VIEW].concat(), &[]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::test_database::{
        NOW, PREFIX, SECOND, TestDatabase, USUAL, append, event, open, open_at, resumed,
    };
    use super::super::{ResumeFrom, Retention};
    use super::*;

    const LATER: u64 = NOW + 50 * SECOND;

    /// Whoever has seen or heard of something before `lower` has a gap, and nobody else.
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
    fn deleting_everything_begins_an_epoch_that_is_read_again() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        append(&mut log, &db, NOW);
        db.wipe();
        log.read_again(&db, LATER).unwrap();
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
    fn deleting_an_empty_log_begins_nothing() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        db.wipe();
        log.read_again(&db, NOW).unwrap();
        assert_eq!((db.tables().len(), db.views().len()), (0, 0));
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::IssuedAt(0.0)), (vec![], None));
    }

    #[test]
    fn an_instance_that_finds_the_view_alone_begins_an_epoch_once() {
        let db = TestDatabase::new();
        append(&mut open(&db, USUAL), &db, NOW);
        db.drop_tables(|_| true);
        let log = open_at(&db, USUAL, LATER);
        check_epoch(&log, &db, LATER, LATER);
        db.done();
        let opened = open_at(&db, USUAL, LATER + 20 * SECOND);
        assert_eq!(db.done(), ["SELECT"; 2]);
        check_epoch(&opened, &db, LATER + 20 * SECOND, LATER);
    }

    #[test]
    fn an_epoch_that_cannot_be_stored_is_in_memory_and_begins_with_the_next_instance_or_event() {
        let db = TestDatabase::new();
        append(&mut open(&db, USUAL), &db, NOW);
        db.drop_tables(|_| true);
        db.refuse("CREATE");
        let mut log = open_at(&db, USUAL, LATER);
        check_epoch(&log, &db, LATER, LATER);
        assert!(log.append(&db, LATER, &event("{}")).is_err());
        db.accept();
        let opened = open_at(&db, USUAL, LATER + SECOND);
        check_epoch(&opened, &db, LATER + SECOND, LATER + SECOND);
        db.drop_tables(|_| true);
        assert_eq!(append(&mut log, &db, LATER), LATER + 1);
        check_epoch(&log, &db, LATER, LATER);
        assert_eq!(open(&db, USUAL).segments, log.segments);
    }

    #[test]
    fn a_missing_segment_ends_the_history_before_it() {
        for missing in 0..3_usize {
            let db = TestDatabase::new();
            let four = Retention { events: 4, ..USUAL };
            let mut log = open(&db, four);
            let ids = [0, 1, 2, 3].map(|later| append(&mut log, &db, NOW + later * SECOND));
            let now = ids[3];
            let tables = db.tables();
            // The first one is named after its birth, and sorts before the others.
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
            opened.tidy(&db, now).unwrap();
            assert_eq!(db.tables().len(), 3 - missing, "what is before the hole is of no use");
            assert_eq!(open_at(&db, four, now).segments, opened.segments);
        }
    }

    #[test]
    fn a_missing_newest_segment_is_noticed_by_whoever_knows_of_it() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let ids = [0, 150].map(|later| append(&mut log, &db, NOW + later * SECOND));
        db.drop_tables(|table| table == format!("dei_events_{}", ids[0]));
        let mut opened = Log::open(&db, PREFIX, USUAL).unwrap();
        opened.go_on(&db, ids[1], log.memory());
        check_epoch(&opened, &db, ids[1], ids[1] + 1);
        assert_eq!(append(&mut opened, &db, NOW), ids[1] + 2);
        assert_eq!(open(&db, USUAL).segments, opened.segments);
    }

    #[test]
    fn what_was_rolled_back_is_no_loss_and_its_id_is_not_given_again() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let first = append(&mut log, &db, NOW);
        let before = log.memory();
        db.run("SAVEPOINT outer");
        let second = append(&mut log, &db, NOW);
        assert!(log.contains(&db, EventId::saturating(second)).unwrap());
        db.run("ROLLBACK TO outer; RELEASE outer");
        let mut opened = Log::open(&db, PREFIX, USUAL).unwrap();
        opened.go_on(&db, NOW, Memory::rolled_back(before, log.memory()));
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
    fn a_view_or_table_of_that_name_that_is_not_ours_is_left_alone() {
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
