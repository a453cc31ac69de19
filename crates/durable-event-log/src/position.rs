//! How much was stored since an earlier moment.

use super::log::Log;
use super::segment::SegmentKind;

/// A position in the growth of a log, see [`Log::position`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The id after which the newest segment begins; 0 for a log without segments.
    pub segment: u64,
    /// The events in that segment.
    pub stored: Stored,
}

/// An amount of stored events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The number of events.
    pub events: u64,
    /// The sum of their json, meta, extra and audience, in bytes.
    pub bytes: u64,
}

impl Stored {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            events: self.events.saturating_add(other.events),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// Does not go below zero, since a transaction may be rolled back.
    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            events: self.events.saturating_sub(other.events),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

impl Log {
    /// Returns the current position, to be passed to [`stored_since`](Self::stored_since) later, even by another
    /// instance.
    pub fn position(&self) -> Position {
        self.sizes()
            .next_back()
            .map_or_else(Position::default, |(segment, _, stored)| Position { segment, stored })
    }

    /// Returns how much was stored since `from`. Returns `None` if a part of it is no longer stored. Reads no rows.
    pub fn stored_since(&self, from: Position) -> Option<Stored> {
        let later = self.sizes().filter(|(segment, ..)| *segment >= from.segment);
        let sum = later.clone().fold(Stored::default(), |sum, (.., stored)| sum.plus(stored));
        let (first, kind, _) = match later.clone().next() {
            Some(first) => first,
            None => return (from == Position::default()).then_some(sum),
        };
        let is_complete = first == from.segment || (from.segment == 0 && kind == SegmentKind::First);
        is_complete.then(|| sum.minus(from.stored))
    }

    /// Returns the segments, oldest first.
    fn sizes(&self) -> impl DoubleEndedIterator<Item = (u64, SegmentKind, Stored)> + Clone {
        self.segments.iter().map(|segment| {
            let stored =
                segment.content.map(|content| Stored { events: content.count, bytes: content.bytes });
            (segment.lower(), segment.name.kind, stored.unwrap_or_default())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Retention;
    use super::super::test_database::{NOW, SECOND, TestDatabase, USUAL, append, open};
    use super::*;

    /// The size of the events that `append` stores.
    const BYTES: u64 = 2;

    fn stored(events: u64) -> Option<Stored> {
        Some(Stored { events, bytes: events.saturating_mul(BYTES) })
    }

    #[test]
    fn a_log_without_events_counts_from_its_first_event() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let from = log.position();
        assert_eq!(log.stored_since(from), stored(0));
        append(&mut log, &db, NOW);
        append(&mut log, &db, NOW + 200 * SECOND);
        assert_eq!(log.stored_since(from), stored(2));
        assert_eq!(open(&db, USUAL).stored_since(from), stored(2), "in another instance");
    }

    #[test]
    fn all_later_segments_count() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        append(&mut log, &db, NOW);
        let from = log.position();
        for n in 1..=4 {
            append(&mut log, &db, NOW + n * 70 * SECOND);
            assert_eq!(log.stored_since(from), stored(n));
        }
        assert!(db.tables().len() > 1);
        assert_eq!(open(&db, USUAL).stored_since(from), stored(4));
    }

    #[test]
    fn the_amount_is_unknown_when_the_segment_has_been_dropped() {
        let db = TestDatabase::new();
        let mut log = open(&db, Retention { events: 1, ..USUAL });
        let empty = log.position();
        append(&mut log, &db, NOW);
        let from = log.position();
        append(&mut log, &db, NOW + 1);
        append(&mut log, &db, NOW + 2);
        log.delete_expired(&db, NOW + 2).unwrap();
        assert_eq!(log.stored_since(from), None);
        assert_eq!(log.stored_since(empty), None);
        assert_eq!(log.stored_since(log.position()), stored(0));
    }

    #[test]
    fn the_amount_is_unknown_after_the_tables_were_deleted() {
        let db = TestDatabase::new();
        let mut log = open(&db, USUAL);
        let empty = log.position();
        append(&mut log, &db, NOW);
        let from = log.position();
        db.run(&format!("DROP TABLE {}", db.tables().remove(0)));
        log.reload(&db, NOW + SECOND).unwrap();
        append(&mut log, &db, NOW + 2 * SECOND);
        assert_eq!((log.stored_since(from), log.stored_since(empty)), (None, None));
    }
}
