//! Detects token issuers whose clocks are ahead of the Durable Object's clock.
//!
//! A client without a cursor resumes from the time at which its token was issued (`iat`). If the issuer's clock is
//! ahead, that time is too late, and the client would miss the events in between. A single token does not show this,
//! unless it arrives before its own `iat`. Once such a token has arrived, the log treats every token as that much
//! older, until the last token from such a clock has expired. This time difference, the lead, is stored in the name
//! of a view: reading it costs nothing, and it survives hibernation. It is rounded up to a power of two, so that it
//! is rarely rewritten.

use super::database::{Database, DatabaseError};
use super::id::EventId;
use super::lead::{Lead, MICROS_PER_SECOND};
use super::log::Log;
use super::view::create_view;

/// How far an issuer's clock may be ahead without a lead being recorded, in microseconds. 2 s, because hosts
/// synchronise their clocks by NTP. As a consequence, a client's first connection may receive events from the two
/// seconds before its token was issued.
pub(super) const CLOCK_SLACK_US: u64 = 2_000_000;

/// The largest plausible lead, in microseconds; an `iat` beyond it is ignored. 1 day is more than the error of a
/// clock that is set at all, and less than the difference caused by a wrong time unit.
pub const MAX_LEAD_US: u64 = 86_400_000_000;

/// How long a lead is kept after its token has expired, in seconds. With 1 day the lead is written at most once a
/// day, and it also applies to tokens of the same issuer that arrive later.
const MARGIN_SECONDS: u64 = 86_400;

/// Returns whether a token arrives earlier than it was issued, by more than the tolerated clock difference of 2 s.
///
/// `issued_at` is in seconds and `now_us` in microseconds since the Unix epoch.
///
/// ```
/// use durable_event_log::is_early;
///
/// let now_us = 1_767_225_600_000_000;
/// assert!(is_early(1_767_225_660.0, now_us));
/// assert!(!is_early(1_767_225_601.0, now_us));
/// ```
pub fn is_early(issued_at: f64, now_us: u64) -> bool {
    micros(issued_at).saturating_sub(now_us) > CLOCK_SLACK_US
}

impl Log {
    /// Records the clock lead of a token that has arrived at `now_us`. `issued_at` and `expires_at` are the token's
    /// own times, in seconds since the Unix epoch.
    ///
    /// Returns the lead in seconds if it is greater than the recorded one. Writes only in that case, or if the
    /// recorded lead expires before the token.
    ///
    /// # Errors
    /// A statement fails. The lead then applies in memory only.
    pub fn note_token(
        &mut self,
        db: &impl Database,
        now_us: u64,
        issued_at: f64,
        expires_at: f64,
    ) -> Result<Option<u64>, DatabaseError> {
        let ahead = micros(issued_at).saturating_sub(now_us);
        if ahead <= CLOCK_SLACK_US || ahead > MAX_LEAD_US {
            return Ok(None);
        }
        let ahead = ahead.div_ceil(MICROS_PER_SECOND);
        let expires = micros(expires_at) / MICROS_PER_SECOND;
        let known = self.lead.filter(|lead| lead.is_active(now_us));
        let is_news = known.is_none_or(|known| known.seconds < ahead);
        if !is_news && known.is_some_and(|known| known.until >= expires) {
            return Ok(None);
        }
        let (seconds, until) = known.map_or((0, 0), |known| (known.seconds, known.until));
        let until = until.max(expires).max(now_us / MICROS_PER_SECOND).saturating_add(MARGIN_SECONDS);
        let lead = Lead {
            seconds: seconds.max(ahead.next_power_of_two()),
            until: EventId::saturating(until).as_micros(),
        };
        self.store_lead(db, lead)?;
        Ok(is_news.then_some(ahead))
    }

    /// Replaces the stored lead. The new lead applies in memory even if storing it fails.
    pub(super) fn store_lead(&mut self, db: &impl Database, lead: Lead) -> Result<(), DatabaseError> {
        let view = |lead: Lead| self.prefix.lead_view(lead.seconds, lead.until);
        let (view, old) = (view(lead), self.lead.map(view));
        self.lead = Some(lead);
        create_view(db, &view)?;
        match old {
            Some(old) => db.execute(&format!("DROP VIEW IF EXISTS \"{old}\""), &[]).map(drop),
            None => Ok(()),
        }
    }

    /// Returns the earliest time at which a token with this `issued_at` may have been issued, in microseconds since
    /// the Unix epoch.
    pub(super) fn earliest_issue(&self, now_us: u64, issued_at: f64) -> u64 {
        let stated = micros(issued_at);
        let ahead = stated.saturating_sub(now_us);
        if ahead > MAX_LEAD_US {
            return 0; // the token may be of any age
        }
        let seen = if ahead > CLOCK_SLACK_US { ahead } else { 0 };
        let noted = self.lead.filter(|lead| lead.is_active(now_us));
        stated
            .saturating_sub(seen.max(noted.map_or(0, |lead| lead.seconds.saturating_mul(MICROS_PER_SECOND))))
    }
}

/// Converts seconds to microseconds. Times before the Unix epoch and NaN become 0, later times at most the largest
/// id.
pub(super) fn micros(seconds: f64) -> u64 {
    EventId::saturating((seconds * 1e6) as u64).as_micros()
}

#[cfg(test)]
mod tests {
    use super::super::ResumeFrom;
    use super::super::test_database::{NOW, SECOND, TestDatabase, USUAL, append, open, open_at, resumed};
    use super::*;

    const NOW_S: f64 = (NOW / SECOND) as f64;

    /// Records a token that arrives at `now_us` with this lead and lifetime in seconds.
    fn note(log: &mut Log, db: &TestDatabase, now_us: u64, ahead: f64, lifetime: f64) -> Option<u64> {
        let issued = (now_us / SECOND) as f64 + ahead;
        log.note_token(db, now_us, issued, issued + lifetime).unwrap()
    }

    #[test]
    fn a_lead_is_stored_as_a_power_of_two_and_survives_the_instance() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        assert_eq!(note(&mut log, &db, NOW, 60.0, 300.0), Some(60));
        let until = NOW / SECOND + 60 + 300 + 86_400;
        assert_eq!(db.views(), [format!("dei_lead_64_{until}")]);
        db.verbs();
        for ahead in [3.0, 60.0, 64.0] {
            assert_eq!(note(&mut log, &db, NOW, ahead, 300.0), None);
        }
        assert!(db.verbs().is_empty());
        assert_eq!(note(&mut log, &db, NOW, 65.0, 300.0), Some(65));
        assert_eq!(db.views(), [format!("dei_lead_128_{}", until + 86_400)]);
        assert_eq!(open(&db, USUAL).lead, log.lead);
        assert_eq!((db.tables().len(), open(&db, USUAL).last_id()), (0, None), "a lead is not an event");
    }

    #[test]
    fn a_lead_is_rewritten_only_for_a_token_that_expires_later() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        note(&mut log, &db, NOW, 60.0, 300.0);
        let mut writes = 0;
        for minute in 0..3 * 24 * 60 {
            let before = db.views();
            assert_eq!(note(&mut log, &db, NOW + minute * 60 * SECOND, 60.0, 300.0), None);
            writes += usize::from(db.views() != before);
        }
        assert_eq!(writes, 2);
        assert_eq!(db.views().len(), 1);
    }

    #[test]
    fn a_lead_within_the_slack_or_beyond_a_day_is_not_recorded() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        for ahead in [-5.0, 0.0, 2.0, 86_401.0, 1e15, 1e300, f64::INFINITY, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(note(&mut log, &db, NOW, ahead, 300.0), None, "{ahead}");
        }
        assert!(db.views().is_empty());
        for lifetime in [1e300, f64::INFINITY, f64::NAN, -1e300] {
            note(&mut log, &db, NOW, 86_400.0, lifetime);
        }
        assert_eq!(open(&db, USUAL).lead, log.lead);
    }

    #[test]
    fn a_token_from_a_clock_that_is_ahead_receives_events_from_before_its_issue_time() {
        for ahead in [1_u64, 5, 60, 3_600, 86_400] {
            let db = TestDatabase::new();
            let mut log = open(&db, super::super::Retention { period: std::time::Duration::MAX, ..USUAL });
            let old = append(&mut log, &db, NOW - 3 * 86_400 * SECOND);
            let issued = NOW_S + ahead as f64;
            let token = ResumeFrom::IssuedAt(issued);
            note(&mut log, &db, NOW, ahead as f64, 300.0);
            let id = append(&mut log, &db, NOW + 1);
            for later in [0, ahead, ahead + 3, ahead + 300] {
                let mut reopened = open_at(&db, log.retention, NOW + later * SECOND);
                for log in [&mut log, &mut reopened] {
                    let (served, gap) = resumed(log, &db, NOW + later * SECOND, token);
                    assert_eq!(
                        (served.contains(&id), served.contains(&old), gap),
                        (true, false, None),
                        "{later}"
                    );
                }
            }
        }
    }

    #[test]
    fn events_deleted_since_the_earliest_issue_time_are_a_gap() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        note(&mut log, &db, NOW, 60.0, 3_600.0);
        let token = ResumeFrom::IssuedAt(NOW_S + 60.0);
        append(&mut log, &db, NOW + 1);
        let late = append(&mut log, &db, NOW + 400 * SECOND);
        let (served, gap) = resumed(&log, &db, late, token);
        assert_eq!((served, gap), (vec![late], Some(NOW + 2)));
    }

    #[test]
    fn a_lead_expires_a_day_after_its_token() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        note(&mut log, &db, NOW, 60.0, 300.0);
        let end = NOW + (60 + 300 + 86_400) * SECOND;
        let late = append(&mut log, &db, end - 40 * SECOND);
        let token = ResumeFrom::IssuedAt(((end - SECOND) / SECOND) as f64);
        assert_eq!(resumed(&log, &db, end - SECOND, token).0, [late]);
        assert_eq!(resumed(&log, &db, end, token).0, [0_u64; 0]);
        assert_eq!(note(&mut log, &db, end, 3.0, 300.0), Some(3), "an expired lead is reported again");
        assert_eq!(db.views().len(), 2, "the epoch and one lead");
    }

    #[test]
    fn a_lead_that_cannot_be_stored_applies_in_memory_and_is_stored_with_the_next_epoch() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        db.fail_on("CREATE");
        assert!(log.note_token(&db, NOW, NOW_S + 60.0, NOW_S + 300.0).is_err());
        db.stop_failing();
        let lead = log.lead;
        assert!(lead.is_some());
        db.delete_all();
        log.reload(&db, NOW).unwrap();
        assert_eq!((log.lead, open(&db, USUAL).lead), (lead, lead));
    }

    #[test]
    fn similarly_named_views_are_kept() {
        let db = TestDatabase::new();
        for view in [
            "dei_lead_5",
            "dei_lead_05_6",
            "dei_lead_5_6_7",
            "dei_lead_x_6",
            "dei_lead_99999999999999999999_5",
        ] {
            db.run(&format!("CREATE VIEW \"{view}\" AS SELECT 1"));
        }
        db.run("CREATE VIEW dei_lead_8_9999999999 AS SELECT 2");
        db.run("CREATE TABLE dei_lead_16_9999999999 (x)");
        let mut log = open(&db, USUAL);
        assert_eq!(log.lead, None);
        note(&mut log, &db, NOW, 60.0, 300.0);
        assert_eq!(db.views().len(), 7);
    }
}
