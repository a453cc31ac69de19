//! The event log: what a channel remembers, and for how long.
//!
//! Events live in a few tables, the segments, named `<prefix>events_<lower>`, where `lower` is the highest id ever before
//! them; the first one ever is `<prefix>events_<time of birth>_first`. The names are the only metadata. Events go into the
//! newest segment; when it spans half the retention or a quarter of a bound, the next one begins. What is too old is
//! dropped by the table, so an event costs one row written over its whole life.
//!
//! An id is a time ([`EventId`]), so one column says order, age and place. The clock is always a parameter, in
//! microseconds since the epoch.
//!
//! The log keeps in memory how full each segment is. If the application wipes its storage, [`Log::append`] notices; if
//! another call fails, open the log anew.
//!
//! # Damage
//!
//! The names above are reserved, and what bears one without having exactly our columns (altered by hand, or written by
//! another version) is never read and never dropped: it may be somebody's only copy. As its events cannot be served, they
//! count as lost: resuming from before its end is a gap.
//!
//! A row that was changed by hand, say so that its `json` is no JSON, is sent as it is, and the client fails to read that
//! frame. Nothing else depends on it: the server parses no stored event, ids and sums are columns of their own, and the
//! rows after it follow. Checking each row again on replay would cost every replay for what only a hand can cause. An
//! unreadable audience is different, since it could give an event to the wrong reader: it admits nobody.
#![allow(dead_code)] // not all of it has its caller yet

mod append;
mod database;
mod id;
mod publish_error;
mod resume;
mod retention;
mod segment;
mod step;
mod tidy;

pub use id::{EventId, InvalidEventId};

use self::segment::{Segment, TablePrefix};
#[allow(unused_imports)] // not all of it has its caller yet
pub(crate) use self::{
    append::{MAX_EVENT_BYTES, Record},
    database::{Cell, Database, DatabaseError, Param},
    publish_error::PublishError,
    resume::{Resume, ResumeFrom},
    retention::Retention,
    step::{STEP_BYTES, Step},
};

/// The event log of one channel.
#[derive(Debug)]
pub(crate) struct Log {
    prefix: TablePrefix,
    retention: Retention,
    /// Oldest first. Only the newest may be empty; it takes the next event.
    segments: Vec<Segment>,
    /// Segments from before an unreadable one: they can make no resume whole, so they are dropped at the next occasion.
    stranded: Vec<Segment>,
    /// `lower` of the newest unreadable table, while no segment is newer.
    unreadable: Option<EventId>,
    /// The last id of a log whose tables are gone: ids go on from there.
    floor_of_ids: Option<EventId>,
}

impl Log {
    /// Opens the log: reads the list of tables and two rows of each segment. Writes nothing; a log that never was written
    /// has no table.
    ///
    /// # Errors
    ///
    /// When the database cannot be read, or `prefix` is not 1 to 32 of `a` to `z`, `0` to `9` and `_`.
    pub(crate) fn open(
        db: &impl Database,
        prefix: &str,
        retention: Retention,
    ) -> Result<Self, DatabaseError> {
        Self::read(db, TablePrefix::new(prefix)?, retention)
    }

    /// The highest id ever, as far as one is known.
    pub(crate) fn last_id(&self) -> Option<EventId> {
        let newest = self.segments.last().map(|newest| EventId::saturating(newest.last()));
        // An unreadable table holds one event at least, and no two tables can have the same name.
        let unreadable =
            self.unreadable.map(|lower| EventId::saturating(lower.as_micros().saturating_add(1)));
        newest.max(unreadable).max(self.floor_of_ids)
    }

    fn read(db: &impl Database, prefix: TablePrefix, retention: Retention) -> Result<Self, DatabaseError> {
        let (from, to) = prefix.table_range();
        let rows = db.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name >= ?1 AND name < ?2",
            &[Param::Text(&from), Param::Text(&to)],
        )?;
        let mut found: Vec<_> = rows
            .iter()
            .filter_map(|row| match row.as_slice() {
                [Cell::Text(table), Cell::Text(sql)] => Some((prefix.parse(table)?, sql)),
                _ => None,
            })
            .collect();
        found.sort_unstable();

        let mut log = Self {
            prefix,
            retention,
            segments: Vec::new(),
            stranded: Vec::new(),
            unreadable: None,
            floor_of_ids: None,
        };
        for (name, sql) in found {
            let segment = Segment::new(&log.prefix, name);
            if segment.create_sql() == *sql {
                log.segments.push(segment);
                log.unreadable = None;
            } else {
                log.stranded.append(&mut log.segments);
                log.unreadable = Some(name.lower);
            }
        }
        for segment in &mut log.segments {
            segment.read_content(db)?;
        }
        Ok(log)
    }
}
