//! What `benches/parts.rs` measures and cannot reach from outside.

use std::time::Duration;

use rusqlite::{
    Connection, params_from_iter,
    types::{ToSqlOutput, Value as SqlValue, ValueRef},
};
use serde::Serialize;

use crate::{
    log::{Cell, Database, DatabaseError, Log, Param, Record, Retention},
    wire::{self, Outgoing},
};

/// What any part fails with.
pub type Failure = Box<dyn std::error::Error>;

/// The JSON text and the meta of a value.
///
/// # Errors
/// It cannot be serialized.
pub fn serialize<T: Serialize + ?Sized>(value: &T) -> Result<(Option<String>, Option<String>), Failure> {
    let serialized = wire::serialize(value)?;
    Ok((serialized.json, serialized.meta))
}

/// The value of a JSON text and its meta.
///
/// # Errors
/// They are none.
pub fn parse(json: &str, meta: Option<&str>) -> Result<crate::Value, Failure> {
    Ok(wire::parse(Some(json), meta)?)
}

/// Reads a client's text frame; answers whether it is a call.
///
/// # Errors
/// It is no frame.
pub fn decode(frame: &str) -> Result<bool, Failure> {
    Ok(matches!(wire::decode_text(frame)?, wire::ClientFrame::Request(_)))
}

/// The frame that answers a call.
///
/// # Errors
/// `output` cannot be serialized.
pub fn response<T: Serialize + ?Sized>(id: &str, output: &T) -> Result<String, Failure> {
    match wire::response(id, 200, wire::serialize(output)?) {
        Outgoing::Text(text) => Ok(text),
        Outgoing::Binary(_) => Err("with a blob".into()),
    }
}

/// What all subscribers get of an event.
#[must_use]
pub fn event_tail(json: &str, id: u64) -> String {
    wire::event_tail(json, None, None, id)
}

/// A log in a database in memory.
pub struct MemoryLog {
    database: Sqlite,
    log: Log,
}

/// As an object has it when nothing is said, but for a retention that no measurement outlasts.
const RETENTION: Retention = Retention {
    for_: Duration::from_secs(3_600),
    events: 100_000,
    bytes: 32 * 1024 * 1024,
    keys: Duration::from_secs(300),
};

impl MemoryLog {
    /// An empty one.
    ///
    /// # Errors
    /// SQLite fails.
    pub fn new() -> Result<Self, Failure> {
        let database = Sqlite(Connection::open_in_memory()?);
        let log = Log::open(&database, "dei_", RETENTION).map_err(|error| error.to_string())?;
        Ok(Self { database, log })
    }

    /// Stores an event, as publishing does, and removes what is too old. Answers with its id.
    ///
    /// # Errors
    /// SQLite fails, or `json` is no object.
    pub fn append(&mut self, json: &str, now_us: u64) -> Result<u64, Failure> {
        let record = Record { json, meta: None, extra: None, audience: None };
        let appended = self
            .log
            .append(&self.database, now_us, &record)
            .map_err(|error| crate::Error::from(error).to_string())?;
        self.log.tidy(&self.database, now_us).map_err(|error| error.to_string())?;
        Ok(appended.as_micros())
    }

    /// Reads what a subscriber has missed since `after`, as frames; answers with how many.
    ///
    /// # Errors
    /// SQLite fails.
    pub fn replay(&self, mut after: u64, now_us: u64) -> Result<usize, Failure> {
        let mut count = 0_usize;
        while let Some(step) = self.log.step(after, now_us) {
            let params = step.params.map(Param::Number);
            let rows = self.database.execute(&step.sql, &params).map_err(|error| error.to_string())?;
            count = count.saturating_add(rows.len());
            after = step.end;
            if let Some([Cell::Number(id), ..]) = rows.last().map(Vec::as_slice) {
                after = *id as u64;
            }
        }
        Ok(count)
    }
}

/// SQLite, with its statements kept as the platform keeps them.
struct Sqlite(Connection);

impl Database for Sqlite {
    fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Vec<Cell>>, DatabaseError> {
        self.run(sql, params).map_err(|error| DatabaseError::new(error.to_string()))
    }

    fn atomically(&self, work: &mut dyn FnMut() -> bool) -> Result<(), DatabaseError> {
        work();
        Ok(())
    }
}

impl Sqlite {
    fn run(&self, sql: &str, params: &[Param<'_>]) -> rusqlite::Result<Vec<Vec<Cell>>> {
        let mut statement = self.0.prepare_cached(sql)?;
        let columns = statement.column_count();
        let values = params.iter().map(|param| match param {
            Param::Null => ToSqlOutput::Owned(SqlValue::Null),
            Param::Number(number) => ToSqlOutput::Owned(SqlValue::Real(*number)),
            Param::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        });
        statement
            .query_map(params_from_iter(values), |row| {
                let cell = |column| {
                    Ok(match row.get_ref(column)? {
                        ValueRef::Integer(number) => Cell::Number(number as f64),
                        ValueRef::Real(number) => Cell::Number(number),
                        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
                        ValueRef::Null | ValueRef::Blob(_) => Cell::Null,
                    })
                };
                (0..columns).map(cell).collect()
            })?
            .collect()
    }
}
