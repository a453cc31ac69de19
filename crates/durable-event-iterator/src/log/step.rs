//! Replay, one bounded statement at a time.

use super::Log;
use super::segment::Segment;

/// One statement of a replay.
///
/// Its rows, in the order of ids: id (TEXT), the frame's tail (TEXT), audience (TEXT or NULL), and the bytes of its table's
/// events up to it (a number). They must be read to the end, as a half-read cursor keeps the table locked.
///
/// The next step begins after the last row's id, or after [`end`](Self::end) if no row came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// One text per table, so that the runtime's cache of prepared statements is hit.
    pub(crate) sql: String,
    /// What to bind to `?1`, `?2` and so on.
    pub(crate) params: [f64; 3],
    /// The highest id of the table that is read.
    pub(crate) end: u64,
}

/// What a step yields before it stops, in bytes of stored texts plus [`ROW_COST`] per event. 256 KiB: some milliseconds of
/// sending, after which others get their turn. A single larger event is a step of its own.
pub(crate) const STEP_BYTES: u64 = 256 * 1024;

/// What an event costs besides its texts, in bytes: about its frame and its call. It bounds a step of tiny events at
/// 1,024 rows.
const ROW_COST: u64 = 256;

impl Log {
    /// The statement that reads the next events after `after`, from one table. None: there are no more.
    ///
    /// Give every step of a replay the time of its resume: the answer has promised what was retained then, and
    /// a later time would leave out silently what has expired since. No event that was past retention at that time comes.
    pub(crate) fn step(&self, after: u64, now_us: u64) -> Option<Step> {
        let after = after.max(self.retention.horizon(now_us));
        let segment =
            self.segments.iter().find(|segment| segment.content.is_some() && segment.last() > after)?;
        Some(Step {
            sql: step_sql(segment),
            params: [after as f64, STEP_BYTES as f64, segment.last() as f64],
            end: segment.last(),
        })
    }
}

/// The inner statement finds the event at which the step is full. It must not look for it by a plain condition on the sums:
/// SQLite would then read every row to the table's end, although the sums only grow.
fn step_sql(segment: &Segment) -> String {
    let table = &segment.table;
    format!(
        "SELECT CAST(id AS TEXT), {FRAME_TAIL}, audience, bytes FROM \"{table}\" WHERE id > ?1 AND id <= coalesce(\
         (SELECT id FROM \"{table}\" WHERE id > ?1 AND bytes + {ROW_COST} * count >= ?2 + coalesce(\
         (SELECT bytes + {ROW_COST} * count FROM \"{table}\" WHERE id <= ?1 ORDER BY id DESC LIMIT 1), 0) \
         ORDER BY id LIMIT 1), ?3) ORDER BY id"
    )
}

/// The rest of an event's frame after `{"i":"…"`, in the dialect of generation 1; byte for byte what is sent live.
const FRAME_TAIL: &str = r#"',"t":3,"p":{"e":"message","d":{"json":' || json || coalesce(',"meta":' || meta, '') || '},"m":{' || coalesce(extra || ',', '') || '"id":"' || id || '"}}}'"#;
