//! SQL of the application.

mod row;

pub use crate::runtime::SqlRows;

use self::row::Row;
use crate::{error::Result, runtime::Storage};
use durable_event_log::DatabaseError;
use serde::de::{DeserializeOwned, Error as _};
use std::{fmt, rc::Rc};
use worker::SqlStorageValue;

/// The largest integer that a JavaScript number represents exactly together with all smaller ones.
const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;

/// The SQL database of a Durable Object, for the application's tables.
///
/// Unlike [`worker::SqlStorage`], it also runs natively, in tests with the crate `durable-event-test`, and reads all rows at once, so
/// that no unfinished cursor locks a table. The names of the library's tables start with
/// [`Options::table_prefix`](crate::Options::table_prefix).
///
/// ```
/// use durable_event_iterator::{Channel, Result};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Item {
///     id: u32,
///     text: String,
/// }
///
/// fn items(channel: &Channel<Item>, from: u32) -> Result<Vec<Item>> {
///     channel.sql().exec("SELECT id, text FROM items WHERE id >= ?", vec![f64::from(from).into()])?.to_array()
/// }
/// ```
#[derive(Clone)]
pub struct Sql(Rc<Storage>);

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sql(..)")
    }
}

impl Sql {
    pub(crate) fn new(storage: Rc<Storage>) -> Self {
        Self(storage)
    }

    /// Executes SQL and returns the rows. `bindings` are the values of the placeholders `?`.
    ///
    /// The SQL may have several statements, separated by semicolons. Only the last one may have placeholders and a RETURNING clause,
    /// the rows are those of the last one, and no comment may follow it. The Workers runtime rejects `BEGIN`, `SAVEPOINT` and
    /// `COMMIT`: use [`Channel::transaction`](crate::Channel::transaction).
    ///
    /// The Workers runtime binds numbers as REAL; a column that is declared INTEGER stores them as integers. A boolean is stored
    /// as 0 or 1.
    ///
    /// # Errors
    /// [`Error::is_storage_failure`](crate::Error::is_storage_failure) for an error of SQLite, or for an integer outside
    /// ±(2⁵³ − 1), which JavaScript numbers do not represent exactly.
    pub fn exec(&self, query: &str, bindings: impl Into<Option<Vec<SqlStorageValue>>>) -> Result<SqlRows> {
        let bindings = bindings.into().unwrap_or_default();
        let bindings = bindings.into_iter().map(bound).collect::<Result<Vec<_>, _>>()?;
        Ok(self.0.exec(query, bindings)?)
    }
}

impl SqlRows {
    /// Converts the rows to an `R` each: a struct whose fields have the names of the columns, or a tuple with the columns in their
    /// order.
    ///
    /// A `bool` is read from 0 or 1, an `Option` from NULL, and a `Vec<u8>` from bytes.
    ///
    /// # Errors
    /// A row is not an `R`.
    pub fn to_array<R: DeserializeOwned>(&self) -> Result<Vec<R>> {
        let Self { columns, rows } = self;
        Ok(rows.iter().map(|values| R::deserialize(Row { columns, values })).collect::<Result<_, _>>()?)
    }

    /// Converts the only row, as [`to_array`](Self::to_array) does.
    ///
    /// # Errors
    /// There is not exactly one row, or it is not an `R`.
    pub fn one<R: DeserializeOwned>(&self) -> Result<R> {
        let Self { columns, rows } = self;
        match rows.as_slice() {
            [values] => Ok(R::deserialize(Row { columns, values })?),
            rows => Err(row::Error::custom(format!("expected one row, got {}", rows.len())).into()),
        }
    }

    /// Returns the names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns the rows, each with one value per column.
    #[must_use]
    pub fn rows(&self) -> &[Vec<SqlStorageValue>] {
        &self.rows
    }
}

/// Converts a value to one that the Workers runtime binds without a loss.
fn bound(value: SqlStorageValue) -> Result<SqlStorageValue, DatabaseError> {
    match value {
        SqlStorageValue::Boolean(value) => Ok(SqlStorageValue::Integer(value.into())),
        SqlStorageValue::Integer(value) if !(-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).contains(&value) => {
            Err(DatabaseError::new(format!("an SQL integer must be within ±(2^53 − 1), got {value}")))
        }
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum State {
        Open,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Task {
        id: u32,
        state: State,
        done: bool,
        weight: f64,
        note: Option<String>,
        icon: Vec<u8>,
    }

    fn rows(values: &[[SqlStorageValue; 6]]) -> SqlRows {
        let columns = ["id", "state", "done", "weight", "note", "icon"].map(str::to_owned);
        SqlRows::new(columns.into(), values.iter().map(|row| row.to_vec()).collect())
    }

    fn task(note: Option<&str>) -> [SqlStorageValue; 6] {
        [7.into(), "open".into(), SqlStorageValue::Integer(1), 3.into(), note.into(), vec![1_u8].into()]
    }

    #[test]
    fn a_row_is_a_struct_or_a_tuple() {
        let expected = |note: Option<&str>| Task {
            id: 7,
            state: State::Open,
            done: true,
            weight: 3.0,
            note: note.map(str::to_owned),
            icon: vec![1],
        };
        let both = rows(&[task(None), task(Some("late"))]);
        assert_eq!(both.to_array::<Task>().unwrap(), [expected(None), expected(Some("late"))]);
        let tuples = both.to_array::<(u64, String, bool, f32, Option<String>, Vec<u8>)>().unwrap();
        assert_eq!(tuples[0], (7, "open".to_owned(), true, 3.0, None, vec![1]));
        assert_eq!(rows(&[task(None)]).one::<Task>().unwrap(), expected(None));
    }

    #[test]
    fn other_rows_are_errors() {
        let error = |result: Result<Task>| result.unwrap_err().to_string();
        assert!(error(rows(&[]).one()).contains("expected one row, got 0"));
        assert!(!rows(&[]).one::<Task>().unwrap_err().is_storage_failure());
        assert!(error(rows(&[task(None), task(None)]).one()).contains("expected one row, got 2"));
        assert!(rows(&[task(None)]).to_array::<(u32, String)>().is_err());
        for wrong in [SqlStorageValue::Null, (-1).into(), 0.5.into(), "7".into(), vec![7_u8].into()] {
            let mut row = task(None);
            row[0] = wrong.clone();
            assert!(rows(&[row]).one::<Task>().is_err(), "{wrong:?}");
        }
        assert!(SqlRows::new(vec!["id".to_owned()], vec![vec![7.into()]]).one::<Task>().is_err());
    }

    #[test]
    fn values_are_bound_without_a_loss() {
        assert_eq!(bound(true.into()).unwrap(), SqlStorageValue::Integer(1));
        for integer in [MAX_SAFE_INTEGER, -MAX_SAFE_INTEGER] {
            assert_eq!(bound(integer.into()).unwrap(), SqlStorageValue::Integer(integer));
            assert!(bound((integer * 2).into()).is_err());
        }
    }
}
