//! From where a subscription goes on, and whether it has missed something.

use super::Log;
use super::database::{Cell, Database, DatabaseError, Param};
use super::id::EventId;
use super::lead::CLOCK_SLACK_US;
use super::segment::Segment;

/// What a subscriber knows of the channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ResumeFrom<'a> {
    /// The id of the last event that it got, in whatever text it sent. A text that is no id is a gap.
    LastEventId(&'a str),
    /// It got none yet; its token says that it was issued at this time, in seconds since the epoch.
    IssuedAt(f64),
    /// It begins now, with the next event.
    End,
}

/// Where a replay begins, and whether it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Only events with higher ids are replayed; the first argument of [`Log::step`].
    pub after: u64,
    /// Some: events that the subscriber should have got are no longer there. From this id on every event is, and it is the
    /// smallest such id.
    pub gap: Option<EventId>,
}

impl Log {
    /// Decides from where a subscriber is served. Reads one row at most.
    ///
    /// A resume from id X is whole if and only if X is neither before what was dropped nor after the last id, and no event
    /// after X is past retention. A first connect is whole if and only if nothing that was stored since the earliest time
    /// at which the token may have been issued has gone.
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
                // Not beyond the last id: the next event must not be skipped.
                Resume { after: wanted.max(retained.after).min(last), gap: gap.filter(|_| missed) }
            }
            ResumeFrom::End => Resume { after: last, gap: None },
        })
    }

    /// Whether events after `after` were dropped, or lost. A replay that is under way asks this before each
    /// [`step`](Self::step): if so, it cannot be whole any more, and its client must reconnect to receive the gap.
    pub fn has_dropped_after(&self, after: u64) -> bool {
        self.gone_up_to().is_some_and(|gone| gone > after)
    }

    /// Which events are there at `now_us`.
    fn retained(&self, db: &impl Database, now_us: u64) -> Result<Retained, DatabaseError> {
        let gone = self.gone_up_to();
        let Some(oldest) = self.segments.first() else {
            let after = match (self.unreadable, self.lost) {
                (None, Some(lost)) => lost.as_micros(),
                (unreadable, _) => unreadable.map_or(0, EventId::as_micros).max(now_us.saturating_sub(1)),
            };
            return Ok(Retained { after, lost: gone });
        };
        let expired = self.last_up_to(db, self.retention.horizon(now_us))?;
        Ok(Retained { after: expired.unwrap_or(oldest.lower()), lost: expired.or(gone) })
    }

    /// The highest id of an event that is in a table and not above `bound`.
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

/// Which events are there.
struct Retained {
    /// Those with higher ids, and all of them.
    after: u64,
    /// The highest id of those that are not, as far as there have been any.
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
    fn a_log_that_was_never_written_has_a_gap_for_whoever_saw_an_event_and_none_for_others() {
        let db = TestDatabase::new();
        let log = open(&db, USUAL);
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::LastEventId("5")), (vec![], Some(NOW)));
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::IssuedAt(0.0)), (vec![], None));
        assert!(db.tables().is_empty());
    }

    #[test]
    fn a_resume_within_the_log_is_whole() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let (a, b, c) =
            (append(&mut log, &db, NOW), append(&mut log, &db, NOW), append(&mut log, &db, NOW + 9));
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::LastEventId(&from(a))), (vec![b, c], None));
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::LastEventId(&from(c))), (vec![], None));
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::LastEventId(&from(b + 3))), (vec![c], None));
    }

    #[test]
    fn an_id_that_this_log_never_gave_is_a_gap_and_everything_follows() {
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
    fn the_last_expired_id_is_whole_and_the_one_before_is_a_gap() {
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
    fn the_last_dropped_id_is_whole_and_the_one_before_is_a_gap() {
        let db = TestDatabase::new();
        let mut log = open(&db, Retention { events: 1, ..USUAL });
        let (_, b, c) =
            (append(&mut log, &db, NOW), append(&mut log, &db, NOW + 10), append(&mut log, &db, NOW + 20));
        log.tidy(&db, NOW).unwrap();
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::LastEventId(&from(b))), (vec![c], None));
        assert_eq!(resumed(&log, &db, NOW, ResumeFrom::LastEventId(&from(b - 1))), (vec![c], Some(b + 1)));
    }

    #[test]
    fn a_quiet_channel_is_never_a_false_gap() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let id = append(&mut log, &db, NOW);
        let day = NOW + 86_400 * SECOND;
        assert_eq!(resumed(&log, &db, day, ResumeFrom::LastEventId(&from(id))), (vec![], None));
        let next = append(&mut log, &db, day);
        log.tidy(&db, day).unwrap();
        assert_eq!(db.tables().len(), 1);
        assert_eq!(resumed(&log, &db, day, ResumeFrom::LastEventId(&from(id))), (vec![next], None));
    }

    #[test]
    fn a_first_connect_before_the_birth_of_the_log_is_whole() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let a = append(&mut log, &db, NOW);
        for seconds in [0.0, -5.0, f64::NAN, f64::NEG_INFINITY, (NOW / SECOND) as f64 - 1000.0] {
            assert_eq!(resumed(&log, &db, NOW, ResumeFrom::IssuedAt(seconds)), (vec![a], None), "{seconds}");
        }
    }

    #[test]
    fn a_first_connect_gets_what_was_stored_since_its_token_and_two_seconds_more() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let ids: Vec<u64> = (0..6).map(|n| append(&mut log, &db, NOW + n * SECOND)).collect();
        let issued = ResumeFrom::IssuedAt((NOW / SECOND + 4) as f64);
        assert_eq!(resumed(&log, &db, NOW + 5 * SECOND, issued), (ids[2..].to_vec(), None));
    }

    #[test]
    fn a_first_connect_is_a_gap_only_if_something_since_its_token_has_gone() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let gone = append(&mut log, &db, NOW);
        let now = NOW + 300 * SECOND;
        let there = append(&mut log, &db, now);
        for _ in 0..2 {
            let at = |micros: u64| ResumeFrom::IssuedAt(micros as f64 / 1e6);
            assert_eq!(resumed(&log, &db, now, at(NOW)), (vec![there], Some(gone + 1)));
            assert_eq!(resumed(&log, &db, now, at(NOW + SECOND)), (vec![there], None), "within the slack");
            log.tidy(&db, now).unwrap();
            log = open(&db, USUAL);
        }
        assert_eq!(db.tables().len(), 1);
    }

    #[test]
    fn a_token_from_the_future_gets_the_next_event_and_perhaps_some_before() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let (old, last) = (append(&mut log, &db, NOW - 10 * SECOND), append(&mut log, &db, NOW));
        let ahead = |by: f64| ResumeFrom::IssuedAt((NOW / SECOND) as f64 + by);
        assert_eq!(resumed(&log, &db, NOW, ahead(1.0)), (vec![last], None), "within the slack");
        assert_eq!(resumed(&log, &db, NOW, ahead(60.0)), (vec![last], None), "at most as young as now");
        for anything in [ahead(100_000.0), ResumeFrom::IssuedAt(f64::INFINITY), ResumeFrom::IssuedAt(1e300)] {
            assert_eq!(resumed(&log, &db, NOW, anything), (vec![old, last], None), "it says nothing");
        }
        assert_eq!(log.resume(&db, NOW, ResumeFrom::End).unwrap(), Resume { after: last, gap: None });
    }

    #[test]
    fn retention_zero_replays_nothing_and_is_no_gap_for_whoever_has_seen_all() {
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
            let has_stepped_back = now + SECOND <= NOW; // then the token seems to be early, and may be older
            let gap = has_stepped_back.then_some(last + 1);
            assert_eq!(resumed(&log, &db, now, after), (vec![], gap), "{now}");
        }
    }

    #[test]
    fn a_resume_asks_the_database_only_when_a_table_has_events_on_both_sides_of_its_age() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        append(&mut log, &db, NOW + 100 * SECOND);
        db.done();
        for now in [NOW, NOW + 299 * SECOND, NOW + 400 * SECOND] {
            log.resume(&db, now, ResumeFrom::LastEventId(&from(NOW))).unwrap();
        }
        assert!(db.done().is_empty());
        log.resume(&db, NOW + 350 * SECOND, ResumeFrom::LastEventId(&from(NOW))).unwrap();
        assert_eq!(db.done(), ["SELECT"]);
    }

    #[test]
    fn a_replay_learns_that_what_it_was_about_to_read_was_dropped() {
        let db = TestDatabase::new();
        let mut log = open(&db, Retention { events: 1, ..USUAL });
        let (a, b) = (append(&mut log, &db, NOW), append(&mut log, &db, NOW));
        assert!(!log.has_dropped_after(0), "nothing was before the first table");
        log.tidy(&db, NOW).unwrap();
        assert!(!log.has_dropped_after(a));
        assert!(!log.has_dropped_after(b));
        assert!(log.has_dropped_after(a - 1));
    }

    #[test]
    fn a_database_that_fails_is_an_error_and_not_a_gap() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        append(&mut log, &db, NOW + 100 * SECOND);
        db.refuse("SELECT");
        assert!(log.resume(&db, NOW + 350 * SECOND, ResumeFrom::LastEventId("1")).is_err());
        assert!(Log::open(&db, "dei_", USUAL).is_err());
    }
}
