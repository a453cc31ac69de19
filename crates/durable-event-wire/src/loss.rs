//! The lossy conversions of the wire, for tests that compare sent and received values.

use super::{Blob, Object, Value};

/// Returns the value after a round trip as JSON: undefined properties are omitted, and infinities become null.
pub(crate) fn after_json(value: Value) -> Value {
    map(value, &|value| match value {
        Value::Number(number) if number.as_f64().is_infinite() => Value::Null,
        other => other,
    })
}

/// Returns the value after a round trip as a form, in which every file has a name and a type.
pub(crate) fn after_form(value: Value) -> Value {
    map(after_json(value), &|value| match value {
        Value::Blob(blob) => {
            let name = blob.get_name().unwrap_or("blob").to_owned();
            let kind = match blob.get_content_type() {
                "" => "application/octet-stream",
                kind => kind.trim(),
            };
            let kind = kind.to_owned();
            Value::Blob(Blob::new(blob.into_bytes()).name(name).content_type(kind))
        }
        other => other,
    })
}

/// Applies `change` to all values that are not containers, and omits undefined properties.
fn map(value: Value, change: &impl Fn(Value) -> Value) -> Value {
    let each = |items: Vec<Value>| items.into_iter().map(|item| map(item, change)).collect();
    match value {
        Value::Object(object) => Value::Object(
            object
                .into_iter()
                .filter(|(_, value)| *value != Value::Undefined)
                .map(|(key, value)| (key, map(value, change)))
                .collect::<Object>(),
        ),
        Value::Array(items) => Value::Array(each(items)),
        Value::Set(items) => Value::Set(each(items)),
        Value::Map(pairs) => {
            let pair = |(key, value)| (map(key, change), map(value, change));
            Value::Map(pairs.into_iter().map(pair).collect())
        }
        Value::Custom(number, content) => Value::Custom(number, Box::new(map(*content, change))),
        other => change(other),
    }
}
