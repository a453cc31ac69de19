//! `undefined`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::tag;

/// JavaScript's `undefined`. An object's property with this value is omitted; an array's item is kept.
///
/// A missing property and null are read as undefined, too.
///
/// ```
/// use durable_event_wire::{Undefined, Value, to_value};
/// assert_eq!(to_value(&Undefined)?, Value::Undefined);
/// assert_eq!(to_value(&())?, Value::Null);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Undefined;

impl Serialize for Undefined {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(tag::UNDEFINED, &())
    }
}

impl<'de> Deserialize<'de> for Undefined {
    /// Deserializes as an option, because serde fills in no other type for a missing property.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UndefinedVisitor;

        impl<'de> de::Visitor<'de> for UndefinedVisitor {
            type Value = Undefined;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("undefined")
            }

            fn visit_none<E: de::Error>(self) -> Result<Undefined, E> {
                Ok(Undefined)
            }

            fn visit_unit<E: de::Error>(self) -> Result<Undefined, E> {
                Ok(Undefined)
            }
        }

        deserializer.deserialize_option(UndefinedVisitor)
    }
}
