//! Custom (application-defined) types.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, EnumAccess, VariantAccess, Visitor},
};

use crate::{tag, value::serialize_custom};

/// A custom type with its type number (`customJsonSerializers` of oRPC's client and server). `T` is the value that
/// the type's serializer returns. oRPC reserves the numbers up to 20.
///
/// ```
/// use durable_event_wire::{Custom, Value, from_value, to_value};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct UserData { name: String }
/// type User = Custom<UserData, 21>;
///
/// let value = to_value(&Custom::<_, 21>(UserData { name: "Ann".into() }))?;
/// assert!(matches!(value, Value::Custom(21, _)));
/// let user: User = from_value(value)?;
/// assert_eq!(user.0.name, "Ann");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Custom<T, const TYPE: u32>(pub T);

impl<T: Serialize, const TYPE: u32> Serialize for Custom<T, TYPE> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_custom(TYPE, &self.0, serializer)
    }
}

impl<'de, T: Deserialize<'de>, const TYPE: u32> Deserialize<'de> for Custom<T, TYPE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(tag::CUSTOM, CustomVisitor(PhantomData))
    }
}

struct CustomVisitor<T, const TYPE: u32>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const TYPE: u32> Visitor<'de> for CustomVisitor<T, TYPE> {
    type Value = Custom<T, TYPE>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the custom type {TYPE}")
    }

    /// Called by this crate's deserializer: the variant is the type number.
    fn visit_enum<A: EnumAccess<'de>>(self, custom: A) -> Result<Self::Value, A::Error> {
        let (number, content) = custom.variant::<u32>()?;
        if number != TYPE {
            return Err(de::Error::custom(format_args!("expected the custom type {TYPE}, found {number}")));
        }
        content.newtype_variant().map(Custom)
    }

    /// Called by other formats.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        T::deserialize(deserializer).map(Custom)
    }
}

/// Deserializes the content of a newtype struct with this name.
pub(super) fn content<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    name: &'static str,
    deserializer: D,
) -> Result<T, D::Error> {
    struct Content<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Content<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a Set or a Map")
        }

        fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
            T::deserialize(deserializer)
        }
    }

    deserializer.deserialize_newtype_struct(name, Content(PhantomData))
}
