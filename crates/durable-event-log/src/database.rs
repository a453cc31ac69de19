//! The interface to the SQLite database.

use std::fmt;

/// A SQLite database that runs one statement at a time.
pub trait Database {
    /// Runs one statement and returns all of its rows.
    ///
    /// Implementations must read the cursor to its end: in the Workers runtime an unfinished cursor keeps its table
    /// locked.
    ///
    /// # Errors
    /// The statement fails.
    fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Vec<Cell>>, DatabaseError>;

    /// Runs `work` in a transaction. Rolls back if `work` returns false.
    ///
    /// # Errors
    /// The transaction cannot begin or end. It is rolled back in that case.
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

/// A bound parameter of a statement.
///
/// There is no integer variant because JavaScript numbers bind as REAL. SQLite converts integral values back in
/// columns of INTEGER affinity, which is exact below 2^53.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Param<'a> {
    /// NULL.
    Null,
    /// A number.
    Number(f64),
    /// A text.
    Text(&'a str),
}

impl<'a> Param<'a> {
    /// Returns a text parameter, or NULL for `None`.
    #[must_use]
    pub fn optional(text: Option<&'a str>) -> Self {
        text.map_or(Param::Null, Param::Text)
    }
}

/// A value in a result row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// An integer or a float.
    Number(f64),
    /// A text.
    Text(String),
}

/// The error of a failed statement. Its message is meant for logs and must not be sent to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseError {
    message: String,
}

impl DatabaseError {
    /// Creates an error with the database's message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DatabaseError {}
