//! SQLite for the tests, with the Workers runtime's binding: every number is bound as REAL.
// Test helpers outside of test functions.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::cell::{Cell as Shared, RefCell};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, StatementStatus, params_from_iter};

use super::database::{Cell, Database, DatabaseError, Param};
use super::{Log, Record, ResumeFrom, Retention};

pub(crate) const PREFIX: &str = "dei_";

/// The time at which most tests begin: 2026-01-01, in microseconds since the Unix epoch.
pub(crate) const NOW: u64 = 1_767_225_600_000_000;

pub(crate) const SECOND: u64 = 1_000_000;

/// The library's default retention: 300 s, 100,000 events, 32 MiB, idempotency keys for 300 s.
pub(crate) const USUAL: Retention =
    Retention { period: FIVE_MINUTES, events: 100_000, bytes: 32 * 1024 * 1024, keys: FIVE_MINUTES };

const FIVE_MINUTES: Duration = Duration::from_secs(300);

pub(crate) struct TestDatabase {
    pub(crate) connection: Connection,
    statements: RefCell<Vec<String>>,
    failing: RefCell<Vec<&'static str>>,
    /// The number of virtual machine steps of the last statement.
    pub(crate) effort: Shared<i32>,
}

impl TestDatabase {
    pub(crate) fn new() -> Self {
        Self {
            connection: Connection::open_in_memory().unwrap(),
            statements: RefCell::default(),
            failing: RefCell::default(),
            effort: Shared::new(0),
        }
    }

    /// Makes all further statements fail that begin with this text.
    pub(crate) fn fail_on(&self, beginning: &'static str) {
        self.failing.borrow_mut().push(beginning);
    }

    /// Makes all further statements succeed.
    pub(crate) fn stop_failing(&self) {
        self.failing.borrow_mut().clear();
    }

    /// Returns the first word of each statement since the last call.
    pub(crate) fn verbs(&self) -> Vec<String> {
        let statements = self.statements.take();
        statements.iter().map(|sql| sql.split(' ').next().unwrap().to_owned()).collect()
    }

    /// Returns the statements since the last call.
    pub(crate) fn statements(&self) -> Vec<String> {
        self.statements.take()
    }

    /// Returns the names of all tables and indexes.
    pub(crate) fn tables(&self) -> Vec<String> {
        self.names("type <> 'view'")
    }

    /// Returns the names of all views.
    pub(crate) fn views(&self) -> Vec<String> {
        self.names("type = 'view'")
    }

    fn names(&self, condition: &str) -> Vec<String> {
        let sql = format!("SELECT name FROM sqlite_master WHERE {condition} ORDER BY name");
        let mut select = self.connection.prepare(&sql).unwrap();
        select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// Deletes all tables and views, as `deleteAll` does.
    pub(crate) fn delete_all(&self) {
        self.drop_tables(|_| true);
        for view in self.views() {
            self.run(&format!("DROP VIEW \"{view}\""));
        }
    }

    /// Drops the tables for which `is_dropped` returns true.
    pub(crate) fn drop_tables(&self, is_dropped: impl Fn(&str) -> bool) {
        for table in self.tables().iter().filter(|table| is_dropped(table)) {
            self.run(&format!("DROP TABLE \"{table}\""));
        }
    }

    pub(crate) fn run(&self, sql: &str) {
        self.connection.execute_batch(sql).unwrap();
    }
}

impl Database for TestDatabase {
    fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Vec<Cell>>, DatabaseError> {
        self.statements.borrow_mut().push(sql.to_owned());
        if self.failing.borrow().iter().any(|beginning| sql.starts_with(beginning)) {
            return Err(DatabaseError::new("injected failure"));
        }
        self.query(sql, params).map_err(|error| DatabaseError::new(error.to_string()))
    }

    fn atomically(&self, work: &mut dyn FnMut() -> bool) -> Result<(), DatabaseError> {
        self.execute("SAVEPOINT work", &[])?;
        let ended = if work() { self.execute("RELEASE work", &[]) } else { Ok(self.roll_back()) };
        ended.map(drop).inspect_err(|_| drop(self.roll_back()))
    }
}

impl TestDatabase {
    /// Rolls back. Cannot be made to fail because the Workers runtime rolls back by itself.
    fn roll_back(&self) -> Vec<Vec<Cell>> {
        self.run("ROLLBACK TO work; RELEASE work");
        Vec::new()
    }

    fn query(&self, sql: &str, params: &[Param<'_>]) -> rusqlite::Result<Vec<Vec<Cell>>> {
        let mut statement = self.connection.prepare(sql)?;
        let columns = statement.column_count();
        let values = params.iter().map(|param| match param {
            Param::Null => ToSqlOutput::Owned(Value::Null),
            Param::Number(number) => ToSqlOutput::Owned(Value::Real(*number)),
            Param::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        });
        let rows = statement
            .query_map(params_from_iter(values), |row| {
                (0..columns)
                    .map(|column| {
                        Ok(match row.get_ref(column)? {
                            ValueRef::Null => Cell::Null,
                            ValueRef::Integer(number) => Cell::Number(number as f64),
                            ValueRef::Real(number) => Cell::Number(number),
                            ValueRef::Text(text) => Cell::Text(String::from_utf8(text.to_vec()).unwrap()),
                            ValueRef::Blob(_) => panic!("the log stores no blobs"),
                        })
                    })
                    .collect()
            })?
            .collect();
        self.effort.set(statement.get_status(StatementStatus::VmStep));
        rows
    }
}

/// The SQL expression that the tests select for each event.
pub(crate) const TEXT: &str = "json || '|' || coalesce(meta, '') || '|' || coalesce(extra, '')";

/// A replayed event.
#[derive(Debug, PartialEq)]
pub(crate) struct Replayed {
    pub(crate) id: u64,
    pub(crate) text: String,
    pub(crate) audience: Option<String>,
}

/// Returns all events of a replay, and the number of its steps.
pub(crate) fn replay(log: &Log, db: &TestDatabase, mut after: u64, now_us: u64) -> (Vec<Replayed>, usize) {
    let mut events = Vec::new();
    let mut steps = 0;
    while let Some(step) = log.step(after, now_us, TEXT) {
        steps += 1;
        let params: Vec<_> = step.params.iter().copied().map(Param::Number).collect();
        after = step.end;
        for row in db.execute(&step.sql, &params).unwrap() {
            let [Cell::Number(id), Cell::Text(text), audience] = row.as_slice() else {
                panic!("{row:?}");
            };
            let audience = match audience {
                Cell::Text(text) => Some(text.clone()),
                _ => None,
            };
            after = *id as u64;
            events.push(Replayed { id: after, text: text.clone(), audience });
        }
    }
    (events, steps)
}

/// Returns the ids that a resuming client receives, and the id of the gap.
pub(crate) fn resumed(
    log: &Log,
    db: &TestDatabase,
    now_us: u64,
    from: ResumeFrom<'_>,
) -> (Vec<u64>, Option<u64>) {
    let resume = log.resume(db, now_us, from).unwrap();
    let ids = replay(log, db, resume.after, now_us).0.iter().map(|event| event.id).collect();
    (ids, resume.gap.map(super::EventId::as_micros))
}

pub(crate) fn open(db: &TestDatabase, retention: Retention) -> Log {
    open_at(db, retention, NOW)
}

/// Opens the log as a new instance without memory does.
pub(crate) fn open_at(db: &TestDatabase, retention: Retention, now_us: u64) -> Log {
    let mut log = Log::open(db, PREFIX, retention).unwrap();
    log.restore(db, now_us, super::Memory::default());
    log
}

pub(crate) fn event(json: &str) -> Record<'_> {
    Record { json, meta: None, extra: None, audience: None }
}

/// Appends an event and returns its id.
pub(crate) fn append(log: &mut Log, db: &TestDatabase, now_us: u64) -> u64 {
    log.append(db, now_us, &event("{}")).unwrap().as_micros()
}
