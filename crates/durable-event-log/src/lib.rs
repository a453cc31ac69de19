//! An event log in SQLite: event ids, retention, resuming, gap detection and idempotency keys.
//!
//! The crate opens no database: [`Log`] runs its statements through [`Database`]. The current time is always a
//! parameter, in microseconds since the Unix epoch.
//!
//! # Storage
//!
//! Events are stored in a few tables, the segments. A segment is named `<prefix>events_<lower>`, where `lower` is the
//! highest event id before it. The first segment of a log is named `<prefix>events_<birth>_first`; `birth` is the
//! time at which the log was created. The table names are the only metadata. New events go into the newest segment.
//! The next segment begins when the newest one spans half the retention period, or holds a quarter of a bound.
//! Expired events are deleted by dropping whole tables, so an event costs one written row over its lifetime.
//!
//! An event id is a timestamp ([`EventId`]), so a single integer column provides order, age and cursor.
//!
//! Idempotency keys are stored in separate tables, `<prefix>keys_<start>` (see `key_tables.rs`). An event without an
//! idempotency key costs nothing extra.
//!
//! # Tables and views
//!
//! | name | kind | meaning |
//! | --- | --- | --- |
//! | `<prefix>events_<birth>_first` | table | the first segment of the log |
//! | `<prefix>events_<lower>` | table | a segment of events after `lower`. Only the newest segment may be empty |
//! | `<prefix>keys_<start>` | table | idempotency keys, see `key_tables.rs` |
//! | `<prefix>revoked` | table | revoked tokens, see `revocations.rs` |
//! | `<prefix>epoch` | view | the log has stored events |
//! | `<prefix>lead_<seconds>_<until>` | view | how far the clocks of token issuers are ahead, see `issuer_clock.rs` |
//!
//! Views have no content and occupy no page, and they remain when all tables are dropped. A database from a version
//! before the epoch view gets the view with its next segment.
//!
//! # Lost tables
//!
//! The application can remove tables without the log: by `deleteAll`, or by dropping them. The log then begins a new
//! epoch (`epoch.rs`). An epoch begins with an empty segment `<prefix>events_<lower>` whose `lower` is above all
//! earlier event ids and not before the current time. Resuming from any older cursor or older token therefore reports
//! a gap. The log detects a loss
//!
//! - when its caller reports that storage was deleted ([`Log::reload`]);
//! - when a statement fails because the newest table no longer exists;
//! - when it opens and finds the epoch view without any segment;
//! - when it opens and a segment does not begin where the previous one ends: all events before the hole count as lost;
//! - when it opens and its caller remembers later events than the database contains ([`Log::restore`]).
//!
//! It cannot detect that only the newest tables were dropped if the instance was evicted before the log was used
//! again. It also cannot detect a loss if the epoch view was dropped together with all tables. If all tables are
//! missing and no earlier ids are known, new ids start at the current time. After a point-in-time recovery the log
//! looks as if the later events had never been stored: a cursor beyond the last event is a gap until newer events
//! have passed it.
//!
//! # Damage
//!
//! The names above are reserved. A table with such a name but other columns (altered by hand, or created by another
//! version) is never read and never dropped, because it may be the only copy of the data. Its events cannot be
//! replayed and count as lost: resuming from a cursor before its end reports a gap.
//!
//! A row that was changed by hand, for example to invalid JSON, is returned unchanged; the client then fails to parse
//! that message. Nothing else depends on it: the log parses no stored event, ids and sums have separate columns, and
//! later rows are unaffected. Validating every row on replay would slow down every replay to catch manual edits only.
//! An unreadable audience admits nobody, because it could otherwise expose an event to the wrong client.

mod append;
mod append_error;
mod batch;
mod database;
mod epoch;
mod expiry;
mod id;
mod idempotency;
mod issuer_clock;
mod key_tables;
mod lead;
mod log;
mod page;
mod position;
mod resume;
mod retention;
mod revocation_table;
mod revocations;
mod segment;
mod step;
mod usage;
mod view;

pub use self::{
    append::{MAX_EVENT_BYTES, Record},
    append_error::{AppendError, MAX_KEY_LENGTH},
    batch::{BatchError, BatchItem},
    database::{Cell, Database, DatabaseError, Param},
    epoch::Memory,
    id::{EventId, InvalidEventId},
    idempotency::Appended,
    issuer_clock::{MAX_LEAD_US, is_early},
    log::Log,
    page::Page,
    position::{Position, Stored},
    resume::{Resume, ResumeFrom},
    retention::Retention,
    revocations::{MAX_REVOCATIONS, Revocation, TokenParts},
    segment::TablePrefix,
    step::{STEP_BYTES, Step},
    usage::{Period, SegmentUsage, Usage},
};

// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod keys_model;
#[cfg(test)]
mod layouts;
#[cfg(test)]
mod model;
#[cfg(test)]
mod test_database;
