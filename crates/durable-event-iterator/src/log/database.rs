//! What the log needs of SQLite: one call that runs one statement to its end.

use std::fmt;

/// A SQLite database that runs one statement at a time.
pub(crate) trait Database {
    /// Runs `sql` to its end and returns its rows.
    ///
    /// Every statement of the log is complete when this returns: on the platform, a cursor that is left half-read keeps
    /// its table locked.
    fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Vec<Cell>>, DatabaseError>;

    /// Runs `work` in a transaction: when it answers false, nothing that it wrote remains.
    ///
    /// # Errors
    ///
    /// When the transaction cannot begin or end. Nothing that `work` wrote remains then either.
    fn atomically(&self, work: &mut dyn FnMut() -> bool) -> Result<(), DatabaseError>;
}

impl<D: Database + ?Sized> Database for &D {
    fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Vec<Cell>>, DatabaseError> {
        (**self).execute(sql, params)
    }

    fn atomically(&self, work: &mut dyn FnMut() -> bool) -> Result<(), DatabaseError> {
        (**self).atomically(work)
    }
}

/// A value that goes into a statement.
///
/// There is no integer: JavaScript numbers bind as REAL. Columns of INTEGER affinity turn whole ones back, which is exact
/// below 2^53.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Param<'a> {
    Null,
    Number(f64),
    Text(&'a str),
}

impl<'a> Param<'a> {
    /// A text, or NULL where there is none.
    pub(crate) fn optional(text: Option<&'a str>) -> Self {
        text.map_or(Param::Null, Param::Text)
    }
}

/// A value that a statement returned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Number(f64),
    Text(String),
}

/// What the database said when it refused a statement. For logs, never for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatabaseError {
    message: String,
}

impl DatabaseError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DatabaseError {}
