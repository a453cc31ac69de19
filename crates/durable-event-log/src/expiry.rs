//! Deletes events that are past retention or exceed the bounds, by dropping whole tables.

use super::database::{Database, DatabaseError};
use super::id::EventId;
use super::log::Log;
use super::segment::{Content, Segment, SegmentKind, SegmentName};

impl Log {
    /// Drops segments whose events are all past retention, and the oldest segments while the bounds are exceeded. The
    /// newest segment is always kept. Also drops expired idempotency key tables.
    ///
    /// Call it after an event was stored and sent, and ignore its error there: a table that cannot be dropped now is
    /// dropped by the next call. (A table is locked while a [`step`](Self::step) over it is partly read.)
    ///
    /// # Errors
    /// A statement fails.
    pub fn delete_expired(&mut self, db: &impl Database, now_us: u64) -> Result<(), DatabaseError> {
        while let Some(segment) = self.stranded.last() {
            segment.drop_table(db)?;
            self.stranded.pop();
        }
        let surplus = self.surplus(now_us);
        for _ in 0..surplus {
            if let Some(oldest) = self.segments.first() {
                oldest.drop_table(db)?;
                self.segments.remove(0);
            }
        }
        self.keys.drop_expired(db, now_us, &self.retention)
    }

    /// Deletes expired events like [`delete_expired`](Self::delete_expired), including the newest segment if it is
    /// past retention.
    ///
    /// An empty segment replaces the newest one. Its name keeps the last id, so ids never restart, and a client that
    /// has received all events gets no gap.
    ///
    /// # Errors
    /// A statement fails.
    pub fn prune(&mut self, db: &impl Database, now_us: u64) -> Result<(), DatabaseError> {
        if let Some(newest) = self.segments.last()
            && newest.content.is_some()
            && newest.last() <= self.retention.horizon(now_us)
        {
            let lower = EventId::saturating(newest.last());
            let empty = Segment::new(&self.prefix, SegmentName { lower, kind: SegmentKind::Next });
            empty.create(db)?;
            self.segments.push(empty);
        }
        self.delete_expired(db, now_us)
    }

    /// Returns when [`prune`](Self::prune) can next delete something, in microseconds since the Unix epoch. `None` if
    /// there is nothing to delete.
    ///
    /// The time is in the past if a table could not be dropped. Set an alarm for it at least some seconds from now.
    pub fn next_expiry(&self) -> Option<u64> {
        let keys = self.keys.next_expiry(&self.retention);
        self.next_event_expiry().map_or(keys, |events| Some(keys.map_or(events, |keys| keys.min(events))))
    }

    fn next_event_expiry(&self) -> Option<u64> {
        if !self.stranded.is_empty() {
            return Some(0);
        }
        let oldest = self.segments.first()?;
        if self.segments.len() == 1 && oldest.content.is_none() {
            return None;
        }
        Some(self.retention.expiry(oldest.last()))
    }

    /// Returns the number of oldest segments that must be dropped.
    fn surplus(&self, now_us: u64) -> usize {
        let horizon = self.retention.horizon(now_us);
        let (mut events, mut bytes) = self.segments.iter().filter_map(|segment| segment.content).fold(
            (0_u64, 0_u64),
            |(events, bytes), Content { count, bytes: more, .. }| {
                (events.saturating_add(count), bytes.saturating_add(more))
            },
        );
        let droppable = self.segments.len().saturating_sub(1);
        self.segments
            .iter()
            .take(droppable)
            .take_while(|segment| {
                let beyond = events > self.retention.events || bytes > self.retention.bytes;
                if let Some(content) = segment.content {
                    events = events.saturating_sub(content.count);
                    bytes = bytes.saturating_sub(content.bytes);
                }
                beyond || segment.last() <= horizon
            })
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_database::{NOW, SECOND, TestDatabase, USUAL, append, open, resumed};
    use super::super::{ResumeFrom, Retention};

    #[test]
    fn a_table_is_dropped_as_soon_as_its_last_event_is_past_retention() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        let last = append(&mut log, &db, NOW + 100 * SECOND);
        append(&mut log, &db, NOW + 200 * SECOND);
        assert_eq!(db.tables().len(), 2);
        let expiry = last + 300 * SECOND;
        assert_eq!(log.next_expiry(), Some(expiry));
        log.delete_expired(&db, expiry - 1).unwrap();
        assert_eq!(db.tables().len(), 2);
        log.delete_expired(&db, expiry).unwrap();
        assert_eq!(db.tables(), [format!("dei_events_{last}")]);
        assert_eq!(open(&db, USUAL).segments, log.segments);
    }

    #[test]
    fn deleting_nothing_runs_no_statement() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        db.verbs();
        log.delete_expired(&db, NOW).unwrap();
        log.prune(&db, NOW).unwrap();
        assert!(db.verbs().is_empty());
    }

    #[test]
    fn the_newest_table_is_kept_whatever_its_age_and_size() {
        let db = TestDatabase::new();
        let mut log = open(&db, Retention { events: 0, bytes: 0, ..USUAL });
        let id = append(&mut log, &db, NOW);
        log.delete_expired(&db, NOW + 9000 * SECOND).unwrap();
        assert_eq!(db.tables().len(), 1);
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::IssuedAt(0.0)), (vec![id], None));
    }

    #[test]
    fn a_bound_of_one_event_keeps_the_newest() {
        let db = TestDatabase::new();
        let mut log = open(&db, Retention { events: 1, ..USUAL });
        for n in 0..5 {
            let id = append(&mut log, &db, NOW + n);
            log.delete_expired(&db, NOW + n).unwrap();
            assert_eq!(db.tables().len(), 1);
            let (served, gap) = resumed(&log, &db, NOW + n, ResumeFrom::LastEventId("1"));
            assert_eq!(served, [id]);
            assert_eq!(gap, Some(id));
        }
    }

    #[test]
    fn bounds_keep_at_least_three_quarters_and_at_most_all() {
        let db = TestDatabase::new();
        let mut log = open(&db, Retention { events: 40, ..USUAL });
        for n in 0..200 {
            append(&mut log, &db, NOW + n);
            log.delete_expired(&db, NOW + n).unwrap();
            let (served, _) = resumed(&log, &db, NOW + n, ResumeFrom::LastEventId("1"));
            assert!(served.len() <= 40);
            assert!(served.len() as u64 >= (n + 1).min(30), "{}", served.len());
        }
        let bytes = Retention { bytes: 80, ..USUAL };
        let db = TestDatabase::new();
        let mut log = open(&db, bytes);
        for n in 0..200 {
            append(&mut log, &db, NOW + n);
            log.delete_expired(&db, NOW + n).unwrap();
        }
        let (served, _) = resumed(&log, &db, NOW + 200, ResumeFrom::LastEventId("1"));
        assert!((30..=40).contains(&served.len()), "2 bytes each: {}", served.len());
    }

    #[test]
    fn pruning_an_idle_channel_keeps_the_last_id_and_causes_no_false_gap() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        let last = append(&mut log, &db, NOW + 1);
        let expiry = last + 300 * SECOND;
        assert_eq!(log.next_expiry(), Some(expiry));
        log.prune(&db, expiry - 1).unwrap();
        assert_eq!(db.tables().len(), 1);
        assert_eq!(log.next_expiry(), Some(expiry));
        log.prune(&db, expiry).unwrap();
        assert_eq!(db.tables(), [format!("dei_events_{last}")]);
        assert_eq!(log.next_expiry(), None);
        log.prune(&db, expiry + 1).unwrap();
        assert_eq!(db.tables().len(), 1);

        let mut log = open(&db, USUAL);
        assert_eq!(log.next_expiry(), None);
        assert_eq!(resumed(&log, &db, expiry, ResumeFrom::LastEventId(&last.to_string())), (vec![], None));
        let (_, gap) = resumed(&log, &db, expiry, ResumeFrom::LastEventId(&(last - 1).to_string()));
        assert_eq!(gap, Some(last + 1));
        assert_eq!(append(&mut log, &db, NOW), last + 1);
    }

    #[test]
    fn a_table_that_could_not_be_dropped_is_dropped_by_the_next_call() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let id = append(&mut log, &db, NOW);
        let late = NOW + 400 * SECOND;
        db.fail_on("DROP");
        assert!(log.prune(&db, late).is_err());
        assert_eq!(resumed(&log, &db, late, ResumeFrom::LastEventId("1")).0, [0_u64; 0]);
        assert_eq!(log.next_expiry(), Some(id + 300 * SECOND));
        db.stop_failing();
        log.delete_expired(&db, late).unwrap();
        assert_eq!(db.tables(), [format!("dei_events_{id}")]);
        assert_eq!(open(&db, USUAL).segments, log.segments);
    }

    #[test]
    fn a_prune_that_cannot_create_its_new_table_deletes_nothing() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let id = append(&mut log, &db, NOW);
        db.fail_on("CREATE");
        assert!(log.prune(&db, NOW + 400 * SECOND).is_err());
        assert_eq!(db.tables().len(), 1);
        assert_eq!(open(&db, USUAL).segments, log.segments);
        assert_eq!(log.last_id().map(|last| last.as_micros()), Some(id));
    }

    #[test]
    fn pruning_an_empty_log_does_nothing() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        log.prune(&db, NOW).unwrap();
        assert_eq!(log.next_expiry(), None);
        assert!(db.tables().is_empty());
    }
}
