//! The bounds of the log.

use std::time::Duration;

/// How long and how many events are retained. The oldest events beyond any of the bounds are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// For how long an event is served after it was stored. Zero: events are never replayed.
    pub period: Duration,
    /// The largest number of events. The newest segment is always kept, and so is at least one event.
    pub events: u64,
    /// The largest sum of all events' texts, in bytes, with the same exception.
    pub bytes: u64,
    /// For how long an idempotency key is remembered after its event was stored. Zero: keys have no effect.
    pub keys: Duration,
}

impl Retention {
    /// The highest id that is past retention at `now_us`; 0, which is no event's id, when none can be.
    pub(crate) fn horizon(&self, now_us: u64) -> u64 {
        if self.micros() == 0 {
            return u64::MAX; // also hides ids that run ahead of a clock that stepped back
        }
        now_us.saturating_sub(self.micros())
    }

    /// When the event with this id is past retention, in microseconds since the epoch.
    pub(crate) fn expiry(&self, id: u64) -> u64 {
        id.saturating_add(self.micros())
    }

    fn micros(&self) -> u64 {
        micros(self.period)
    }

    /// How long a key is remembered, in microseconds.
    pub(crate) fn key_micros(&self) -> u64 {
        micros(self.keys)
    }

    /// The time that one table of keys spans, in microseconds: half their window, as with events.
    pub(crate) fn key_table_micros(&self) -> u64 {
        (self.key_micros() / 2).max(SHORTEST_SPAN)
    }

    /// The time that one segment spans, in microseconds: half the retention, so that at most 1.5 times of what is served
    /// is stored.
    pub(crate) fn segment_micros(&self) -> u64 {
        (self.micros() / 2).max(SHORTEST_SPAN)
    }

    /// The events that one segment holds at most: a quarter of the bound, so that at least three quarters of it are kept.
    pub(crate) fn segment_events(&self) -> u64 {
        (self.events / 4).max(1)
    }

    /// The bytes after which a segment is full, for the same reason a quarter of the bound.
    pub(crate) fn segment_bytes(&self) -> u64 {
        (self.bytes / 4).max(1)
    }
}

/// 1 s, in microseconds: with a shorter span every event of a busy channel would pay for a table of its own (2 rows
/// written).
const SHORTEST_SPAN: u64 = 1_000_000;

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_past_retention_from_its_expiry_on() {
        let retention =
            Retention { period: Duration::from_micros(100), events: 1, bytes: 1, keys: Duration::ZERO };
        assert_eq!(retention.expiry(5), 105);
        assert_eq!(retention.horizon(104), 4);
        assert_eq!(retention.horizon(105), 5);
        assert_eq!(retention.horizon(3), 0);
    }

    #[test]
    fn zero_retention_puts_every_id_past_it_whatever_the_clock_says() {
        let retention = Retention { period: Duration::ZERO, events: 1, bytes: 1, keys: Duration::ZERO };
        assert_eq!(retention.horizon(0), u64::MAX);
    }

    #[test]
    fn the_longest_retention_saturates() {
        let retention = Retention { period: Duration::MAX, events: u64::MAX, bytes: 0, keys: Duration::ZERO };
        assert_eq!(retention.horizon(u64::MAX), 0);
        assert_eq!(retention.expiry(u64::MAX), u64::MAX);
        assert_eq!(retention.segment_bytes(), 1);
    }
}
