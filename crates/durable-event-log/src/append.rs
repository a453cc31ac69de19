//! Storing an event.

use super::append_error::AppendError;
use super::database::{Database, DatabaseError, Param};
use super::id::EventId;
use super::log::Log;
use super::segment::{Content, Segment, SegmentKind, SegmentName};

/// The maximum size of an event in bytes: the sum of json, meta, extra and audience.
///
/// In the Workers runtime a row stores at most 2,000,000 bytes (the local runtime does not enforce this). 1,024 of
/// them are reserved for the numeric columns and the row header.
pub const MAX_EVENT_BYTES: usize = 2_000_000 - 1_024;

/// An event to store. The log does not interpret its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The content of the event.
    pub json: &'a str,
    /// The serializer's metadata for the content. An empty text is stored as NULL.
    pub meta: Option<&'a str>,
    /// Other data of the event, such as a retry delay and comments. An empty text is stored as NULL.
    pub extra: Option<&'a str>,
    /// The audience. An empty text is stored unchanged, because NULL means everyone.
    pub audience: Option<&'a str>,
}

impl Log {
    /// Stores an event and returns its id: `now_us`, or the last id plus one if that is greater.
    ///
    /// Writes one row with one statement. If the newest segment is full, one more statement creates the next segment.
    /// Nothing is deleted here. If the application has dropped the tables, the log begins a new epoch, and ids
    /// continue to increase.
    ///
    /// # Errors
    /// The event is too large, or the database fails. Nothing is stored then, and the next event gets the id that
    /// this one would have got.
    pub fn append(
        &mut self,
        db: &impl Database,
        now_us: u64,
        record: &Record<'_>,
    ) -> Result<EventId, AppendError> {
        let record = validated(record)?;
        self.insert(db, now_us, &record).or_else(|error| {
            if self.newest_table_exists(db) {
                return Err(error);
            }
            self.reload(db, now_us)?;
            self.insert(db, now_us, &record)
        })
    }

    fn insert(
        &mut self,
        db: &impl Database,
        now_us: u64,
        record: &Record<'_>,
    ) -> Result<EventId, AppendError> {
        let id = self.next_id(now_us)?;
        self.prepare_segment(db, now_us, id)?;
        let id = self.next_id(now_us)?; // a new epoch has higher ids
        let Some(segment) = self.segments.last_mut() else {
            return Err(DatabaseError::new("the log has no segment for the event").into());
        };
        let bytes = u64::try_from(record.bytes()).unwrap_or(u64::MAX);
        let micros = id.as_micros();
        let content = match segment.content {
            None => Content { last: micros, count: 1, bytes },
            Some(before) => Content {
                last: micros,
                count: before.count.saturating_add(1),
                bytes: before.bytes.saturating_add(bytes),
            },
        };
        db.execute(
            &[
                "INSERT INTO \"",
                &segment.table,
                "\" (id, count, bytes, json, meta, extra, audience) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            ]
            .concat(),
            &[
                Param::Number(micros as f64),
                Param::Number(content.count as f64),
                Param::Number(content.bytes as f64),
                Param::Text(record.json),
                Param::optional(record.meta),
                Param::optional(record.extra),
                Param::optional(record.audience),
            ],
        )?;
        if segment.content.replace(content).is_none() {
            self.first_of_newest = Some(micros);
        }
        Ok(id)
    }

    /// Returns `max(last + 1, now)`: ids must increase although the clock stands still while code runs and may step
    /// back.
    fn next_id(&self, now_us: u64) -> Result<EventId, DatabaseError> {
        let last = self.last_id().max(self.highest_assigned).map_or(0, EventId::as_micros);
        if last >= EventId::MAX.as_micros() {
            return Err(DatabaseError::new(
                "event ids are exhausted: the largest id, of the year 2255, is in use",
            ));
        }
        Ok(EventId::saturating(now_us.max(last.saturating_add(1))))
    }

    /// Creates a new segment for the event with this id, if it needs one.
    ///
    /// If this fails and there is an older segment, the event goes into the older segment.
    fn prepare_segment(&mut self, db: &impl Database, now_us: u64, id: EventId) -> Result<(), DatabaseError> {
        if !self.segments.is_empty() {
            if !self.is_full(db, id)? {
                return Ok(());
            }
            if !self.newest_table_exists(db) {
                self.reload(db, now_us)?;
                return self.prepare_segment(db, now_us, self.next_id(now_us)?);
            }
        }
        let segment = Segment::new(&self.prefix, self.next_segment_name(id));
        match segment.create(db) {
            Ok(()) => {
                self.segments.push(segment);
                self.lost = None;
                self.create_epoch_view(db);
            }
            Err(error) if self.segments.is_empty() => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }

    /// Returns the name of the segment whose first event has this id.
    fn next_segment_name(&self, id: EventId) -> SegmentName {
        let before = EventId::saturating(id.as_micros().saturating_sub(1));
        match (self.segments.last(), self.unreadable.or(self.lost)) {
            (Some(newest), _) => {
                SegmentName { lower: EventId::saturating(newest.last()), kind: SegmentKind::Next }
            }
            (None, Some(_)) => SegmentName { lower: before, kind: SegmentKind::Next },
            (None, None) => SegmentName { lower: before, kind: SegmentKind::First },
        }
    }

    /// Returns whether the event with this id, which is higher than all others, needs a new segment.
    fn is_full(&mut self, db: &impl Database, id: EventId) -> Result<bool, DatabaseError> {
        let Some((newest, content)) = self.segments.last().and_then(|newest| Some((newest, newest.content?)))
        else {
            return Ok(false);
        };
        let spans = |from: u64| id.as_micros().saturating_sub(from) >= self.retention.segment_micros();
        if content.count >= self.retention.segment_events()
            || content.bytes >= self.retention.segment_bytes()
            || spans(content.last)
        {
            return Ok(true);
        }
        // The first id is read only if it can matter; most of the time it cannot.
        if !spans(newest.lower()) {
            return Ok(false);
        }
        let first = match self.first_of_newest {
            Some(first) => first,
            None => newest.read_first(db)?,
        };
        self.first_of_newest = Some(first);
        Ok(spans(first))
    }

    /// Returns whether the newest table exists. Returns true if the query fails.
    pub(super) fn newest_table_exists(&self, db: &impl Database) -> bool {
        let Some(newest) = self.segments.last() else {
            return true;
        };
        let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
        db.execute(sql, &[Param::Text(&newest.table)]).map_or(true, |rows| !rows.is_empty())
    }
}

impl Record<'_> {
    /// Returns the size that counts against [`MAX_EVENT_BYTES`] and [`Retention::bytes`](crate::Retention::bytes).
    fn bytes(&self) -> usize {
        [Some(self.json), self.meta, self.extra, self.audience]
            .into_iter()
            .flatten()
            .fold(0, |sum, text| sum.saturating_add(text.len()))
    }
}

/// Checks the size of a record and returns the record in its stored form.
pub(super) fn validated<'a>(record: &Record<'a>) -> Result<Record<'a>, AppendError> {
    let bytes = record.bytes();
    if bytes > MAX_EVENT_BYTES {
        return Err(AppendError::TooLarge { bytes, limit: MAX_EVENT_BYTES });
    }
    // An empty audience is kept: NULL would mean everyone.
    let some = |text: &&str| !text.is_empty();
    Ok(Record { meta: record.meta.filter(some), extra: record.extra.filter(some), ..*record })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::test_database::{
        NOW, PREFIX, SECOND, TestDatabase, USUAL, append, event, open, replay, resumed,
    };
    use super::super::{ResumeFrom, Retention};
    use super::*;

    #[test]
    fn an_event_costs_one_insert_and_no_select() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        db.verbs();
        append(&mut log, &db, NOW);
        assert_eq!(db.verbs(), ["CREATE", "CREATE", "INSERT"], "a table and the epoch view");
        let before = db.connection.total_changes();
        append(&mut log, &db, NOW + 1);
        assert_eq!(db.verbs(), ["INSERT"]);
        assert_eq!(db.connection.total_changes() - before, 1);
    }

    #[test]
    fn all_inserts_into_one_table_have_the_same_sql() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        db.statements();
        for n in 1..50 {
            append(&mut log, &db, NOW + n);
        }
        let mut texts = db.statements();
        texts.dedup();
        assert_eq!(texts.len(), 1);
    }

    #[test]
    fn an_id_is_the_time_and_increases_when_the_clock_does_not() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        assert_eq!(log.last_id(), None);
        assert_eq!(append(&mut log, &db, NOW), NOW);
        assert_eq!(append(&mut log, &db, NOW), NOW + 1);
        assert_eq!(append(&mut log, &db, NOW - 500 * SECOND), NOW + 2);
        assert_eq!(append(&mut log, &db, NOW + 2), NOW + 3);
        assert_eq!(append(&mut log, &db, NOW + 9), NOW + 9);
        assert_eq!(log.last_id().map(EventId::as_micros), Some(NOW + 9));
    }

    #[test]
    fn extreme_clock_values_are_accepted() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        assert_eq!(append(&mut log, &db, 0), 1);
        assert_eq!(append(&mut log, &db, u64::MAX), EventId::MAX.as_micros());
        let exhausted = log.append(&db, NOW, &event("{}"));
        assert!(matches!(exhausted, Err(AppendError::Storage(_))));
        assert_eq!(open(&db, USUAL).segments, log.segments);
        assert_eq!(replay(&log, &db, 0, NOW).0.len(), 2 - 1, "the first event is expired");
    }

    #[test]
    fn a_failed_insert_changes_nothing() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        let before = log.segments.clone();
        db.fail_on("INSERT");
        for _ in 0..3 {
            assert!(matches!(log.append(&db, NOW + 5, &event("{}")), Err(AppendError::Storage(_))));
        }
        assert_eq!(log.segments, before);
        assert!(!db.verbs().contains(&"DROP".to_owned()));
        db.stop_failing();
        assert_eq!(append(&mut log, &db, NOW + 5), NOW + 5);
        assert_eq!(open(&db, USUAL).segments, log.segments);
    }

    #[test]
    fn a_failed_insert_into_a_new_table_leaves_no_visible_change() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        let later = NOW + 200 * SECOND;
        db.fail_on("INSERT");
        assert!(log.append(&db, later, &event("{}")).is_err());
        assert!(log.append(&db, later, &event("{}")).is_err());
        assert_eq!(log.last_id().map(EventId::as_micros), Some(NOW));
        assert_eq!(resumed(&log, &db, later, ResumeFrom::LastEventId("1")).0, [NOW]);
        assert_eq!(resumed(&log, &db, later, ResumeFrom::LastEventId(&NOW.to_string())), (vec![], None));
        assert_eq!(db.tables().len(), 2);
        db.stop_failing();
        assert_eq!(append(&mut log, &db, later), later);
        assert_eq!(db.tables().len(), 2);
        assert_eq!(open(&db, USUAL).segments, log.segments);
    }

    #[test]
    fn an_event_goes_into_the_old_table_when_the_next_cannot_be_created() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        db.fail_on("CREATE");
        let id = append(&mut log, &db, NOW + 200 * SECOND);
        assert_eq!(db.tables().len(), 1);
        assert_eq!(resumed(&log, &db, id, ResumeFrom::LastEventId(&NOW.to_string())), (vec![id], None));
        db.stop_failing();
        append(&mut log, &db, id + 1);
        assert_eq!(db.tables().len(), 2);
        assert_eq!(open(&db, USUAL).segments, log.segments);
    }

    #[test]
    fn nothing_is_stored_if_the_first_table_cannot_be_created() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        db.fail_on("CREATE");
        assert!(matches!(log.append(&db, NOW, &event("{}")), Err(AppendError::Storage(_))));
        assert_eq!(log.last_id(), None);
        assert!(db.tables().is_empty());
    }

    #[test]
    fn a_segment_is_full_at_half_the_retention_or_a_quarter_of_a_bound() {
        let tables = |retention: Retention, spacing: u64, events: u64| {
            let db = TestDatabase::new();
            let mut log = open(&db, retention);
            for n in 0..events {
                append(&mut log, &db, NOW + n * spacing);
            }
            db.tables().len()
        };
        assert_eq!(tables(USUAL, 50 * SECOND, 6), 2, "150 s");
        assert_eq!(tables(Retention { events: 40, ..USUAL }, 1, 20), 2, "10 events");
        assert_eq!(tables(Retention { bytes: 80, ..USUAL }, 1, 20), 2, "20 bytes in 10 events");
        assert_eq!(tables(Retention { events: 1, ..USUAL }, 1, 5), 5);
        assert_eq!(tables(Retention { events: 0, bytes: 0, ..USUAL }, 1, 5), 5);
        assert_eq!(tables(Retention { period: Duration::ZERO, ..USUAL }, 1, 5), 1, "no table per event");
    }

    #[test]
    fn events_after_a_long_idle_time_share_a_table_whose_first_id_is_read_once() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        let day = NOW + 86_400 * SECOND;
        append(&mut log, &db, day);
        append(&mut log, &db, day + 149 * SECOND);
        assert_eq!(db.tables().len(), 2);
        let mut opened = open(&db, USUAL);
        db.verbs();
        db.fail_on("SELECT");
        let failed = opened.append(&db, day + 149 * SECOND, &event("{}"));
        assert!(matches!(failed, Err(AppendError::Storage(_))), "{failed:?}");
        db.stop_failing();
        db.verbs();
        append(&mut opened, &db, day + 149 * SECOND);
        append(&mut opened, &db, day + 149 * SECOND);
        assert_eq!(db.verbs(), ["SELECT", "INSERT", "INSERT"]);
        append(&mut opened, &db, day + 150 * SECOND);
        assert_eq!(db.verbs(), ["SELECT", "CREATE", "INSERT"]);
        assert_eq!(db.tables().len(), 3);
    }

    #[test]
    fn an_event_of_the_maximum_size_is_stored_and_a_larger_one_is_rejected() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let json = format!("[\"{}\"]", "x".repeat(MAX_EVENT_BYTES - 4 - 6));
        let record = Record { meta: Some("[]"), extra: Some("12"), audience: Some("34"), ..event(&json) };
        log.append(&db, NOW, &record).unwrap();
        let before = log.segments.clone();
        db.verbs();
        let larger = log.append(&db, NOW, &Record { audience: Some("345"), ..record });
        assert!(
            matches!(larger, Err(AppendError::TooLarge { bytes, limit: MAX_EVENT_BYTES }) if bytes == MAX_EVENT_BYTES + 1)
        );
        assert!(db.verbs().is_empty());
        assert_eq!(log.segments, before);
    }

    #[test]
    fn after_its_tables_are_dropped_a_log_continues_with_higher_ids() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let lost = append(&mut log, &db, NOW);
        db.drop_tables(|_| true);
        let id = append(&mut log, &db, NOW - SECOND);
        assert_eq!(id, lost + 2, "above the epoch, which is above the last id");
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::LastEventId("5")), (vec![id], Some(id)));
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::LastEventId(&id.to_string())), (vec![], None));
        assert_eq!(open(&db, USUAL).segments, log.segments);
    }

    #[test]
    fn a_log_reopened_after_a_failure_continues_with_higher_ids() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        let quiet = NOW + 2_000 * SECOND;
        let lost = (0..5).map(|_| append(&mut log, &db, quiet)).last().unwrap();
        log.delete_expired(&db, quiet).unwrap();
        db.drop_tables(|_| true);
        let from = lost.to_string();
        assert!(log.resume(&db, quiet, ResumeFrom::LastEventId(&from)).is_err());
        let mut opened = Log::open(&db, PREFIX, USUAL).unwrap();
        opened.restore(&db, quiet, log.memory());
        let id = lost + 2;
        assert_eq!(append(&mut opened, &db, quiet), id);
        for seen in [lost, lost - 1] {
            let from = seen.to_string();
            assert_eq!(resumed(&opened, &db, quiet, ResumeFrom::LastEventId(&from)), (vec![id], Some(id)));
        }
        assert_eq!(open(&db, USUAL).segments, opened.segments);
    }

    #[test]
    fn dropped_tables_are_detected_before_the_next_segment_is_created() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        db.drop_tables(|_| true);
        let id = append(&mut log, &db, NOW + 200 * SECOND);
        assert_eq!(open(&db, USUAL).segments, log.segments);
        assert_eq!(resumed(&log, &db, id, ResumeFrom::LastEventId(&NOW.to_string())), (vec![id], Some(id)));
    }
}
