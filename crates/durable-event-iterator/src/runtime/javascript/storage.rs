//! The storage of a Durable Object: its SQLite database and its alarm.

use crate::runtime::{
    Context, Cursor, JsError, SqlRows, StorageEvent,
    statement::{Statement, rows_of},
};
use durable_event_log::{Cell, Database, DatabaseError, Param};
use js_sys::Array;
use std::cell::OnceCell;
use wasm_bindgen::prelude::*;
use worker::SqlStorageValue;

#[wasm_bindgen(module = "/src/runtime/hot.js")]
extern "C" {
    #[wasm_bindgen(js_name = Storage)]
    type JsStorage;

    #[wasm_bindgen(constructor, js_class = "Storage", catch)]
    fn construct(ctx: &JsValue) -> Result<JsStorage, JsValue>;

    #[wasm_bindgen(method, catch, js_class = "Storage", js_name = run)]
    fn run_js(this: &JsStorage, texts: &str, layout: &[f64]) -> Result<Option<String>, JsValue>;

    #[wasm_bindgen(method, catch, js_class = "Storage", js_name = size)]
    fn size_js(this: &JsStorage) -> Result<f64, JsValue>;

    #[wasm_bindgen(method, catch, js_class = "Storage", js_name = open)]
    fn open_js(this: &JsStorage, texts: &str, layout: &[f64]) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_class = "Storage", js_name = exec)]
    fn exec_js(this: &JsStorage, query: &str, bindings: Array) -> Result<Array, JsValue>;

    #[wasm_bindgen(method, catch, js_class = "Storage", js_name = atomically)]
    fn atomically_js(this: &JsStorage, work: &mut dyn FnMut() -> bool) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_class = "Storage", js_name = transaction)]
    fn transaction_js(this: &JsStorage, work: &mut dyn FnMut() -> bool) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_class = "Storage", js_name = deleteAll)]
    async fn delete_all_js(this: &JsStorage) -> Result<JsValue, JsValue>;

    // Cannot throw.
    #[wasm_bindgen(method, js_class = "Storage", js_name = listen)]
    fn listen_js(this: &JsStorage, listener: &Closure<Listener>);

    #[wasm_bindgen(method, catch, js_class = "Storage", js_name = ensureAlarm)]
    async fn ensure_alarm_js(this: &JsStorage, at: f64) -> Result<JsValue, JsValue>;
}

/// Receives the numbers of a [`StorageEvent`] and of a level, and returns the number of a level that has begun.
type Listener = dyn Fn(u8, u32) -> u32;

/// Converts the number and level that `hot.js` reports.
fn event_of(what: u8, level: u32) -> Option<StorageEvent> {
    Some(match what {
        0 => StorageEvent::Begun,
        1 => StorageEvent::Committed(level),
        2 => StorageEvent::RolledBack(level),
        3 => StorageEvent::TakenBack(level),
        4 => StorageEvent::Settled(level),
        5 => StorageEvent::Failed(level),
        6 => StorageEvent::Deleting,
        7 => StorageEvent::Deleted,
        _ => return None,
    })
}

/// The storage behind `ctx.storage`.
pub(crate) struct Storage {
    js: JsStorage,
    /// Kept alive while JavaScript may call it.
    listener: OnceCell<Closure<Listener>>,
}

impl Storage {
    /// Creates the storage from the `ctx` of the Durable Object.
    pub(crate) fn new(ctx: &Context) -> Result<Self, JsError> {
        Ok(Self { js: JsStorage::construct(ctx.as_ref())?, listener: OnceCell::new() })
    }

    /// Calls `listener` for each event of the storage. For [`StorageEvent::Begun`] it returns the level's number.
    pub(crate) fn listen(&self, listener: impl Fn(StorageEvent) -> u32 + 'static) {
        let closure = Closure::<Listener>::new(move |what, level| event_of(what, level).map_or(0, &listener));
        self.js.listen_js(self.listener.get_or_init(|| closure));
    }

    /// Runs `work` in a transaction like the application's own, which is rolled back if `work` returns false.
    pub(crate) fn transaction(&self, work: &mut dyn FnMut() -> bool) -> Result<(), DatabaseError> {
        self.js.transaction_js(&mut || work()).map_err(failure)
    }

    /// Deletes everything, including the log's epoch.
    pub(crate) async fn delete_all(&self) -> Result<(), JsError> {
        self.js.delete_all_js().await.map(drop).map_err(JsError::from)
    }

    /// Returns the size of the database in bytes.
    pub(crate) fn size(&self) -> Result<u64, DatabaseError> {
        self.js.size_js().map(|bytes| bytes as u64).map_err(failure)
    }

    /// Runs a statement and returns a cursor for [`super::Hub::replay`], which reads it to its end.
    pub(crate) fn open(&self, sql: &str, params: &[Param<'_>]) -> Result<Cursor, DatabaseError> {
        let Statement { texts, layout } = Statement::new(sql, params);
        self.js.open_js(&texts, &layout).map_err(failure)
    }

    /// Executes SQL of the application.
    pub(crate) fn exec(&self, query: &str, bindings: Vec<SqlStorageValue>) -> Result<SqlRows, DatabaseError> {
        let bindings = bindings.into_iter().map(JsValue::from).collect();
        let rows = self.js.exec_js(query, bindings).map_err(failure)?;
        let mut rows = rows.iter().map(JsValue::unchecked_into::<Array>);
        let columns = rows.next().into_iter().flat_map(|names| names.to_vec());
        Ok(SqlRows {
            columns: columns.map(|name| name.as_string().unwrap_or_default()).collect(),
            rows: rows.map(|row| row.iter().map(cell_of).collect()).collect::<Result<_, _>>()?,
        })
    }

    /// Sets the alarm unless one is set. `at_ms` is in milliseconds since 1970.
    pub(crate) async fn ensure_alarm(&self, at_ms: u64) -> Result<(), JsError> {
        self.js.ensure_alarm_js(at_ms as f64).await.map(drop).map_err(JsError::from)
    }
}

impl Database for Storage {
    fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Vec<Cell>>, DatabaseError> {
        let Statement { texts, layout } = Statement::new(sql, params);
        match self.js.run_js(&texts, &layout).map_err(failure)? {
            None => Ok(Vec::new()),
            Some(rows) => {
                rows_of(&rows).ok_or_else(|| DatabaseError::new("expected rows as an array of arrays"))
            }
        }
    }

    fn atomically(&self, work: &mut dyn FnMut() -> bool) -> Result<(), DatabaseError> {
        self.js.atomically_js(&mut || work()).map_err(failure)
    }
}

fn cell_of(value: JsValue) -> Result<SqlStorageValue, DatabaseError> {
    SqlStorageValue::try_from(value).map_err(|error| DatabaseError::new(error.to_string()))
}

fn failure(thrown: JsValue) -> DatabaseError {
    DatabaseError::new(JsError::from(thrown).to_string())
}
