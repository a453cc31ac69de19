//! How far the clocks of those who issue tokens are ahead of ours.
//!
//! A client that has seen no event yet resumes from the time at which its token was issued (`iat`). If the issuer's clock is
//! ahead, that time is too late, and the events in between would be skipped. Nothing in a token tells, but a token that
//! arrives before it was issued does: from then on the channel takes every token to be that much older, until the last token
//! that such a clock has issued has expired. The lead is in a view's name, so that it costs nothing to read and outlives
//! hibernation. It is rounded up to a power of two, so that it is written rarely.

use super::Log;
use super::database::{Database, DatabaseError};
use super::epoch::create_view;
use super::id::EventId;

/// How far ahead an issuer's clock may be without anything being noted, in microseconds. 2 s: hosts keep time by NTP; what
/// it costs is that a first connect may get events of the two seconds before its token.
pub(super) const CLOCK_SLACK_US: u64 = 2_000_000;

/// Beyond this, in microseconds, an `iat` says nothing: 1 day is more than a clock that anybody set is wrong by, and less
/// than what a wrong unit makes of a time.
const MAX_LEAD_US: u64 = 86_400_000_000;

/// How much longer than the token that shows it a lead is remembered, in seconds. 1 day: then it is written once a day at
/// most, and other tokens of the same issuer are covered that have not arrived yet.
const MARGIN_SECONDS: u64 = 86_400;

const MICROS_PER_SECOND: u64 = 1_000_000;

/// How far ahead issuers' clocks are. The greater of two is the one with the greater lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lead {
    /// A power of two.
    seconds: u64,
    /// Until when it counts, in seconds since the epoch.
    until: u64,
}

impl From<(u64, u64)> for Lead {
    fn from((seconds, until): (u64, u64)) -> Self {
        Self { seconds, until }
    }
}

impl Lead {
    fn counts(&self, now_us: u64) -> bool {
        now_us < self.until.saturating_mul(MICROS_PER_SECOND)
    }
}

/// Whether a token that says so may have been issued by a clock that is ahead of ours by more than the slack. `issued_at` is
/// in seconds since the epoch.
pub fn is_early(issued_at: f64, now_us: u64) -> bool {
    micros(issued_at).saturating_sub(now_us) > CLOCK_SLACK_US
}

impl Log {
    /// Takes note of a token that has arrived at `now_us`. `issued_at` and `expires_at` are its own times, in seconds since
    /// the epoch. Returns by how many seconds the issuer's clock is ahead, if that is news.
    ///
    /// Writes only if it is, or if the last note ends before the token does.
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
        let known = self.lead.filter(|lead| lead.counts(now_us));
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
        self.remember_lead(db, lead)?;
        Ok(is_news.then_some(ahead))
    }

    /// Stores a lead in place of the one before. It counts in memory even where that fails.
    pub(super) fn remember_lead(&mut self, db: &impl Database, lead: Lead) -> Result<(), DatabaseError> {
        let view = |lead: Lead| self.prefix.lead_view(lead.seconds, lead.until);
        let (view, old) = (view(lead), self.lead.map(view));
        self.lead = Some(lead);
        create_view(db, &view)?;
        match old {
            Some(old) => db.execute(&format!("DROP VIEW IF EXISTS \"{old}\""), &[]).map(drop),
            None => Ok(()),
        }
    }

    /// The earliest time at which a token may have been issued that says `issued_at`, in microseconds since the epoch.
    pub(super) fn earliest_issue(&self, now_us: u64, issued_at: f64) -> u64 {
        let stated = micros(issued_at);
        let ahead = stated.saturating_sub(now_us);
        if ahead > MAX_LEAD_US {
            return 0; // at any time
        }
        let seen = if ahead > CLOCK_SLACK_US { ahead } else { 0 };
        let noted = self.lead.filter(|lead| lead.counts(now_us));
        stated
            .saturating_sub(seen.max(noted.map_or(0, |lead| lead.seconds.saturating_mul(MICROS_PER_SECOND))))
    }
}

/// Seconds as microseconds. Times before the epoch and no numbers are the epoch; those beyond every id are the last id.
fn micros(seconds: f64) -> u64 {
    EventId::saturating((seconds * 1e6) as u64).as_micros()
}

#[cfg(test)]
mod tests {
    use super::super::ResumeFrom;
    use super::super::test_database::{NOW, SECOND, TestDatabase, USUAL, append, open, open_at, resumed};
    use super::*;

    const NOW_S: f64 = (NOW / SECOND) as f64;

    /// A token that arrives at `now_us` and lives for so many seconds.
    fn note(log: &mut Log, db: &TestDatabase, now_us: u64, ahead: f64, lifetime: f64) -> Option<u64> {
        let issued = (now_us / SECOND) as f64 + ahead;
        log.note_token(db, now_us, issued, issued + lifetime).unwrap()
    }

    #[test]
    fn a_lead_is_stored_as_a_power_of_two_and_outlives_the_instance() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        assert_eq!(note(&mut log, &db, NOW, 60.0, 300.0), Some(60));
        let until = NOW / SECOND + 60 + 300 + 86_400;
        assert_eq!(db.views(), [format!("dei_lead_64_{until}")]);
        db.done();
        for ahead in [3.0, 60.0, 64.0] {
            assert_eq!(note(&mut log, &db, NOW, ahead, 300.0), None);
        }
        assert!(db.done().is_empty());
        assert_eq!(note(&mut log, &db, NOW, 65.0, 300.0), Some(65));
        assert_eq!(db.views(), [format!("dei_lead_128_{}", until + 86_400)]);
        assert_eq!(open(&db, USUAL).lead, log.lead);
        assert_eq!((db.tables().len(), open(&db, USUAL).last_id()), (0, None), "it is no event");
    }

    #[test]
    fn a_lead_is_written_again_only_for_a_token_that_outlives_the_note() {
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
    fn what_is_within_the_slack_or_beyond_a_day_is_not_noted() {
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
    fn a_token_of_an_issuer_that_is_ahead_gets_what_was_published_before_it_says_that_it_was_issued() {
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
    fn what_was_dropped_since_the_earliest_issue_is_a_gap() {
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
    fn a_lead_counts_for_a_day_after_its_token_and_no_longer() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        note(&mut log, &db, NOW, 60.0, 300.0);
        let end = NOW + (60 + 300 + 86_400) * SECOND;
        let late = append(&mut log, &db, end - 40 * SECOND);
        let token = ResumeFrom::IssuedAt(((end - SECOND) / SECOND) as f64);
        assert_eq!(resumed(&log, &db, end - SECOND, token).0, [late]);
        assert_eq!(resumed(&log, &db, end, token).0, [0_u64; 0]);
        assert_eq!(note(&mut log, &db, end, 3.0, 300.0), Some(3), "what counted no longer is news again");
        assert_eq!(db.views().len(), 2, "the epoch, and one lead");
    }

    #[test]
    fn a_lead_that_cannot_be_stored_counts_in_memory_and_is_stored_by_the_next_epoch() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        db.refuse("CREATE");
        assert!(log.note_token(&db, NOW, NOW_S + 60.0, NOW_S + 300.0).is_err());
        db.accept();
        let lead = log.lead;
        assert!(lead.is_some());
        db.wipe();
        log.read_again(&db, NOW).unwrap();
        assert_eq!((log.lead, open(&db, USUAL).lead), (lead, lead));
    }

    #[test]
    fn views_that_look_similar_are_left_alone() {
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
