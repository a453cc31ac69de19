//! Tests of durable event channels without a Worker.
//!
//! [`Sqlite`] is a [`Database`](durable_event_log::Database) in memory:
//!
//! ```
//! use std::time::Duration;
//! use durable_event_log::{Log, Record, ResumeFrom, Retention};
//! use durable_event_test::Sqlite;
//!
//! let database = Sqlite::in_memory()?;
//! let minutes = Duration::from_secs(300);
//! let retention = Retention { period: minutes, events: 1_000, bytes: 1_000_000, keys: minutes };
//! let mut log = Log::open(&database, "dei_", retention)?;
//!
//! let now_us = 1_767_225_600_000_000;
//! let record = Record { json: r#"{"n":1}"#, meta: None, extra: None, audience: None };
//! let id = log.append(&database, now_us, &record)?;
//! assert_eq!(id.as_micros(), now_us);
//!
//! // A cursor that is not this log's receives a gap notification.
//! let resume = log.resume(&database, now_us, ResumeFrom::LastEventId("1"))?;
//! assert!(resume.gap.is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod sqlite;

pub use self::sqlite::Sqlite;

// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
