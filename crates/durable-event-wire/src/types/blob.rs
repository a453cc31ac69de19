//! Files.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, EnumAccess, Visitor},
    ser::SerializeStruct,
};

use crate::{Value, handover, tag};

/// JavaScript's `Blob`, or `File`, if it has a name. Events cannot hold one; inputs, outputs and errors can.
///
/// ```
/// use durable_event_wire::Blob;
/// let file = Blob::new(b"hello".to_vec()).content_type("text/plain").name("hello.txt");
/// assert_eq!((file.bytes(), file.get_content_type(), file.get_name()), (&b"hello"[..], "text/plain", Some("hello.txt")));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Blob {
    bytes: Vec<u8>,
    /// Most values are no blobs: what one has besides its bytes must not make each of them larger.
    about: Option<Box<About>>,
}

#[derive(Clone, PartialEq, Eq, Hash, Default)]
struct About {
    content_type: String,
    name: Option<String>,
}

impl Blob {
    /// Bytes of no type and without a name.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::Blob::new(vec![1, 2]).bytes(), [1, 2]);
    /// ```
    #[must_use]
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, about: None }
    }

    /// Sets the media type. As in JavaScript, one with characters beyond printable ASCII counts as none.
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
        // One without a type and without a name is equal to one that never had any.
        if !content_type.is_empty() || self.about.is_some() {
            self.about.get_or_insert_default().content_type = content_type;
        }
        if self.about.as_deref() == Some(&About::default()) {
            self.about = None;
        }
        self
    }

    /// Makes it a file of this name.
    ///
    /// ```
    /// use durable_event_wire::Blob;
    /// assert_eq!(Blob::new(vec![]).name("a.txt").get_name(), Some("a.txt"));
    /// ```
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.about.get_or_insert_default().name = Some(name.into());
        self
    }

    /// The bytes.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::Blob::new(vec![1]).bytes(), [1]);
    /// ```
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, without copying them.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::Blob::new(vec![1]).into_bytes(), [1]);
    /// ```
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The media type; empty if there is none.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::Blob::new(vec![]).get_content_type(), "");
    /// ```
    #[must_use]
    pub fn get_content_type(&self) -> &str {
        self.about.as_ref().map_or("", |about| &about.content_type)
    }

    /// The file's name.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::Blob::new(vec![]).get_name(), None);
    /// ```
    #[must_use]
    pub fn get_name(&self) -> Option<&str> {
        self.about.as_ref()?.name.as_deref()
    }
}

/// Not the bytes: a log has no use for them.
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

    /// Our own deserializer: the blob itself lies ready.
    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Blob, A::Error> {
        match handover::take_value() {
            Some(Value::Blob(blob)) => Ok(blob),
            _ => Err(de::Error::custom("expected a Blob")),
        }
    }

    /// Another format.
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
    fn a_type_that_is_none_counts_as_none() {
        assert_eq!(Blob::new(vec![]).content_type("text/plain\r\nx-injected: 1").get_content_type(), "");
    }

    #[test]
    fn no_type_is_the_same_as_an_empty_one() {
        assert_eq!(Blob::new(vec![1]).content_type(""), Blob::new(vec![1]));
        assert_eq!(Blob::new(vec![1]).content_type("a/b").content_type("ä"), Blob::new(vec![1]));
    }

    #[test]
    fn other_formats_see_its_parts() {
        let blob = Blob::new(vec![1]).content_type("a/b").name("c");
        let text = serde_json::to_string(&blob).unwrap();
        assert_eq!(text, r#"{"bytes":[1],"contentType":"a/b","name":"c"}"#);
        assert_eq!(serde_json::from_str::<Blob>(&text).unwrap(), blob);
    }
}
