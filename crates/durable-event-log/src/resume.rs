//! Decides where a subscription resumes, and whether events are missing.

use super::database::{Cell, Database, DatabaseError, Param};
use super::id::EventId;
use super::issuer_clock::{CLOCK_SLACK_US, micros};
use super::log::Log;
use super::segment::Segment;

/// The point from which a subscriber asks for events.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ResumeFrom<'a> {
    /// The id of the last event that the subscriber received, as the text that it sent. A text that is not an event
    /// id is a gap.
    LastEventId(&'a str),
    /// The subscriber has no cursor; its token was issued at this time, in seconds since the Unix epoch.
    IssuedAt(f64),
    /// The reader asks for the events stored at or after this time, in seconds since the Unix epoch. A time after the last
    /// event means the next event.
    Since(f64),
    /// The reader asks for all retained events.
    Start,
    /// The subscriber starts with the next event.
    End,
}

/// Where a replay begins, and whether it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The replay contains only events with higher ids. Pass it as the first argument of [`Log::step`].
    pub after: u64,
    /// The gap: if `Some`, events that the subscriber should have received are no longer stored. The id is the
    /// smallest one from which on all events are stored.
    pub gap: Option<EventId>,
}

impl Log {
    /// Decides where a subscriber resumes. Reads at most one row.
    ///
    /// Resuming from id X is complete if and only if X is not before the deleted events, X is not after the last id,
    /// and no event after X is past retention. A connection without a cursor is complete if and only if no event has
    /// been deleted that was stored since the earliest time at which the token may have been issued.
    ///
    /// # Errors
    /// A statement fails.
    pub fn resume(
        &self,
        db: &impl Database,
        now_us: u64,
        from: ResumeFrom<'_>,
    ) -> Result<Resume, DatabaseError> {
        let retained = self.retained(db, now_us)?;
        let gap = Some(EventId::saturating(retained.after.saturating_add(1)));
        let known = self.segments.last().map(Segment::last).or(self.lost.map(EventId::as_micros));
        let last = known.unwrap_or(0);
        Ok(match from {
            ResumeFrom::LastEventId(text) => match text.parse().map(EventId::as_micros) {
                Ok(seen) if known.is_some() && retained.after <= seen && seen <= last => {
                    Resume { after: seen, gap: None }
                }
                _ => Resume { after: retained.after.min(last), gap },
            },
            ResumeFrom::IssuedAt(seconds) => {
                let issued = self.earliest_issue(now_us, seconds);
                let missed = retained.lost.is_some_and(|lost| lost >= issued);
                let wanted = issued.saturating_sub(CLOCK_SLACK_US).saturating_sub(1);
                // At most the last id, so that the next event is not skipped.
                Resume { after: wanted.max(retained.after).min(last), gap: gap.filter(|_| missed) }
            }
            ResumeFrom::Since(seconds) => {
                let since = micros(seconds);
                let missed = retained.lost.is_some_and(|lost| lost >= since);
                let after = since.saturating_sub(1).max(retained.after).min(last);
                Resume { after, gap: gap.filter(|_| missed) }
            }
            ResumeFrom::Start => Resume { after: retained.after.min(last), gap: None },
            ResumeFrom::End => Resume { after: last, gap: None },
        })
    }

    /// Returns whether events after `after` were deleted or lost. Check it before each [`step`](Self::step) of a
    /// replay: if it is true, the replay is no longer complete, and the client must reconnect to receive a gap
    /// notification.
    pub fn has_dropped_after(&self, after: u64) -> bool {
        self.missing_up_to().is_some_and(|missing| missing > after)
    }

    /// Returns which events are retained at `now_us`.
    fn retained(&self, db: &impl Database, now_us: u64) -> Result<Retained, DatabaseError> {
        let missing = self.missing_up_to();
        let Some(oldest) = self.segments.first() else {
            let after = match (self.unreadable, self.lost) {
                (None, Some(lost)) => lost.as_micros(),
                (unreadable, _) => unreadable.map_or(0, EventId::as_micros).max(now_us.saturating_sub(1)),
            };
            return Ok(Retained { after, lost: missing });
        };
        let expired = self.last_up_to(db, self.retention.horizon(now_us))?;
        Ok(Retained { after: expired.unwrap_or(oldest.lower()), lost: expired.or(missing) })
    }

    /// Returns the highest stored event id that is not above `bound`.
    fn last_up_to(&self, db: &impl Database, bound: u64) -> Result<Option<u64>, DatabaseError> {
        let below = self.segments.iter().rev().filter(|segment| segment.lower() < bound);
        for segment in below.filter(|segment| segment.content.is_some()) {
            if segment.last() <= bound {
                return Ok(Some(segment.last()));
            }
            let sql = ["SELECT max(id) FROM \"", &segment.table, "\" WHERE id > ?1 AND id <= ?2"].concat();
            let rows =
                db.execute(&sql, &[Param::Number(segment.lower() as f64), Param::Number(bound as f64)])?;
            if let Some([Cell::Number(id)]) = rows.first().map(Vec::as_slice) {
                return Ok(Some(*id as u64));
            }
        }
        Ok(None)
    }
}

/// The retained events.
struct Retained {
    /// All events with higher ids are retained.
    after: u64,
    /// The highest id that is no longer retained, if any.
    lost: Option<u64>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Retention;
    use super::super::test_database::{NOW, SECOND, TestDatabase, USUAL, append, open, resumed};
    use super::*;

    fn from(id: u64) -> String {
        id.to_string()
    }

    #[test]
    fn a_log_without_events_reports_a_gap_only_to_clients_with_a_cursor() {
        let db = TestDatabase::new();
        let log = open(&db, USUAL);
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::LastEventId("5")), (vec![], Some(NOW)));
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::IssuedAt(0.0)), (vec![], None));
        assert!(db.tables().is_empty());
    }

    #[test]
    fn a_resume_within_the_log_is_complete() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let (a, b, c) =
            (append(&mut log, &db, NOW), append(&mut log, &db, NOW), append(&mut log, &db, NOW + 9));
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::LastEventId(&from(a))), (vec![b, c], None));
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::LastEventId(&from(c))), (vec![], None));
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::LastEventId(&from(b + 3))), (vec![c], None));
    }

    #[test]
    fn an_unknown_id_is_a_gap_and_all_events_are_replayed() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let (a, b) = (append(&mut log, &db, NOW), append(&mut log, &db, NOW));
        let far = from(b + 1);
        for text in
            ["", "abc", "-1", "1.5", "+1", " 1", "0", "99999999999999999999", far.as_str(), &from(a - 2)]
        {
            assert_eq!(
                resumed(&log, &db, NOW, ResumeFrom::LastEventId(text)),
                (vec![a, b], Some(a)),
                "{text:?}"
            );
        }
    }

    #[test]
    fn the_last_expired_id_is_complete_and_the_one_before_is_a_gap() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let (a, b, c) =
            (append(&mut log, &db, NOW), append(&mut log, &db, NOW + 10), append(&mut log, &db, NOW + 20));
        let now = b + 300 * SECOND;
        assert_eq!(resumed(&log, &db, now - 1, ResumeFrom::LastEventId(&from(a))), (vec![b, c], None));
        assert_eq!(resumed(&log, &db, now, ResumeFrom::LastEventId(&from(b))), (vec![c], None));
        assert_eq!(resumed(&log, &db, now, ResumeFrom::LastEventId(&from(b - 1))), (vec![c], Some(b + 1)));
        assert_eq!(resumed(&log, &db, now, ResumeFrom::LastEventId(&from(a))), (vec![c], Some(b + 1)));
        assert_eq!(resumed(&log, &db, c + 300 * SECOND, ResumeFrom::LastEventId(&from(c))), (vec![], None));
    }

    #[test]
    fn the_last_deleted_id_is_complete_and_the_one_before_is_a_gap() {
        let db = TestDatabase::new();
        let mut log = open(&db, Retention { events: 1, ..USUAL });
        let (_, b, c) =
            (append(&mut log, &db, NOW), append(&mut log, &db, NOW + 10), append(&mut log, &db, NOW + 20));
        log.delete_expired(&db, NOW).unwrap();
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::LastEventId(&from(b))), (vec![c], None));
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::LastEventId(&from(b - 1))), (vec![c], Some(b + 1)));
    }

    #[test]
    fn an_idle_channel_causes_no_false_gap() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let id = append(&mut log, &db, NOW);
        let day = NOW + 86_400 * SECOND;
        assert_eq!(resumed(&log, &db, day, ResumeFrom::LastEventId(&from(id))), (vec![], None));
        let next = append(&mut log, &db, day);
        log.delete_expired(&db, day).unwrap();
        assert_eq!(db.tables().len(), 1);
        assert_eq!(resumed(&log, &db, day, ResumeFrom::LastEventId(&from(id))), (vec![next], None));
    }

    #[test]
    fn a_token_from_before_the_creation_of_the_log_is_complete() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let a = append(&mut log, &db, NOW);
        for seconds in [0.0, -5.0, f64::NAN, f64::NEG_INFINITY, (NOW / SECOND) as f64 - 1000.0] {
            assert_eq!(resumed(&log, &db, NOW, ResumeFrom::IssuedAt(seconds)), (vec![a], None), "{seconds}");
        }
    }

    #[test]
    fn a_client_without_a_cursor_receives_events_from_two_seconds_before_its_token() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let ids: Vec<u64> = (0..6).map(|n| append(&mut log, &db, NOW + n * SECOND)).collect();
        let issued = ResumeFrom::IssuedAt((NOW / SECOND + 4) as f64);
        assert_eq!(resumed(&log, &db, NOW + 5 * SECOND, issued), (ids[2..].to_vec(), None));
    }

    #[test]
    fn a_client_without_a_cursor_has_a_gap_only_if_events_since_its_token_are_deleted() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let deleted = append(&mut log, &db, NOW);
        let now = NOW + 300 * SECOND;
        let stored = append(&mut log, &db, now);
        for _ in 0..2 {
            let at = |micros: u64| ResumeFrom::IssuedAt(micros as f64 / 1e6);
            assert_eq!(resumed(&log, &db, now, at(NOW)), (vec![stored], Some(deleted + 1)));
            assert_eq!(resumed(&log, &db, now, at(NOW + SECOND)), (vec![stored], None), "within the slack");
            log.delete_expired(&db, now).unwrap();
            log = open(&db, USUAL);
        }
        assert_eq!(db.tables().len(), 1);
    }

    #[test]
    fn a_time_is_exact_and_a_gap_only_if_later_events_are_deleted() {
        let db = TestDatabase::new();
        let mut log = open(&db, Retention { events: 1, ..USUAL });
        let ids: Vec<u64> = (0..3).map(|n| append(&mut log, &db, NOW + n * SECOND)).collect();
        let since = |micros: u64| ResumeFrom::Since(micros as f64 / 1e6);
        assert_eq!(resumed(&log, &db, NOW, since(ids[1])), (ids[1..].to_vec(), None));
        assert_eq!(resumed(&log, &db, NOW, since(ids[1] + 1)), (ids[2..].to_vec(), None));
        assert_eq!(resumed(&log, &db, NOW, since(ids[2] + 9 * SECOND)), (vec![], None));
        for anything in [0.0, -1.0, f64::NAN] {
            assert_eq!(resumed(&log, &db, NOW, ResumeFrom::Since(anything)), (ids.clone(), None));
        }
        log.delete_expired(&db, NOW).unwrap();
        assert_eq!(resumed(&log, &db, NOW, since(ids[1])), (vec![ids[2]], Some(ids[1] + 1)));
        assert_eq!(resumed(&log, &db, NOW, since(ids[1] + 1)), (vec![ids[2]], None));
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::Start), (vec![ids[2]], None));
    }

    #[test]
    fn a_token_from_the_future_receives_the_next_event_and_possibly_earlier_ones() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let (old, last) = (append(&mut log, &db, NOW - 10 * SECOND), append(&mut log, &db, NOW));
        let ahead = |by: f64| ResumeFrom::IssuedAt((NOW / SECOND) as f64 + by);
        assert_eq!(resumed(&log, &db, NOW, ahead(1.0)), (vec![last], None), "within the slack");
        assert_eq!(resumed(&log, &db, NOW, ahead(60.0)), (vec![last], None), "treated as issued now");
        for anything in [ahead(100_000.0), ResumeFrom::IssuedAt(f64::INFINITY), ResumeFrom::IssuedAt(1e300)] {
            assert_eq!(
                resumed(&log, &db, NOW, anything),
                (vec![old, last], None),
                "the issue time is ignored"
            );
        }
        assert_eq!(log.resume(&db, NOW, ResumeFrom::End).unwrap(), Resume { after: last, gap: None });
    }

    #[test]
    fn zero_retention_replays_nothing_and_is_no_gap_for_up_to_date_clients() {
        let db = TestDatabase::new();
        let mut log = open(&db, Retention { period: Duration::ZERO, ..USUAL });
        append(&mut log, &db, NOW);
        let last = append(&mut log, &db, NOW);
        for now in [0, NOW - SECOND, NOW, NOW + SECOND] {
            assert_eq!(resumed(&log, &db, now, ResumeFrom::LastEventId(&from(last))), (vec![], None));
            assert_eq!(
                resumed(&log, &db, now, ResumeFrom::LastEventId(&from(last - 1))),
                (vec![], Some(last + 1))
            );
            assert_eq!(resumed(&log, &db, now, ResumeFrom::IssuedAt(0.0)), (vec![], Some(last + 1)));
            let after = ResumeFrom::IssuedAt(last as f64 / 1e6 + 1.0);
            let has_stepped_back = now + SECOND <= NOW; // the token then appears early, so it may be older
            let gap = has_stepped_back.then_some(last + 1);
            assert_eq!(resumed(&log, &db, now, after), (vec![], gap), "{now}");
        }
    }

    #[test]
    fn a_resume_queries_only_a_table_with_both_expired_and_retained_events() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        append(&mut log, &db, NOW + 100 * SECOND);
        db.verbs();
        for now in [NOW, NOW + 299 * SECOND, NOW + 400 * SECOND] {
            log.resume(&db, now, ResumeFrom::LastEventId(&from(NOW))).unwrap();
        }
        assert!(db.verbs().is_empty());
        log.resume(&db, NOW + 350 * SECOND, ResumeFrom::LastEventId(&from(NOW))).unwrap();
        assert_eq!(db.verbs(), ["SELECT"]);
    }

    #[test]
    fn a_replay_detects_that_its_next_events_were_deleted() {
        let db = TestDatabase::new();
        let mut log = open(&db, Retention { events: 1, ..USUAL });
        let (a, b) = (append(&mut log, &db, NOW), append(&mut log, &db, NOW));
        assert!(!log.has_dropped_after(0), "no events precede the first segment");
        log.delete_expired(&db, NOW).unwrap();
        assert!(!log.has_dropped_after(a));
        assert!(!log.has_dropped_after(b));
        assert!(log.has_dropped_after(a - 1));
    }

    #[test]
    fn a_failing_database_is_an_error_and_not_a_gap() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        append(&mut log, &db, NOW + 100 * SECOND);
        db.fail_on("SELECT");
        assert!(log.resume(&db, NOW + 350 * SECOND, ResumeFrom::LastEventId("1")).is_err());
        assert!(Log::open(&db, "dei_", USUAL).is_err());
    }
}
