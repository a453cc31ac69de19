//! The form in which SQL statements and rows cross between JavaScript and WebAssembly.

use durable_event_log::{Cell, Param};
use durable_event_wire::{Value, parse};

/// A statement and its parameters in the form in which they cross into JavaScript: one text that contains all texts, and their
/// lengths. One call per text would take longer than running the statement.
pub(super) struct Statement {
    /// The SQL, followed by the text parameters.
    pub(super) texts: String,
    /// The length of the SQL, then two numbers for each parameter: its kind, and its number or length. Lengths are in UTF-16 code
    /// units. The length of the last text is infinite, so that it need not be counted.
    pub(super) layout: Vec<f64>,
}

impl Statement {
    pub(super) fn new(sql: &str, params: &[Param<'_>]) -> Self {
        /// The kinds of parameters, as in `hot.js`.
        const NULL: f64 = 0.0;
        const NUMBER: f64 = 1.0;
        const TEXT: f64 = 2.0;

        let mut texts = String::with_capacity(params.iter().fold(sql.len(), |sum, param| match param {
            Param::Text(text) => sum.saturating_add(text.len()),
            Param::Null | Param::Number(_) => sum,
        }));
        texts.push_str(sql);
        let mut layout = Vec::with_capacity(params.len().saturating_mul(2).saturating_add(1));
        layout.push(sql.len() as f64); // the log's SQL is ASCII
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

/// Returns the length of a text in UTF-16 code units, as in JavaScript.
fn utf16_len(text: &str) -> f64 {
    (if text.is_ascii() { text.len() } else { text.encode_utf16().count() }) as f64
}

/// Reads rows from a JSON text. Returns `None` if the text is not an array of arrays.
pub(super) fn rows_of(json: &str) -> Option<Vec<Vec<Cell>>> {
    let Ok(Value::Array(rows)) = parse(Some(json), None) else { return None };
    let cells = |row| match row {
        Value::Array(cells) => Some(cells.into_iter().map(cell_of).collect()),
        _ => None,
    };
    rows.into_iter().map(cells).collect()
}

/// Converts a value of a row. Other values than numbers and texts become NULL: no statement of the log reads bytes.
fn cell_of(value: Value) -> Cell {
    match value {
        Value::Number(number) => Cell::Number(number.as_f64()),
        Value::String(text) => Cell::Text(text),
        _ => Cell::Null,
    }
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

    /// Reads a statement as `open` of `hot.js` does: the SQL and its parameters, cut out of UTF-16.
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
        fn a_statement_is_read_as_it_was_written(params in vec(prop_oneof![
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
    fn rows_contain_numbers_texts_and_null() {
        let rows = rows_of(r#"[[1,"\u00e4",null],[9007199254740991,{},""]]"#).unwrap();
        assert_eq!(rows[0], [Cell::Number(1.0), Cell::Text("ä".to_owned()), Cell::Null]);
        assert_eq!(rows[1], [Cell::Number(9_007_199_254_740_991.0), Cell::Null, Cell::Text(String::new())]);
        for text in ["", "{}", "[1]", "[[1]"] {
            assert!(rows_of(text).is_none(), "{text}");
        }
    }
}
