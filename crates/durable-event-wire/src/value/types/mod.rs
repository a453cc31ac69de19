//! The types of the wire that JSON does not have. This crate's serializer keeps each type; other serde formats
//! receive its JSON form.

mod bigint;
mod blob;
mod custom;
mod date;
mod map;
mod regexp;
mod set;
mod undefined;
mod url;

pub use self::{
    bigint::{BigInt, InvalidBigInt},
    blob::Blob,
    custom::Custom,
    date::{Date, InvalidDate},
    map::Map,
    regexp::{InvalidRegExp, RegExp},
    set::Set,
    undefined::Undefined,
    url::{InvalidUrl, Url},
};

/// Implements `Serialize`, `Deserialize` and `Display` for a type that wraps a validated string.
macro_rules! checked_string {
    ($type:ident, $tag:path, $expecting:literal) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_newtype_struct($tag, self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl<'de> serde::de::Visitor<'de> for Text {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_newtype_struct<D: serde::Deserializer<'de>>(
                        self,
                        deserializer: D,
                    ) -> Result<$type, D::Error> {
                        deserializer.deserialize_str(self)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }

                deserializer.deserialize_newtype_struct($tag, Text)
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
use checked_string;
