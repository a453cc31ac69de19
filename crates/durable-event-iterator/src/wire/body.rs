//! Values as whole texts: of HTTP bodies, and of other Workers.

use super::{
    Serialized, Value,
    frame::push_body,
    parse::{parse, parse_body},
    ser::serialize,
};
use crate::error::{Code, Error, Result};

impl Value {
    /// Reads plain JSON.
    ///
    /// # Errors
    /// BAD_REQUEST for what is no JSON, or nested deeper than 127 levels.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let text = str::from_utf8(json).map_err(|_| Error::new(Code::BadRequest).message("Not in UTF-8."))?;
        Ok(parse(Some(text), None)?)
    }

    /// Reads oRPC's serialized form, `{"json":…,"meta":…}`. Nothing at all is undefined.
    ///
    /// # Errors
    /// BAD_REQUEST for what is none, or nested deeper than 127 levels.
    pub fn from_serialized(body: &[u8]) -> Result<Self> {
        Ok(parse_body(body)?)
    }

    /// Its JSON form, in which a Date is a string and undefined is `null`.
    ///
    /// # Errors
    /// BAD_REQUEST for a value nested deeper than 127 levels.
    pub fn to_json(&self) -> Result<String> {
        Ok(serialize(self)?.json.unwrap_or_else(|| "null".into()))
    }
}

impl Serialized {
    /// The text `{"json":…,"meta":…}`; of undefined `{}`.
    pub(crate) fn to_body(&self) -> String {
        let mut body = String::new();
        push_body(&mut body, self);
        body
    }
}
