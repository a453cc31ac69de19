//! SQLite in memory.

use durable_event_iterator::{
    SqlRows, SqlStorageValue,
    native::{Cell, Database, DatabaseError, ObjectDatabase, Param},
};
use rusqlite::{
    Batch, Connection, Statement,
    fallible_iterator::FallibleIterator as _,
    hooks::{AuthAction, AuthContext, Authorization},
    params_from_iter,
    types::{ToSqlOutput, Value, ValueRef},
};
use std::{
    cell::OnceCell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The largest integer that a JavaScript number represents exactly together with all smaller ones.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// The names that the Workers runtime reserves for itself begin with this.
const RESERVED_PREFIX: &str = "_cf_";

/// The pragmas that the Workers runtime allows, as measured with workerd 1.20261117.1.
const PRAGMAS: [&str; 19] = [
    "case_sensitive_like",
    "data_version",
    "defer_foreign_keys",
    "foreign_key_check",
    "foreign_key_list",
    "foreign_keys",
    "ignore_check_constraints",
    "index_info",
    "index_list",
    "index_xinfo",
    "legacy_alter_table",
    "optimize",
    "page_size",
    "quick_check",
    "recursive_triggers",
    "reverse_unordered_selects",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// A SQLite database in memory. It binds parameters as the Workers runtime does: every number is REAL. SQL of the application that
/// the Workers runtime rejects is rejected too: transactions, most pragmas, temporary tables, attached databases, and names that begin
/// with `_cf_`.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    /// Whether the SQL that is being prepared is the application's.
    is_restricted: Arc<AtomicBool>,
}

impl Sqlite {
    /// Opens an empty database.
    ///
    /// # Errors
    /// SQLite cannot allocate the database.
    pub fn in_memory() -> Result<Self, DatabaseError> {
        let mut connection = Connection::open_in_memory().map_err(failure)?;
        let is_restricted = Arc::<AtomicBool>::default();
        let flag = Arc::clone(&is_restricted);
        let authorize = move |AuthContext { action, .. }: AuthContext<'_>| {
            if flag.load(Ordering::Relaxed) && is_forbidden(action) {
                Authorization::Deny
            } else {
                Authorization::Allow
            }
        };
        connection.authorizer(Some(authorize)).map_err(failure)?;
        Ok(Self { connection, is_restricted })
    }

    fn run(&self, sql: &str, params: &[Param<'_>]) -> rusqlite::Result<Vec<Vec<Cell>>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let columns = statement.column_count();
        let values = params.iter().map(|param| match param {
            Param::Null => ToSqlOutput::Owned(Value::Null),
            Param::Number(number) => ToSqlOutput::Owned(Value::Real(*number)),
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

    /// Executes each statement. As in the Workers runtime, only the last one may have placeholders or a RETURNING clause.
    fn run_all(&self, query: &str, bindings: &[SqlStorageValue]) -> Result<SqlRows, DatabaseError> {
        let mut batch = Batch::new(&self.connection, query);
        // Prepares the same statements, and then the one after a statement that must be the last one.
        let mut ahead = Batch::new(&self.connection, query);
        let mut last = None;
        while let Some(mut statement) = batch.next().map_err(failure)? {
            ahead.next().map_err(failure)?;
            let count = statement.parameter_count();
            let is_returning = !statement.readonly() && statement.column_count() > 0;
            // The next statement may need the effects of this one: an error means that there is a next one.
            if (count > 0 || is_returning) && !matches!(ahead.next(), Ok(None)) {
                let reason = "only the last of several SQL statements may have placeholders or RETURNING";
                return Err(DatabaseError::new(reason));
            }
            let bindings = if count == 0 { &[] } else { expect(count, bindings)? };
            last = Some((count, rows_of(&mut statement, bindings).map_err(failure)?));
        }
        let (count, rows) = last.ok_or_else(|| DatabaseError::new("SQL must contain a statement"))?;
        expect(count, bindings)?;
        Ok(rows)
    }
}

/// Returns the bindings if there is one for each placeholder.
fn expect(count: usize, bindings: &[SqlStorageValue]) -> Result<&[SqlStorageValue], DatabaseError> {
    if count == bindings.len() {
        return Ok(bindings);
    }
    Err(DatabaseError::new(format!("expected {count} values for placeholders, got {}", bindings.len())))
}

/// Whether the Workers runtime rejects an action of the application's SQL.
fn is_forbidden(action: AuthAction<'_>) -> bool {
    match action {
        AuthAction::Transaction { .. }
        | AuthAction::Savepoint { .. }
        | AuthAction::Attach { .. }
        | AuthAction::Detach { .. }
        | AuthAction::CreateTempIndex { .. }
        | AuthAction::CreateTempTable { .. }
        | AuthAction::CreateTempTrigger { .. }
        | AuthAction::CreateTempView { .. } => true,
        AuthAction::Pragma { pragma_name, .. } => !PRAGMAS.contains(&pragma_name),
        AuthAction::CreateTable { table_name: name }
        | AuthAction::CreateView { view_name: name }
        | AuthAction::CreateVtable { table_name: name, .. } => name.starts_with(RESERVED_PREFIX),
        _ => false,
    }
}

impl ObjectDatabase for Sqlite {
    fn exec(&self, query: &str, bindings: &[SqlStorageValue]) -> Result<SqlRows, DatabaseError> {
        self.is_restricted.store(true, Ordering::Relaxed);
        let rows = self.run_all(query, bindings);
        self.is_restricted.store(false, Ordering::Relaxed);
        rows
    }
}

fn rows_of(statement: &mut Statement<'_>, bindings: &[SqlStorageValue]) -> rusqlite::Result<SqlRows> {
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let width = columns.len();
    let rows = statement
        .query_map(params_from_iter(bindings.iter().map(output_of)), |row| {
            (0..width).map(|column| row.get_ref(column).map(value_of)).collect()
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(SqlRows::new(columns, rows))
}

/// Binds numbers as REAL.
fn output_of(value: &SqlStorageValue) -> ToSqlOutput<'_> {
    match value {
        SqlStorageValue::Null => ToSqlOutput::Owned(Value::Null),
        SqlStorageValue::Boolean(value) => ToSqlOutput::Owned(Value::Real(f64::from(*value))),
        SqlStorageValue::Integer(value) => ToSqlOutput::Owned(Value::Real(*value as f64)),
        SqlStorageValue::Float(value) => ToSqlOutput::Owned(Value::Real(*value)),
        SqlStorageValue::String(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
        SqlStorageValue::Blob(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value)),
    }
}

/// Converts a value to what a number of JavaScript makes of it.
fn value_of(value: ValueRef<'_>) -> SqlStorageValue {
    match value {
        ValueRef::Null => SqlStorageValue::Null,
        ValueRef::Integer(value) => number_of(value as f64),
        ValueRef::Real(value) => number_of(value),
        ValueRef::Text(value) => SqlStorageValue::String(String::from_utf8_lossy(value).into_owned()),
        ValueRef::Blob(value) => SqlStorageValue::Blob(value.to_vec()),
    }
}

fn number_of(value: f64) -> SqlStorageValue {
    if value.fract() == 0.0 && value.abs() <= MAX_SAFE_INTEGER {
        SqlStorageValue::Integer(value as i64)
    } else {
        SqlStorageValue::Float(value)
    }
}

impl Database for Sqlite {
    fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Vec<Cell>>, DatabaseError> {
        self.run(sql, params).map_err(failure)
    }

    fn atomically(&self, work: &mut dyn FnMut() -> bool) -> Result<(), DatabaseError> {
        let batch = |sql| self.connection.execute_batch(sql).map_err(failure);
        batch("SAVEPOINT work")?;
        let ended = if work() { batch("RELEASE work") } else { batch("ROLLBACK TO work; RELEASE work") };
        ended.inspect_err(|_| drop(batch("ROLLBACK TO work; RELEASE work")))
    }
}

/// A database that its first statement opens, since opening one takes longer than the rest of most tests.
#[derive(Debug, Default)]
pub(crate) struct LazySqlite(OnceCell<Sqlite>);

impl LazySqlite {
    fn get(&self) -> Result<&Sqlite, DatabaseError> {
        match self.0.get() {
            Some(database) => Ok(database),
            None => {
                let database = Sqlite::in_memory()?;
                Ok(self.0.get_or_init(|| database))
            }
        }
    }
}

impl ObjectDatabase for LazySqlite {
    fn exec(&self, query: &str, bindings: &[SqlStorageValue]) -> Result<SqlRows, DatabaseError> {
        self.get()?.exec(query, bindings)
    }
}

impl Database for LazySqlite {
    fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Vec<Cell>>, DatabaseError> {
        self.get()?.execute(sql, params)
    }

    fn atomically(&self, work: &mut dyn FnMut() -> bool) -> Result<(), DatabaseError> {
        self.get()?.atomically(work)
    }
}

fn failure(error: rusqlite::Error) -> DatabaseError {
    DatabaseError::new(error.to_string())
}
