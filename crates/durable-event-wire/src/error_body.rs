//! The serialized form of an error.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{Code, Serialized, Value, serialize};

/// An error as clients receive it: `{"defined","code","status","message","data"}`, the fields and order of oRPC's
/// `ORPCError.toJSON()`.
///
/// ```
/// use durable_event_wire::{Code, ErrorBody};
///
/// let body = ErrorBody { defined: false, code: "NOT_FOUND", status: 404, message: "Not Found", data: None };
/// assert_eq!(
///     body.to_wire().json.as_deref(),
///     Some(r#"{"defined":false,"code":"NOT_FOUND","status":404,"message":"Not Found"}"#),
/// );
/// assert_eq!(ErrorBody::from(Code::NotFound), body);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErrorBody<'a> {
    /// Whether the procedure's contract declares the error (`isDefinedError` in oRPC's clients).
    pub defined: bool,
    /// The code, such as `NOT_FOUND`.
    pub code: &'a str,
    /// The HTTP status, 400 to 599.
    pub status: u16,
    /// The message for the client.
    pub message: &'a str,
    /// The data for the client, of any type that the wire supports.
    pub data: Option<&'a Value>,
}

impl ErrorBody<'_> {
    /// Returns the serialized form. Data that cannot be serialized (nested deeper than 127 levels) is omitted.
    #[must_use]
    pub fn to_wire(&self) -> Serialized {
        // Cannot fail without data.
        serialize(self).or_else(|_| serialize(&Self { data: None, ..*self })).unwrap_or_default()
    }
}

impl From<Code> for ErrorBody<'static> {
    fn from(code: Code) -> Self {
        Self {
            defined: false,
            code: code.as_str(),
            status: code.status(),
            message: code.message(),
            data: None,
        }
    }
}

impl Serialize for ErrorBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = serializer.serialize_struct("ORPCError", 5)?;
        json.serialize_field("defined", &self.defined)?;
        json.serialize_field("code", self.code)?;
        json.serialize_field("status", &self.status)?;
        json.serialize_field("message", self.message)?;
        match self.data {
            Some(data) => json.serialize_field("data", data)?,
            None => json.skip_field("data")?,
        }
        json.end()
    }
}
