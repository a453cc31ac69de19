//! Segments of a path.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

use crate::wire::Value;

/// A step from a container to what it holds. It is a text or a number, and borrows from the JSON where it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment<'a> {
    Key(Cow<'a, str>),
    Index(usize),
}

impl Segment<'_> {
    /// What it leads to: own properties and items alone, never what JavaScript finds by a prototype.
    pub(crate) fn child_of<'v>(&self, container: &'v mut Value) -> Option<&'v mut Value> {
        match (container, self) {
            (Value::Object(object), Self::Key(key)) => object.get_mut(key),
            (Value::Array(items), Self::Index(index)) => items.get_mut(*index),
            _ => None,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Segment<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SegmentVisitor;

        impl<'de> Visitor<'de> for SegmentVisitor {
            type Value = Segment<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an index")
            }

            fn visit_u64<E: de::Error>(self, index: u64) -> Result<Segment<'de>, E> {
                usize::try_from(index).map(Segment::Index).map_err(E::custom)
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Segment<'de>, E> {
                Ok(Segment::Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Segment<'de>, E> {
                Ok(Segment::Key(Cow::Owned(key.to_owned())))
            }
        }

        deserializer.deserialize_any(SegmentVisitor)
    }
}
