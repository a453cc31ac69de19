//! Values as complete bodies, for HTTP and for other Workers.

use std::borrow::Cow;

use crate::{
    SerializeError, Serialized, Value,
    deserialize_error::DeserializeError,
    frame::{Form, push_body, read_form, write_form},
    parse::{parse, parse_body},
    ser::serialize,
};

/// The content type of a body without files.
const JSON: &str = "application/json";
/// The content type of a body with files.
const FORM: &str = "multipart/form-data";

/// Removes a byte order mark, as JavaScript's `Request.text()` and thereby oRPC's server do.
pub(crate) fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body)
}

/// The body of an HTTP message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpBody {
    /// The value of the `content-type` header.
    pub content_type: Cow<'static, str>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Value {
    /// Parses plain JSON, with or without a byte order mark.
    ///
    /// # Errors
    /// The bytes are not JSON in UTF-8, or the value is nested deeper than 127 levels.
    pub fn from_json(json: &[u8]) -> Result<Self, DeserializeError> {
        let text = str::from_utf8(without_bom(json))
            .map_err(|_| DeserializeError::Unreadable("the body must be UTF-8"))?;
        parse(Some(text), None)
    }

    /// Parses oRPC's serialized form, `{"json":…,"meta":…}`, with or without a byte order mark. An empty body is
    /// undefined.
    ///
    /// # Errors
    /// The body is not a valid serialized value.
    pub fn from_serialized(body: &[u8]) -> Result<Self, DeserializeError> {
        parse_body(without_bom(body))
    }

    /// Parses the body of a request by its content type. An empty body is undefined, regardless of its type.
    ///
    /// # Errors
    /// The body is not valid for its content type, or the type is not supported.
    pub fn from_http(content_type: Option<&str>, body: &[u8]) -> Result<Self, DeserializeError> {
        let is = |wanted: &str| {
            let start = content_type.and_then(|given| given.get(..wanted.len()));
            start.is_some_and(|start| start.eq_ignore_ascii_case(wanted))
        };
        if is(FORM) {
            return read_form(content_type.unwrap_or_default(), body);
        }
        let text = without_bom(body);
        if text.is_empty() || content_type.is_none() || is(JSON) {
            return parse_body(text);
        }
        Err(DeserializeError::Unreadable("content type must be application/json or multipart/form-data"))
    }

    /// Returns the JSON form of the value, in which a Date is a string and undefined is `null`.
    ///
    /// # Errors
    /// The value is nested deeper than 127 levels.
    pub fn to_json(&self) -> Result<String, SerializeError> {
        Ok(serialize(self)?.json.unwrap_or_else(|| "null".into()))
    }
}

impl Serialized {
    /// Returns the text `{"json":…,"meta":…}`; for undefined, `{}`.
    pub fn to_body(&self) -> String {
        let mut body = String::new();
        push_body(&mut body, self);
        body
    }

    /// Returns the HTTP body: JSON, or a form if there are files.
    pub fn into_http(self) -> HttpBody {
        if self.blobs.is_empty() {
            return HttpBody { content_type: Cow::Borrowed(JSON), bytes: self.to_body().into_bytes() };
        }
        let Form { content_type, bytes } = write_form(&self);
        HttpBody { content_type: Cow::Owned(content_type), bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Blob,
        arbitrary::any_value,
        loss::{after_form, after_json},
    };
    use proptest::prelude::*;

    #[test]
    fn a_body_is_read_by_its_content_type() {
        let read = |content_type, body: &str| Value::from_http(content_type, body.as_bytes());
        let json = read(Some("application/json; charset=utf-8"), r#"{"json":"x"}"#);
        assert_eq!(json, Ok(Value::String("x".into())));
        assert_eq!(read(None, r#"{"json":"x"}"#), json);
        assert_eq!(read(Some("APPLICATION/JSON"), r#"{"json":"x"}"#), json);
        assert!(read(Some("text/plain"), r#"{"json":"x"}"#).is_err());
        assert!(read(Some("application/json"), "{").is_err());
        assert!(read(Some("multipart/form-data"), "").is_err(), "the boundary is missing");
    }

    #[test]
    fn a_byte_order_mark_is_removed() {
        let one = Value::from(1);
        assert_eq!(Value::from_http(None, b"\xef\xbb\xbf{\"json\":1}"), Ok(one.clone()));
        assert_eq!(Value::from_http(Some("application/json"), b"\xef\xbb\xbf"), Ok(Value::Undefined));
        assert_eq!(Value::from_json(b"\xef\xbb\xbf1").unwrap(), one);
        assert_eq!(Value::from_serialized(b"\xef\xbb\xbf{\"json\":1}").unwrap(), one);
        assert!(Value::from_json(b"\xef\xbb\xbf\xef\xbb\xbf1").is_err(), "only one");
    }

    #[test]
    fn an_empty_body_of_any_type_is_undefined() {
        for content_type in [None, Some("application/json"), Some("text/plain;charset=UTF-8")] {
            assert_eq!(Value::from_http(content_type, b""), Ok(Value::Undefined));
        }
    }

    #[test]
    fn a_file_round_trips_as_a_form() {
        let value = Value::from(Blob::new(vec![0, 0xFF]).name("a.bin").content_type("x/y"));
        let HttpBody { content_type, bytes } = serialize(&value).unwrap().into_http();
        assert!(content_type.starts_with("multipart/form-data; boundary="));
        assert_eq!(Value::from_http(Some(&content_type), &bytes), Ok(value));
        assert!(Value::from_http(Some(&content_type), &bytes[1..]).is_err());
    }

    #[test]
    fn a_response_without_files_is_json() {
        let body = serialize(&1).unwrap().into_http();
        assert_eq!((&*body.content_type, body.bytes.as_slice()), ("application/json", &br#"{"json":1}"#[..]));
        assert_eq!(Serialized::default().into_http().bytes, b"{}");
    }

    proptest! {
        #[test]
        fn every_value_round_trips_over_http(value in any_value()) {
            let HttpBody { content_type, bytes } = serialize(&value).unwrap().into_http();
            let is_form = content_type.starts_with("multipart");
            let kept = if is_form { after_form(value) } else { after_json(value) };
            prop_assert_eq!(Value::from_http(Some(&content_type), &bytes), Ok(kept));
        }
    }
}
