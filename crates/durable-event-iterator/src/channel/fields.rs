//! Reading the properties of an object of options.

use durable_event_wire::{InvalidInput, Issue, Object, Value};

/// An object's properties.
pub(crate) fn object(value: Value) -> Result<Object, InvalidInput> {
    match value {
        Value::Object(object) => Ok(object),
        other => Err(expected("an object", &other)),
    }
}

/// A property that may be undefined or null, which is as if it were missing.
pub(crate) fn optional<T>(
    object: &mut Object,
    key: &str,
    read: impl FnOnce(Value) -> Result<T, InvalidInput>,
) -> Result<Option<T>, InvalidInput> {
    match object.remove(key) {
        None | Some(Value::Undefined | Value::Null) => Ok(None),
        Some(value) => read(value).map(Some).map_err(|error| error.within(key)),
    }
}

/// There is no property that has not been taken: an object of options whose names are all known.
pub(crate) fn nothing_else(object: &Object, known: &str) -> Result<(), InvalidInput> {
    object.keys().next().map_or(Ok(()), |unknown| {
        Err(Issue::new(format!("unknown property, expected one of {known}")).at(unknown).into())
    })
}

/// A string.
pub(crate) fn string(value: Value) -> Result<String, InvalidInput> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(expected("a string", &other)),
    }
}

/// An array of strings.
pub(crate) fn strings(value: Value) -> Result<Vec<String>, InvalidInput> {
    let Value::Array(items) = value else { return Err(expected("an array", &value)) };
    let mut strings = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        strings.push(string(item).map_err(|error| error.within(at))?);
    }
    Ok(strings)
}

/// A boolean.
pub(crate) fn boolean(value: Value) -> Result<bool, InvalidInput> {
    match value {
        Value::Bool(value) => Ok(value),
        other => Err(expected("a boolean", &other)),
    }
}

fn expected(what: &str, found: &Value) -> InvalidInput {
    Issue::new(format!("expected {what}, found {}", found.kind())).into()
}
