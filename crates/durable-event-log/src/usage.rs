//! How much is stored, and when it was stored, from the running sums in the rows.

use super::database::{Cell, Database, DatabaseError, Param};
use super::id::EventId;
use super::log::Log;
use super::position::Stored;
use super::segment::Segment;

/// The events of a log, see [`Log::usage`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The retained events, without those that are past retention and not deleted yet.
    pub retained: Stored,
    /// The id of the oldest retained event.
    pub first: Option<EventId>,
    /// The segments, oldest first. They may contain events that are past retention.
    pub segments: Vec<SegmentUsage>,
}

/// The events of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentUsage {
    /// The id after which the segment begins.
    pub after: EventId,
    /// The highest id. `None` if the segment is empty.
    pub last: Option<EventId>,
    /// The events in the segment.
    pub stored: Stored,
}

/// A period of a timeline, see [`Log::timeline`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// The start of the period, in microseconds since the Unix epoch: a whole millisecond. It ends with the start of the next period.
    pub from_us: u64,
    /// The events that were stored in the period.
    pub stored: Stored,
}

/// Microseconds per millisecond.
const MILLISECOND: u64 = 1_000;

impl Log {
    /// Returns how much is stored at `now_us`. Reads at most two rows.
    ///
    /// # Errors
    /// A statement fails.
    pub fn usage(&self, db: &impl Database, now_us: u64) -> Result<Usage, DatabaseError> {
        let horizon = self.retention.horizon(now_us);
        let segments = self.segments.iter().map(|segment| SegmentUsage {
            after: segment.name.lower,
            last: segment.content.map(|content| EventId::saturating(content.last)),
            stored: stored_in(segment),
        });
        let expired = self.stored_up_to(db, horizon)?;
        Ok(Usage {
            retained: self.stored_in_all().minus(expired),
            first: self.first_after(db, horizon)?.map(EventId::saturating),
            segments: segments.collect(),
        })
    }

    /// Divides the time from the oldest retained event to `now_us` into `periods` of equal length, and returns how much was stored in
    /// each of them. Returns nothing if no event is retained.
    ///
    /// Reads at most one row per period and two more, however many events are stored.
    ///
    /// # Errors
    /// A statement fails.
    pub fn timeline(
        &self,
        db: &impl Database,
        now_us: u64,
        periods: u32,
    ) -> Result<Vec<Period>, DatabaseError> {
        let Some(first) = self.first_after(db, self.retention.horizon(now_us))? else {
            return Ok(Vec::new());
        };
        // Ids run ahead of a clock that has stepped back.
        let last = self.segments.last().map_or(first, Segment::last);
        let span = now_us.max(last).saturating_add(1).saturating_sub(first);
        let start_of = |period: u32| {
            let offset = u128::from(span).saturating_mul(period.into()).checked_div(periods.into());
            let offset = u64::try_from(offset.unwrap_or_default()).unwrap_or(u64::MAX);
            let start = first.saturating_add(offset);
            start.saturating_sub(start.checked_rem(MILLISECOND).unwrap_or_default())
        };
        let mut timeline = Vec::new();
        let mut before = self.stored_up_to(db, first.saturating_sub(1))?;
        for period in 0..periods {
            let next = period.saturating_add(1);
            let up_to = match next < periods {
                true => self.stored_up_to(db, start_of(next).max(first).saturating_sub(1))?,
                false => self.stored_in_all(),
            };
            timeline.push(Period { from_us: start_of(period), stored: up_to.minus(before) });
            before = up_to;
        }
        Ok(timeline)
    }

    /// Returns the sum of all segments. Reads no rows.
    fn stored_in_all(&self) -> Stored {
        self.segments.iter().fold(Stored::default(), |sum, segment| sum.plus(stored_in(segment)))
    }

    /// Returns how much is stored with ids up to `bound`. Reads at most one row: its running sums.
    fn stored_up_to(&self, db: &impl Database, bound: u64) -> Result<Stored, DatabaseError> {
        let mut sum = Stored::default();
        for segment in self.segments.iter().take_while(|segment| segment.lower() < bound) {
            let is_whole = segment.last() <= bound;
            let stored = if is_whole { stored_in(segment) } else { segment.read_stored_up_to(db, bound)? };
            sum = sum.plus(stored);
        }
        Ok(sum)
    }

    /// Returns the lowest stored id above `bound`. Reads at most one row.
    fn first_after(&self, db: &impl Database, bound: u64) -> Result<Option<u64>, DatabaseError> {
        let segment =
            self.segments.iter().find(|segment| segment.content.is_some() && segment.last() > bound);
        segment.map(|segment| segment.read_first_after(db, bound)).transpose()
    }
}

fn stored_in(segment: &Segment) -> Stored {
    segment
        .content
        .map_or_else(Stored::default, |content| Stored { events: content.count, bytes: content.bytes })
}

impl Segment {
    /// Reads the running sums of the last row with an id up to `bound`.
    fn read_stored_up_to(&self, db: &impl Database, bound: u64) -> Result<Stored, DatabaseError> {
        let sql = [
            "SELECT CAST(count AS INTEGER), CAST(bytes AS INTEGER) FROM \"",
            &self.table,
            "\" WHERE id > ?1 AND id <= ?2 ORDER BY id DESC LIMIT 1",
        ];
        let params = [Param::Number(self.lower() as f64), Param::Number(bound as f64)];
        Ok(match db.execute(&sql.concat(), &params)?.first().map(Vec::as_slice) {
            Some([Cell::Number(events), Cell::Number(bytes)]) => {
                Stored { events: *events as u64, bytes: *bytes as u64 }
            }
            _ => Stored::default(),
        })
    }

    /// Reads the lowest id above `bound` of a segment whose last id is above `bound`.
    fn read_first_after(&self, db: &impl Database, bound: u64) -> Result<u64, DatabaseError> {
        let sql = ["SELECT min(id) FROM \"", &self.table, "\" WHERE id > ?1"].concat();
        let rows = db.execute(&sql, &[Param::Number(self.lower().max(bound) as f64)])?;
        Ok(match rows.first().map(Vec::as_slice) {
            Some([Cell::Number(first)]) => *first as u64,
            _ => self.last(), // the rows were deleted by hand
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Retention;
    use super::super::test_database::{NOW, SECOND, TestDatabase, USUAL, append, event, open};
    use super::*;

    fn id(micros: u64) -> Option<EventId> {
        Some(EventId::saturating(micros))
    }

    #[test]
    fn a_log_without_events_has_no_usage_and_no_timeline() {
        let db = TestDatabase::new();
        let log = open(&db, USUAL);
        db.verbs();
        assert_eq!(log.usage(&db, NOW).unwrap(), Usage::default());
        assert_eq!(log.timeline(&db, NOW, 10).unwrap(), []);
        assert!(db.verbs().is_empty());
    }

    #[test]
    fn events_past_retention_do_not_count_as_retained() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let ids = [0, 10, 20, 200, 210].map(|second| append(&mut log, &db, NOW + second * SECOND));
        let usage = log.usage(&db, NOW + 315 * SECOND).unwrap();
        assert_eq!(usage.retained, Stored { events: 3, bytes: 6 });
        assert_eq!(usage.first, id(ids[2]));
        let segments: Vec<_> = usage.segments.iter().map(|segment| (segment.last, segment.stored)).collect();
        assert_eq!(
            segments,
            [(id(ids[2]), Stored { events: 3, bytes: 6 }), (id(ids[4]), Stored { events: 2, bytes: 4 })]
        );
        assert_eq!(usage.segments[1].after.as_micros(), ids[2]);
        let later = log.usage(&db, NOW + 1_000 * SECOND).unwrap();
        assert_eq!((later.retained, later.first), (Stored::default(), None));
        assert_eq!(log.timeline(&db, NOW + 1_000 * SECOND, 3).unwrap(), []);
    }

    #[test]
    fn a_timeline_has_the_events_of_each_period() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        // In the first, second and last quarter of 100 s.
        for second in [0, 1, 30, 30, 30, 99] {
            append(&mut log, &db, NOW + second * SECOND);
        }
        let timeline = log.timeline(&db, NOW + 100 * SECOND, 4).unwrap();
        let events: Vec<_> = timeline.iter().map(|period| period.stored.events).collect();
        assert_eq!(events, [2, 3, 0, 1]);
        assert_eq!(timeline[0].from_us, NOW);
        assert_eq!(timeline[1].from_us, NOW + 25 * SECOND);
        assert_eq!(timeline[1].stored.bytes, 6);
    }

    #[test]
    fn one_row_is_read_per_period() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        for n in 0..2_000 {
            append(&mut log, &db, NOW + n * SECOND / 10);
        }
        db.verbs();
        let mut effort = 0;
        let timeline = log.timeline(&db, NOW + 200 * SECOND, 60).unwrap();
        let statements = db.verbs();
        assert!(statements.len() <= 62, "{}", statements.len());
        effort += db.effort.get();
        assert!(effort < 40, "{effort} steps for the last statement");
        assert_eq!(timeline.iter().map(|period| period.stored.events).sum::<u64>(), 2_000);
        log.usage(&db, NOW + 200 * SECOND).unwrap();
        assert!(db.verbs().len() <= 2);
    }

    #[test]
    fn a_clock_that_stepped_back_does_not_hide_events() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW + 100 * SECOND);
        append(&mut log, &db, NOW + 100 * SECOND);
        let timeline = log.timeline(&db, NOW, 5).unwrap();
        assert_eq!(timeline.iter().map(|period| period.stored.events).sum::<u64>(), 2);
    }

    #[test]
    fn rows_that_were_deleted_by_hand_do_not_fail() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        append(&mut log, &db, NOW + SECOND);
        db.run(&format!("DELETE FROM {}", db.tables().remove(0)));
        assert_eq!(log.timeline(&db, NOW + SECOND, 2).unwrap().len(), 2);
        assert!(log.usage(&db, NOW + SECOND).unwrap().first.is_some());
    }

    #[test]
    fn a_failing_database_is_an_error() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        db.fail_on("SELECT");
        assert!(log.usage(&db, NOW).is_err());
        assert!(log.timeline(&db, NOW, 1).is_err());
    }

    proptest! {
        /// The timeline equals a count of the events themselves.
        #[test]
        fn a_timeline_counts_every_retained_event_once(
            steps in prop::collection::vec((0_u64..120_000_000, 1_usize..20), 1..60),
            periods in 1_u32..50,
            wait in 0_u64..400_000_000,
            bound in 1_u64..60,
        ) {
            let db = TestDatabase::new();
            let mut log = open(&db, Retention { events: bound, ..USUAL });
            let mut stored: Vec<(u64, u64)> = Vec::new();
            let mut now = NOW;
            for (step, size) in steps {
                now = now.saturating_add(step);
                let json = format!("\"{}\"", "x".repeat(size));
                let id = log.append(&db, now, &event(&json)).unwrap().as_micros();
                log.delete_expired(&db, now).unwrap();
                stored.push((id, json.len() as u64));
            }
            now = now.saturating_add(wait);
            let usage = log.usage(&db, now).unwrap();
            let oldest = usage.segments.first().map_or(u64::MAX, |segment| segment.after.as_micros());
            let horizon = USUAL.horizon(now).max(oldest);
            stored.retain(|(id, _)| *id > horizon);
            let sum = stored.iter().fold(Stored::default(), |sum, (_, bytes)| sum.plus(Stored { events: 1, bytes: *bytes }));
            prop_assert_eq!(usage.retained, sum);
            prop_assert_eq!(usage.first.map(EventId::as_micros), stored.first().map(|(id, _)| *id));
            let timeline = log.timeline(&db, now, periods).unwrap();
            prop_assert_eq!(timeline.len(), if stored.is_empty() { 0 } else { periods as usize });
            for (n, period) in timeline.iter().enumerate() {
                let end = timeline.get(n.saturating_add(1)).map_or(u64::MAX, |next| next.from_us);
                let is_in = |id: u64| (n == 0 || period.from_us <= id) && id < end;
                let expected = stored.iter().filter(|(id, _)| is_in(*id)).fold(
                    Stored::default(),
                    |sum, (_, bytes)| sum.plus(Stored { events: 1, bytes: *bytes }),
                );
                prop_assert_eq!(period.stored, expected);
            }
        }
    }
}
