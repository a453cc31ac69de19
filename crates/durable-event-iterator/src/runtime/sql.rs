//! The object's SQLite database.

use super::JsError;
use crate::log::{Cell, Database, DatabaseError, Param};
use js_sys::Array;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/runtime/hot.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = run)]
    fn run_js(sql: &JsValue, text: &str, params: &Array) -> Result<Array, JsValue>;

    #[wasm_bindgen(catch, js_name = open)]
    fn open_js(sql: &JsValue, text: &str, params: &Array) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = atomically)]
    fn atomically_js(storage: &JsValue, work: &mut dyn FnMut() -> bool) -> Result<(), JsValue>;
}

/// `ctx.storage.sql`, and the storage that it is of.
pub(crate) struct Sql {
    sql: JsValue,
    storage: JsValue,
}

impl Sql {
    pub(crate) fn new(sql: JsValue, storage: JsValue) -> Self {
        Self { sql, storage }
    }

    /// A cursor for [`super::Hub::replay`], which reads it to its end.
    pub(crate) fn open(&self, text: &str, params: &[Param<'_>]) -> Result<JsValue, DatabaseError> {
        open_js(&self.sql, text, &bindings(params)).map_err(failure)
    }
}

impl Database for Sql {
    fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Vec<Cell>>, DatabaseError> {
        let rows = run_js(&self.sql, sql, &bindings(params)).map_err(failure)?;
        Ok(rows
            .iter()
            .map(|row| row.unchecked_into::<Array>().iter().map(|cell| cell_of(&cell)).collect())
            .collect())
    }

    fn atomically(&self, work: &mut dyn FnMut() -> bool) -> Result<(), DatabaseError> {
        atomically_js(&self.storage, &mut || work()).map_err(failure)
    }
}

fn bindings(params: &[Param<'_>]) -> Array {
    params
        .iter()
        .map(|param| match param {
            Param::Null => JsValue::NULL,
            Param::Number(number) => JsValue::from_f64(*number),
            Param::Text(text) => JsValue::from_str(text),
        })
        .collect()
}

fn cell_of(cell: &JsValue) -> Cell {
    match (cell.as_f64(), cell.as_string()) {
        (Some(number), _) => Cell::Number(number),
        (None, Some(text)) => Cell::Text(text),
        (None, None) => Cell::Null,
    }
}

fn failure(thrown: JsValue) -> DatabaseError {
    DatabaseError::new(JsError::from(thrown).to_string())
}
