//! The interface to SQLite.

use std::fmt;

/// A SQLite database that runs one statement at a time.
pub trait Database {
    /// Runs `sql` to its end and returns its rows.
    ///
    /// Read the cursor to its end: in the Workers runtime a half-read cursor keeps its table locked.
    ///
    /// # Errors
    /// The statement fails.
    fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Vec<Cell>>, DatabaseError>;

    /// Runs `work` in a transaction, which is rolled back if `work` returns false.
    ///
    /// # Errors
    ///
    /// The transaction cannot begin or end. It is rolled back then.
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
pub enum Param<'a> {
    /// NULL.
    Null,
    /// A number.
    Number(f64),
    /// A text.
    Text(&'a str),
}

impl<'a> Param<'a> {
    /// A text; `None` is NULL.
    #[must_use]
    pub fn optional(text: Option<&'a str>) -> Self {
        text.map_or(Param::Null, Param::Text)
    }
}

/// A value that a statement returned.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// An integer or a float.
    Number(f64),
    /// A text.
    Text(String),
}

/// A statement failed. The message is for logs, never for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseError {
    message: String,
}

impl DatabaseError {
    /// An error with the database's own message.
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
