//! What the wire does not keep, for tests that compare what was sent with what came.

use super::{Blob, Object, Value};

/// The value as it is read again after it was written: without properties that are undefined, and with null for the
/// infinities.
pub(crate) fn after_json(value: Value) -> Value {
    map(value, &|value| match value {
        Value::Number(number) if number.as_f64().is_infinite() => Value::Null,
        other => other,
    })
}

/// The same for a value with files, which travels as a form: each has a name and a type there.
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

/// Changes all that holds nothing else, and leaves properties out that are undefined.
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
