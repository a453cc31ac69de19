//! The object's storage: its SQLite database and its one alarm.

use super::JsError;
use durable_event_log::{Cell, Database, DatabaseError, Param};
use durable_event_wire::{Value, parse};
use std::cell::OnceCell;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/runtime/hot.js")]
extern "C" {
    #[wasm_bindgen(js_name = Storage)]
    type JsStorage;

    #[wasm_bindgen(constructor, js_class = "Storage", catch)]
    fn construct(ctx: &JsValue) -> Result<JsStorage, JsValue>;

    #[wasm_bindgen(method, catch, js_class = "Storage", js_name = run)]
    fn run_js(this: &JsStorage, texts: &str, layout: &[f64]) -> Result<Option<String>, JsValue>;

    #[wasm_bindgen(method, catch, js_class = "Storage", js_name = open)]
    fn open_js(this: &JsStorage, texts: &str, layout: &[f64]) -> Result<JsValue, JsValue>;

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

/// What happens to the storage, by whoever's code. Levels are the transactions that are open, by their numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StorageEvent {
    /// A transaction has begun, which may be within another one.
    Begun,
    /// A synchronous one has been committed.
    Committed(u32),
    /// A synchronous one has been rolled back.
    RolledBack(u32),
    /// An asynchronous one has been rolled back, and its code goes on outside of it.
    TakenBack(u32),
    /// An asynchronous one has ended without an error: it was committed, unless it had been taken back.
    Settled(u32),
    /// An asynchronous one has ended with an error.
    Failed(u32),
    /// Everything is about to be deleted.
    Deleting,
    /// Everything has been deleted, if that has not failed.
    Deleted,
}

impl StorageEvent {
    /// The numbers of `hot.js`.
    fn read(what: u8, level: u32) -> Option<Self> {
        Some(match what {
            0 => Self::Begun,
            1 => Self::Committed(level),
            2 => Self::RolledBack(level),
            3 => Self::TakenBack(level),
            4 => Self::Settled(level),
            5 => Self::Failed(level),
            6 => Self::Deleting,
            7 => Self::Deleted,
            _ => return None,
        })
    }
}

/// What `ctx.storage` holds.
pub(crate) struct Storage {
    js: JsStorage,
    /// Held for as long as JavaScript may call it.
    listener: OnceCell<Closure<Listener>>,
}

impl Storage {
    /// The storage of the object whose `ctx` this is.
    pub(crate) fn new(ctx: &JsValue) -> Result<Self, JsError> {
        Ok(Self { js: JsStorage::construct(ctx)?, listener: OnceCell::new() })
    }

    /// Calls `listener` whenever something happens to the storage. For [`StorageEvent::Begun`] it returns the level's number.
    pub(crate) fn listen(&self, listener: impl Fn(StorageEvent) -> u32 + 'static) {
        let closure =
            Closure::<Listener>::new(move |what, level| StorageEvent::read(what, level).map_or(0, &listener));
        self.js.listen_js(self.listener.get_or_init(|| closure));
    }

    /// Runs `work` in a transaction of the application's: when it answers false, nothing that it wrote remains.
    pub(crate) fn transaction(&self, work: &mut dyn FnMut() -> bool) -> Result<(), DatabaseError> {
        self.js.transaction_js(&mut || work()).map_err(failure)
    }

    /// Deletes everything, the log's epoch too.
    pub(crate) async fn delete_all(&self) -> Result<(), JsError> {
        self.js.delete_all_js().await.map(drop).map_err(JsError::from)
    }

    /// A cursor for [`super::Hub::replay`], which reads it to its end.
    pub(crate) fn open(&self, sql: &str, params: &[Param<'_>]) -> Result<JsValue, DatabaseError> {
        let Statement { texts, layout } = Statement::new(sql, params);
        self.js.open_js(&texts, &layout).map_err(failure)
    }

    /// Sets the alarm for this time, in milliseconds since the epoch, unless one is set already.
    pub(crate) async fn ensure_alarm(&self, at_ms: u64) -> Result<(), JsError> {
        self.js.ensure_alarm_js(at_ms as f64).await.map(drop).map_err(JsError::from)
    }
}

impl Database for Storage {
    fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Vec<Cell>>, DatabaseError> {
        let Statement { texts, layout } = Statement::new(sql, params);
        match self.js.run_js(&texts, &layout).map_err(failure)? {
            None => Ok(Vec::new()),
            Some(rows) => rows_of(&rows).ok_or_else(|| DatabaseError::new("the rows are no rows")),
        }
    }

    fn atomically(&self, work: &mut dyn FnMut() -> bool) -> Result<(), DatabaseError> {
        self.js.atomically_js(&mut || work()).map_err(failure)
    }
}

/// A statement and its parameters as they cross into JavaScript: all texts as one, and where each begins and ends. A call
/// for each would take longer than running the statement.
struct Statement {
    /// The SQL, followed by the parameters that are texts.
    texts: String,
    /// The length of the SQL, and for each parameter its kind, and its number or its length. Lengths are in UTF-16; that of
    /// the last text is infinite, which spares counting it.
    layout: Vec<f64>,
}

impl Statement {
    fn new(sql: &str, params: &[Param<'_>]) -> Self {
        /// The kinds of `hot.js`.
        const NULL: f64 = 0.0;
        const NUMBER: f64 = 1.0;
        const TEXT: f64 = 2.0;

        let mut texts = String::with_capacity(params.iter().fold(sql.len(), |sum, param| match param {
            Param::Text(text) => sum.saturating_add(text.len()),
            Param::Null | Param::Number(_) => sum,
        }));
        texts.push_str(sql);
        let mut layout = Vec::with_capacity(params.len().saturating_mul(2).saturating_add(1));
        layout.push(sql.len() as f64); // the log's names are ASCII too
        let last = params.iter().rposition(|param| matches!(param, Param::Text(_)));
        for (n, param) in params.iter().enumerate() {
            layout.extend(match param {
                Param::Null => [NULL, 0.0],
                Param::Number(number) => [NUMBER, *number],
                Param::Text(text) => {
                    texts.push_str(text);
                    [TEXT, if Some(n) == last { f64::INFINITY } else { utf16_len(text) }]
                }
            });
        }
        Self { texts, layout }
    }
}

/// How long a text is in JavaScript.
fn utf16_len(text: &str) -> f64 {
    (if text.is_ascii() { text.len() } else { text.encode_utf16().count() }) as f64
}

/// The rows of a JSON text.
fn rows_of(json: &str) -> Option<Vec<Vec<Cell>>> {
    let Ok(Value::Array(rows)) = parse(Some(json), None) else { return None };
    let cells = |row| match row {
        Value::Array(cells) => Some(cells.into_iter().map(cell_of).collect()),
        _ => None,
    };
    rows.into_iter().map(cells).collect()
}

/// Bytes count as NULL: no statement of ours reads any.
fn cell_of(value: Value) -> Cell {
    match value {
        Value::Number(number) => Cell::Number(number.as_f64()),
        Value::String(text) => Cell::Text(text),
        _ => Cell::Null,
    }
}

fn failure(thrown: JsValue) -> DatabaseError {
    DatabaseError::new(JsError::from(thrown).to_string())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[derive(Clone, Debug)]
    enum Owned {
        Null,
        Number(f64),
        Text(String),
    }

    /// What `open` of `hot.js` makes of a statement: the SQL and its parameters, cut out of UTF-16.
    fn read(Statement { texts, layout }: Statement) -> (String, Vec<Owned>) {
        let texts: Vec<u16> = texts.encode_utf16().collect();
        let cut = |from: f64, to: f64| {
            let to = (to as usize).min(texts.len());
            String::from_utf16(&texts[from as usize..to]).expect("a text is cut between characters")
        };
        let mut end = layout[0];
        let params = layout[1..].chunks_exact(2).map(|param| match param[0] {
            0.0 => Owned::Null,
            1.0 => Owned::Number(param[1]),
            _ => {
                let start = end;
                end += param[1];
                Owned::Text(cut(start, end))
            }
        });
        (cut(0.0, layout[0]), params.collect())
    }

    proptest! {
        #[test]
        fn a_statement_arrives_as_it_was(params in vec(prop_oneof![
            Just(Owned::Null),
            any::<f64>().prop_map(Owned::Number),
            any::<String>().prop_map(Owned::Text),
            "[a-z]{0,9}".prop_map(Owned::Text),
        ], 0..8)) {
            let borrowed: Vec<_> = params.iter().map(|param| match param {
                Owned::Null => Param::Null,
                Owned::Number(number) => Param::Number(*number),
                Owned::Text(text) => Param::Text(text),
            }).collect();
            let (sql, read) = read(Statement::new("SELECT ?1", &borrowed));
            prop_assert_eq!(sql, "SELECT ?1");
            prop_assert_eq!(format!("{read:?}"), format!("{params:?}"));
        }
    }

    #[test]
    fn rows_are_numbers_texts_and_null() {
        let rows = rows_of(r#"[[1,"\u00e4",null],[9007199254740991,{},""]]"#).unwrap();
        assert_eq!(rows[0], [Cell::Number(1.0), Cell::Text("ä".to_owned()), Cell::Null]);
        assert_eq!(rows[1], [Cell::Number(9_007_199_254_740_991.0), Cell::Null, Cell::Text(String::new())]);
        for text in ["", "{}", "[1]", "[[1]"] {
            assert!(rows_of(text).is_none(), "{text}");
        }
    }
}
