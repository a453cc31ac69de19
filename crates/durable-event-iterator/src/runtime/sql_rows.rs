//! The rows of an SQL query of the application.

use worker::SqlStorageValue;

/// The rows of a query.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SqlRows {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<SqlStorageValue>>,
}

impl SqlRows {
    /// Creates the result of a query, for test kits. Each row has one value per column.
    #[must_use]
    pub fn new(columns: Vec<String>, rows: Vec<Vec<SqlStorageValue>>) -> Self {
        Self { columns, rows }
    }
}
