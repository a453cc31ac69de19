//! Files.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, EnumAccess, Visitor},
    ser::SerializeStruct,
};

use crate::{Value, tag, value::handover};

/// JavaScript's `Blob`, or `File` if it has a name. Inputs, outputs and errors can contain blobs; events cannot.
///
/// ```
/// use durable_event_wire::Blob;
/// let file = Blob::new(b"hello".to_vec()).content_type("text/plain").name("hello.txt");
/// assert_eq!(file.bytes(), b"hello");
/// assert_eq!((file.get_content_type(), file.get_name()), ("text/plain", Some("hello.txt")));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Blob {
    bytes: Vec<u8>,
    /// Boxed, so that the rare metadata of blobs does not make every value larger.
    metadata: Option<Box<Metadata>>,
}

#[derive(Clone, PartialEq, Eq, Hash, Default)]
struct Metadata {
    content_type: String,
    name: Option<String>,
}

impl Blob {
    /// Creates a blob without a media type and a name.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::Blob::new(vec![1, 2]).bytes(), [1, 2]);
    /// ```
    #[must_use]
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, metadata: None }
    }

    /// Sets the media type. As in JavaScript, a type with characters other than printable ASCII becomes empty.
    ///
    /// ```
    /// use durable_event_wire::Blob;
    /// assert_eq!(Blob::new(vec![]).content_type("text/plain").get_content_type(), "text/plain");
    /// ```
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        let content_type = content_type.into();
        let is_printable = content_type.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let content_type = if is_printable { content_type } else { String::new() };
        // A blob whose type was cleared equals a blob that never had a type.
        if !content_type.is_empty() || self.metadata.is_some() {
            self.metadata.get_or_insert_default().content_type = content_type;
        }
        if self.metadata.as_deref() == Some(&Metadata::default()) {
            self.metadata = None;
        }
        self
    }

    /// Sets the file name.
    ///
    /// ```
    /// use durable_event_wire::Blob;
    /// assert_eq!(Blob::new(vec![]).name("a.txt").get_name(), Some("a.txt"));
    /// ```
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.metadata.get_or_insert_default().name = Some(name.into());
        self
    }

    /// Returns the bytes.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::Blob::new(vec![1]).bytes(), [1]);
    /// ```
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the bytes without copying them.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::Blob::new(vec![1]).into_bytes(), [1]);
    /// ```
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns the media type, or an empty string.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::Blob::new(vec![]).get_content_type(), "");
    /// ```
    #[must_use]
    pub fn get_content_type(&self) -> &str {
        self.metadata.as_ref().map_or("", |metadata| &metadata.content_type)
    }

    /// Returns the file name.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::Blob::new(vec![]).get_name(), None);
    /// ```
    #[must_use]
    pub fn get_name(&self) -> Option<&str> {
        self.metadata.as_ref()?.name.as_deref()
    }
}

/// Formats the size instead of the bytes.
impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob")
            .field("size", &self.bytes.len())
            .field("content_type", &self.get_content_type())
            .field("name", &self.get_name())
            .finish()
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(tag::BLOB, &Content(self))
    }
}

struct Content<'a>(&'a Blob);

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if handover::offer_blob(self.0) {
            return serializer.serialize_unit();
        }
        let mut fields = serializer.serialize_struct("Blob", 3)?;
        fields.serialize_field("bytes", &self.0.bytes)?;
        fields.serialize_field("contentType", self.0.get_content_type())?;
        fields.serialize_field("name", &self.0.get_name())?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(tag::BLOB, BlobVisitor)
    }
}

struct BlobVisitor;

impl<'de> Visitor<'de> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Blob")
    }

    /// Called by this crate's deserializer, which hands over the blob directly.
    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Blob, A::Error> {
        match handover::take_value() {
            Some(Value::Blob(blob)) => Ok(blob),
            _ => Err(de::Error::custom("expected a Blob")),
        }
    }

    /// Called by other formats.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Blob, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Fields {
            bytes: Vec<u8>,
            content_type: String,
            name: Option<String>,
        }
        let Fields { bytes, content_type, name } = Fields::deserialize(deserializer)?;
        let blob = Blob::new(bytes).content_type(content_type);
        Ok(match name {
            Some(name) => blob.name(name),
            None => blob,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_type_becomes_empty() {
        assert_eq!(Blob::new(vec![]).content_type("text/plain\r\nx-injected: 1").get_content_type(), "");
    }

    #[test]
    fn an_empty_type_equals_no_type() {
        assert_eq!(Blob::new(vec![1]).content_type(""), Blob::new(vec![1]));
        assert_eq!(Blob::new(vec![1]).content_type("a/b").content_type("ä"), Blob::new(vec![1]));
    }

    #[test]
    fn other_formats_receive_its_fields() {
        let blob = Blob::new(vec![1]).content_type("a/b").name("c");
        let text = serde_json::to_string(&blob).unwrap();
        assert_eq!(text, r#"{"bytes":[1],"contentType":"a/b","name":"c"}"#);
        assert_eq!(serde_json::from_str::<Blob>(&text).unwrap(), blob);
    }
}
