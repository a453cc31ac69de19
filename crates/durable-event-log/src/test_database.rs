//! Real SQLite for the tests, bound as the platform binds: every number goes in as REAL.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // test code, though not all of it is in test functions

use std::cell::{Cell as Shared, RefCell};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, StatementStatus, params_from_iter};

use super::database::{Cell, Database, DatabaseError, Param};
use super::{Log, Record, ResumeFrom, Retention};

pub(crate) const PREFIX: &str = "dei_";

/// A point in time at which most tests begin: 2026, in microseconds.
pub(crate) const NOW: u64 = 1_767_225_600_000_000;

pub(crate) const SECOND: u64 = 1_000_000;

/// 300 s, 100,000 events, 32 MiB, keys for 300 s: what an object has when nothing else is said.
pub(crate) const USUAL: Retention =
    Retention { period: FIVE_MINUTES, events: 100_000, bytes: 32 * 1024 * 1024, keys: FIVE_MINUTES };

const FIVE_MINUTES: Duration = Duration::from_secs(300);

pub(crate) struct TestDatabase {
    pub(crate) connection: Connection,
    statements: RefCell<Vec<String>>,
    refused: RefCell<Vec<&'static str>>,
    /// The steps of SQLite's machine that the last statement took.
    pub(crate) effort: Shared<i32>,
}

impl TestDatabase {
    pub(crate) fn new() -> Self {
        Self {
            connection: Connection::open_in_memory().unwrap(),
            statements: RefCell::default(),
            refused: RefCell::default(),
            effort: Shared::new(0),
        }
    }

    /// From now on statements that begin so fail.
    pub(crate) fn refuse(&self, beginning: &'static str) {
        self.refused.borrow_mut().push(beginning);
    }

    /// From now on no statement fails on purpose.
    pub(crate) fn accept(&self) {
        self.refused.borrow_mut().clear();
    }

    /// The first word of each statement since the last call.
    pub(crate) fn done(&self) -> Vec<String> {
        let statements = self.statements.take();
        statements.iter().map(|sql| sql.split(' ').next().unwrap().to_owned()).collect()
    }

    /// The statements since the last call.
    pub(crate) fn statements(&self) -> Vec<String> {
        self.statements.take()
    }

    /// The names of all tables and indexes.
    pub(crate) fn tables(&self) -> Vec<String> {
        self.names("type <> 'view'")
    }

    /// The names of all views.
    pub(crate) fn views(&self) -> Vec<String> {
        self.names("type = 'view'")
    }

    fn names(&self, condition: &str) -> Vec<String> {
        let sql = format!("SELECT name FROM sqlite_master WHERE {condition} ORDER BY name");
        let mut select = self.connection.prepare(&sql).unwrap();
        select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// What `deleteAll` does: everything is gone.
    pub(crate) fn wipe(&self) {
        self.drop_tables(|_| true);
        for view in self.views() {
            self.run(&format!("DROP VIEW \"{view}\""));
        }
    }

    /// Drops the tables of which this is true.
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
        if self.refused.borrow().iter().any(|beginning| sql.starts_with(beginning)) {
            return Err(DatabaseError::new("refused"));
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
    /// What the platform does by itself; it cannot be refused.
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

/// The expression that the tests read of each event.
pub(crate) const TEXT: &str = "json || '|' || coalesce(meta, '') || '|' || coalesce(extra, '')";

/// A replayed event.
#[derive(Debug, PartialEq)]
pub(crate) struct Replayed {
    pub(crate) id: u64,
    pub(crate) text: String,
    pub(crate) audience: Option<String>,
}

/// Everything that a replay yields, and how many steps it took.
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

/// The ids that someone who resumes from there gets, and the id of the gap.
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

/// Opens the log as an instance does that remembers nothing.
pub(crate) fn open_at(db: &TestDatabase, retention: Retention, now_us: u64) -> Log {
    let mut log = Log::open(db, PREFIX, retention).unwrap();
    log.go_on(db, now_us, super::Memory::default());
    log
}

pub(crate) fn event(json: &str) -> Record<'_> {
    Record { json, meta: None, extra: None, audience: None }
}

/// Appends an event and returns its id.
pub(crate) fn append(log: &mut Log, db: &TestDatabase, now_us: u64) -> u64 {
    log.append(db, now_us, &event("{}")).unwrap().as_micros()
}
