//! Retention settings.

use std::time::Duration;

/// How long, and how many, events are retained. The oldest events beyond any of the bounds are deleted.
///
/// ```
/// use std::time::Duration;
/// use durable_event_log::Retention;
///
/// let retention = Retention {
///     period: Duration::from_secs(300),
///     events: 100_000,
///     bytes: 32 * 1024 * 1024,
///     keys: Duration::from_secs(300),
/// };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How long an event can be replayed after it was stored. Zero: events are never replayed.
    pub period: Duration,
    /// The maximum number of events. The newest segment is always kept, and with it at least one event.
    pub events: u64,
    /// The maximum total size of all events' texts, in bytes. The newest segment is always kept.
    pub bytes: u64,
    /// How long an idempotency key is kept after its event was stored. Zero: idempotency keys have no effect.
    pub keys: Duration,
}

impl Retention {
    /// Returns the highest id that is past retention at `now_us`, or 0, which is no event's id, if no id can be.
    pub(crate) fn horizon(&self, now_us: u64) -> u64 {
        if self.micros() == 0 {
            return u64::MAX; // includes ids ahead of a clock that stepped back
        }
        now_us.saturating_sub(self.micros())
    }

    /// Returns when the event with this id expires, in microseconds since the Unix epoch.
    pub(crate) fn expiry(&self, id: u64) -> u64 {
        id.saturating_add(self.micros())
    }

    fn micros(&self) -> u64 {
        micros(self.period)
    }

    /// Returns the idempotency window in microseconds.
    pub(crate) fn key_micros(&self) -> u64 {
        micros(self.keys)
    }

    /// Returns the highest id whose idempotency key has expired at `now_us`, or 0.
    pub(crate) fn key_horizon(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(self.key_micros())
    }

    /// Returns the time that one idempotency key table spans, in microseconds: half the idempotency window.
    pub(crate) fn key_table_micros(&self) -> u64 {
        (self.key_micros() / 2).max(SHORTEST_SPAN)
    }

    /// Returns the time that one segment spans, in microseconds: half the retention period, so that at most 1.5 times
    /// the retained events are stored.
    pub(crate) fn segment_micros(&self) -> u64 {
        (self.micros() / 2).max(SHORTEST_SPAN)
    }

    /// Returns the maximum number of events in one segment: a quarter of the bound, so that at least three quarters
    /// of the bound are retained.
    pub(crate) fn segment_events(&self) -> u64 {
        (self.events / 4).max(1)
    }

    /// Returns the size at which a segment is full, in bytes: a quarter of the bound, for the same reason.
    pub(crate) fn segment_bytes(&self) -> u64 {
        (self.bytes / 4).max(1)
    }
}

/// The shortest time that a table spans: 1 s, in microseconds. With a shorter span, every event of a busy channel
/// would need its own table, which costs 2 written rows.
const SHORTEST_SPAN: u64 = 1_000_000;

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_past_retention_at_its_expiry() {
        let retention =
            Retention { period: Duration::from_micros(100), events: 1, bytes: 1, keys: Duration::ZERO };
        assert_eq!(retention.expiry(5), 105);
        assert_eq!(retention.horizon(104), 4);
        assert_eq!(retention.horizon(105), 5);
        assert_eq!(retention.horizon(3), 0);
    }

    #[test]
    fn zero_retention_expires_every_id_at_any_time() {
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
