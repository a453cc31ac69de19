//! Reading the small objects of the protocol. A derived `Deserialize` says the same in a few lines, but each makes a Worker
//! about two kilobytes larger, and the first of them twelve.

use super::{InvalidInput, Issue, Object, Value};

/// An object's properties.
pub(crate) fn object(value: Value) -> Result<Object, InvalidInput> {
    match value {
        Value::Object(object) => Ok(object),
        other => Err(expected("an object", &other)),
    }
}

/// A property that must be there.
pub(crate) fn required<T>(
    object: &mut Object,
    key: &str,
    read: impl FnOnce(Value) -> Result<T, InvalidInput>,
) -> Result<T, InvalidInput> {
    let value = object.remove(key).ok_or_else(|| InvalidInput::from(Issue::new("missing").at(key)))?;
    read(value).map_err(|error| error.within(key))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::from_value;
    use serde::Deserialize;

    /// What a derived `Deserialize` would make of the same.
    #[derive(Deserialize, PartialEq, Debug)]
    #[serde(deny_unknown_fields)]
    struct Derived {
        name: String,
        list: Option<Vec<String>>,
        flag: Option<bool>,
    }

    fn by_hand(value: Value) -> Result<Derived, InvalidInput> {
        let mut fields = object(value)?;
        let read = Derived {
            name: required(&mut fields, "name", string)?,
            list: optional(&mut fields, "list", strings)?,
            flag: optional(&mut fields, "flag", boolean)?,
        };
        nothing_else(&fields, "name, list, flag")?;
        Ok(read)
    }

    #[test]
    fn it_reads_and_refuses_as_a_derived_one_does() {
        for json in [
            r#"{"name":"a"}"#,
            r#"{"name":"a","list":["x","y"],"flag":true}"#,
            r#"{"name":"a","list":null,"flag":null}"#,
            r#"{"name":"a","list":[]}"#,
            r#"{"name":null}"#,
            r#"{"name":1}"#,
            "{}",
            r#"{"name":"a","list":["x",1]}"#,
            r#"{"name":"a","list":"x"}"#,
            r#"{"name":"a","flag":0}"#,
            r#"{"name":"a","other":0}"#,
            "[]",
            "null",
            "7",
        ] {
            let value = crate::wire::parse(Some(json), None).unwrap();
            assert_eq!(by_hand(value.clone()), from_value(value), "{json}");
        }
    }
}
