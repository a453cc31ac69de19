//! Removing what is past retention or beyond the bounds: whole tables, never rows.

use super::Log;
use super::database::{Database, DatabaseError};
use super::id::EventId;
use super::segment::{Content, Segment, SegmentKind, SegmentName};

impl Log {
    /// Drops the oldest tables while all their events are past retention or the bounds are exceeded, but never the newest.
    ///
    /// Call it after an event was stored and sent, and ignore its error there: what could not be dropped now is dropped
    /// the next time. (A table is locked while a [`step`](Self::step) over it is half-read.)
    pub(crate) fn tidy(&mut self, db: &impl Database, now_us: u64) -> Result<(), DatabaseError> {
        while let Some(segment) = self.stranded.last() {
            segment.drop_table(db)?;
            self.stranded.pop();
        }
        let surplus = self.surplus(now_us);
        for _ in 0..surplus {
            if let Some(oldest) = self.segments.first() {
                oldest.drop_table(db)?;
                self.segments.remove(0);
            }
        }
        Ok(())
    }

    /// Like [`tidy`](Self::tidy), and when even the newest event is past retention, it goes too.
    ///
    /// An empty table takes the place of the newest one, because its name keeps the last id: ids never restart, and a
    /// client that had seen everything has no gap.
    pub(crate) fn prune(&mut self, db: &impl Database, now_us: u64) -> Result<(), DatabaseError> {
        if let Some(newest) = self.segments.last()
            && newest.content.is_some()
            && newest.last() <= self.retention.horizon(now_us)
        {
            let lower = EventId::saturating(newest.last());
            let empty = Segment::new(&self.prefix, SegmentName { lower, kind: SegmentKind::Next });
            empty.create(db)?;
            self.segments.push(empty);
        }
        self.tidy(db, now_us)
    }

    /// When [`prune`](Self::prune) next has something to do, in microseconds since the epoch; never, if there is nothing.
    ///
    /// In the past when a table could not be dropped: an alarm for it should not be set for less than some seconds from
    /// now.
    pub(crate) fn next_expiry(&self) -> Option<u64> {
        if !self.stranded.is_empty() {
            return Some(0);
        }
        let oldest = self.segments.first()?;
        if self.segments.len() == 1 && oldest.content.is_none() {
            return None;
        }
        Some(self.retention.expiry(oldest.last()))
    }

    /// How many of the oldest segments must go.
    fn surplus(&self, now_us: u64) -> usize {
        let horizon = self.retention.horizon(now_us);
        let (mut events, mut bytes) = self.segments.iter().filter_map(|segment| segment.content).fold(
            (0_u64, 0_u64),
            |(events, bytes), Content { count, bytes: more, .. }| {
                (events.saturating_add(count), bytes.saturating_add(more))
            },
        );
        let droppable = self.segments.len().saturating_sub(1);
        self.segments
            .iter()
            .take(droppable)
            .take_while(|segment| {
                let beyond = events > self.retention.events || bytes > self.retention.bytes;
                if let Some(content) = segment.content {
                    events = events.saturating_sub(content.count);
                    bytes = bytes.saturating_sub(content.bytes);
                }
                beyond || segment.last() <= horizon
            })
            .count()
    }
}
