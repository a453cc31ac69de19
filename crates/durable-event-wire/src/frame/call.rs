//! The input of `/call`.

use std::fmt;

use super::Body;
use crate::{DeserializeError, InvalidInput, Issue, Value, from_value, json::read_members};
use serde::Deserialize;

/// The input of `/call`: `{ path, input }`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CallInput {
    /// The path of the procedure, such as `["router", "ping"]`. It has at least one name.
    pub path: Vec<String>,
    /// The input of the procedure.
    #[serde(default)]
    pub input: Value,
}

/// The error of an invalid input of `/call`.
#[derive(Debug, Clone, PartialEq)]
pub enum InvalidCall {
    /// The body is not a valid serialized value.
    Malformed(DeserializeError),
    /// The value is not an object with a path.
    Invalid(InvalidInput),
}

impl fmt::Display for InvalidCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::Invalid(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for InvalidCall {}

impl CallInput {
    /// Converts a value to a call input.
    ///
    /// # Errors
    /// The value is not an object, or `path` is not a list of at least one string.
    pub fn from_value(value: Value) -> Result<Self, InvalidInput> {
        let call: Self = from_value(value)?;
        if call.path.is_empty() {
            return Err(Issue::new("expected a procedure name").at("path").at(0).into());
        }
        Ok(call)
    }

    /// Parses a plain body in one pass, without an intermediate object. Returns `None` if the body has other members
    /// or is invalid; it then needs the general path.
    fn read_plain(json: &str) -> Option<Self> {
        let mut call = Self { path: Vec::new(), input: Value::Undefined };
        let mut is_plain = true;
        read_members(json, &mut |reader, key| {
            match key {
                "path" => call.path = reader.texts()?,
                "input" => call.input = reader.value()?,
                _ => {
                    is_plain = false;
                    reader.raw()?;
                }
            }
            Ok::<_, DeserializeError>(())
        })
        .ok()?;
        (is_plain && !call.path.is_empty()).then_some(call)
    }
}

impl Body<'_> {
    /// Parses the input of `/call`.
    ///
    /// # Errors
    /// The body is not a valid serialized value, or the value is not an object with a path.
    pub fn into_call(self) -> Result<CallInput, InvalidCall> {
        if let Self::Json { json: Some(json), meta: None } = self
            && let Some(call) = CallInput::read_plain(json)
        {
            return Ok(call);
        }
        CallInput::from_value(self.into_value().map_err(InvalidCall::Malformed)?)
            .map_err(InvalidCall::Invalid)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Generates texts of which many are valid or almost valid bodies.
    fn body() -> impl Strategy<Value = String> {
        let value = prop_oneof![
            Just(r#"["ping"]"#.to_owned()),
            Just(r#"["a","b\u0063"]"#.to_owned()),
            Just(r#"["\ud800"]"#.to_owned()),
            Just(r#"[1,{"path":[]}]"#.to_owned()),
            Just("[]".to_owned()),
            Just("null".to_owned()),
            (120_usize..130).prop_map(|depth| "[".repeat(depth) + &"]".repeat(depth)),
            any::<f64>()
                .prop_filter("finite", |number| number.is_finite())
                .prop_map(|number| number.to_string()),
        ];
        let key =
            prop_oneof![4 => Just("path"), 3 => Just("input"), 1 => Just("pat\\u0068"), 1 => Just("other")];
        let member = (key, value).prop_map(|(key, value)| format!(r#" "{key}" :{value}"#));
        proptest::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(",")))
    }

    proptest! {
        #[test]
        fn a_plain_body_is_parsed_like_any_other(json in prop_oneof![9 => body(), 1 => any::<String>()]) {
            let body = || Body::Json { json: Some(&json), meta: None };
            let in_general = body()
                .into_value()
                .map_err(InvalidCall::Malformed)
                .and_then(|value| CallInput::from_value(value).map_err(InvalidCall::Invalid));
            prop_assert_eq!(body().into_call(), in_general);
        }
    }

    #[test]
    fn a_body_without_other_members_is_plain() {
        let ping = CallInput::read_plain(r#"{"path":["ping"]}"#).unwrap();
        assert_eq!(ping, CallInput { path: vec!["ping".to_owned()], input: Value::Undefined });
        assert!(CallInput::read_plain(r#"{"path":["ping"],"more":1}"#).is_none());
    }
}
