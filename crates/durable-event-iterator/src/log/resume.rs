//! From where a subscription goes on, and whether it has missed something.

use super::Log;
use super::database::{Cell, Database, DatabaseError, Param};
use super::id::EventId;
use super::segment::{self, Segment, SegmentKind};

/// What a subscriber knows of the channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ResumeFrom<'a> {
    /// The id of the last event that it got, in whatever text it sent. A text that is no id is a gap.
    LastEventId(&'a str),
    /// It got none yet; its token was issued at this time, in seconds since the epoch.
    IssuedAt(f64),
}

/// Where a replay begins, and whether it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resume {
    /// Only events with higher ids are replayed; the first argument of [`Log::step`].
    pub(crate) after: u64,
    /// Some: events that the subscriber should have got are no longer there. From this id on every event is, and it is the
    /// smallest such id.
    pub(crate) gap: Option<EventId>,
}

impl Log {
    /// Decides from where a subscriber is served. Reads one row at most.
    ///
    /// A resume from id X is whole if and only if X is neither before what was dropped nor after the last id, and no event
    /// after X is past retention. A first connect is whole if and only if nothing that was stored since the token was
    /// issued has gone.
    pub(crate) fn resume(
        &self,
        db: &impl Database,
        now_us: u64,
        from: ResumeFrom<'_>,
    ) -> Result<Resume, DatabaseError> {
        let retained = self.retained(db, now_us)?;
        let gap = Some(EventId::saturating(retained.after.saturating_add(1)));
        let last = self.segments.last().map_or(0, Segment::last);
        Ok(match from {
            ResumeFrom::LastEventId(text) => match text.parse().map(EventId::as_micros) {
                Ok(seen) if !self.segments.is_empty() && retained.after <= seen && seen <= last => {
                    Resume { after: seen, gap: None }
                }
                _ => Resume { after: retained.after.min(last), gap },
            },
            ResumeFrom::IssuedAt(seconds) => {
                let issued = micros(seconds);
                let missed = retained.lost.is_some_and(|lost| lost >= issued);
                let wanted = issued.saturating_sub(CLOCK_SLACK_US).saturating_sub(1);
                // Not beyond the last id: the issuer's clock may be ahead of ours, and the next event must not be skipped.
                Resume { after: wanted.max(retained.after).min(last), gap: gap.filter(|_| missed) }
            }
        })
    }

    /// Whether events after `after` were dropped. A replay that is under way asks this before each [`step`](Self::step):
    /// if so, it cannot be whole any more, and its client must come back to be told of the gap.
    pub(crate) fn has_dropped_after(&self, after: u64) -> bool {
        self.segments
            .first()
            .is_some_and(|oldest| oldest.name.kind == SegmentKind::Next && oldest.lower() > after)
    }

    /// Which events are there at `now_us`.
    fn retained(&self, db: &impl Database, now_us: u64) -> Result<Retained, DatabaseError> {
        let Some(oldest) = self.segments.first() else {
            return Ok(match self.unreadable {
                None => Retained { after: now_us.saturating_sub(1), lost: None },
                Some(lower) => Retained {
                    after: lower.as_micros().max(now_us.saturating_sub(1)),
                    lost: Some(EventId::MAX.as_micros()),
                },
            });
        };
        let horizon = self.retention.horizon(now_us);
        let expired = self.last_up_to(db, horizon)?;
        let dropped = match oldest.name.kind {
            SegmentKind::First => None,
            SegmentKind::Next => Some(oldest.lower()),
        };
        Ok(Retained { after: expired.unwrap_or(oldest.lower()), lost: expired.or(dropped) })
    }

    /// The highest id of an event that is in a table and not above `bound`.
    fn last_up_to(&self, db: &impl Database, bound: u64) -> Result<Option<u64>, DatabaseError> {
        let candidate = self.segments.iter().rev().find_map(|segment| {
            segment.content.filter(|content| content.first <= bound).map(|content| (segment, content))
        });
        let Some((segment, content)) = candidate else {
            return Ok(None);
        };
        if content.last <= bound {
            return Ok(Some(content.last));
        }
        let sql = format!("SELECT CAST(max(id) AS TEXT) FROM \"{}\" WHERE id <= ?1", segment.table);
        let rows = db.execute(&sql, &[Param::Number(bound as f64)])?;
        match rows.first().map(Vec::as_slice) {
            Some([Cell::Text(text)]) => segment::id(text).map(Some),
            // Only if rows were removed by hand since: then nothing up to the bound is there.
            _ => Ok(Some(bound)),
        }
    }
}

/// How far the clock of the host that issued a token may be ahead of ours, in microseconds. 2 s: hosts keep time by NTP;
/// what it costs is that a first connect may get events of the two seconds before its token.
const CLOCK_SLACK_US: u64 = 2_000_000;

/// Which events are there.
struct Retained {
    /// Those with higher ids, and all of them.
    after: u64,
    /// The highest id of those that are not, as far as there have been any.
    lost: Option<u64>,
}

/// Seconds as microseconds. Times before the epoch and no numbers are the epoch; those beyond every id are the last id.
fn micros(seconds: f64) -> u64 {
    EventId::saturating((seconds * 1e6) as u64).as_micros()
}
