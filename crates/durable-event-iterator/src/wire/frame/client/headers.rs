//! Headers of a call.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use super::raw::Text;

/// A call's headers, each with one value or several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Headers<'a>(Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>);

impl Headers<'_> {
    /// The first value of a header, whatever the case of its name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, values) = self.0.iter().find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        values.first().map(|value| &**value)
    }

    /// The headers on their own, names in lower case.
    pub(crate) fn into_map(self) -> BTreeMap<String, Vec<String>> {
        let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, values) in self.0 {
            map.entry(name.to_ascii_lowercase()).or_default().extend(values.into_iter().map(Cow::into_owned));
        }
        map
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Headers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeadersVisitor;

        impl<'de> Visitor<'de> for HeadersVisitor {
            type Value = Headers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("headers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Headers<'de>, A::Error> {
                let mut headers = Vec::new();
                while let Some((Text(name), Values(values))) = entries.next_entry()? {
                    headers.push((name, values));
                }
                Ok(Headers(headers))
            }
        }

        deserializer.deserialize_map(HeadersVisitor)
    }
}

struct Values<'a>(Vec<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Values<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValuesVisitor;

        impl<'de> Visitor<'de> for ValuesVisitor {
            type Value = Values<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or strings")
            }

            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Values<'de>, E> {
                Ok(Values(vec![Cow::Borrowed(value)]))
            }

            fn visit_str<E>(self, value: &str) -> Result<Values<'de>, E> {
                Ok(Values(vec![Cow::Owned(value.to_owned())]))
            }

            fn visit_unit<E>(self) -> Result<Values<'de>, E> {
                Ok(Values(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Values<'de>, A::Error> {
                let mut values = Vec::new();
                while let Some(Text(value)) = items.next_element()? {
                    values.push(value);
                }
                Ok(Values(values))
            }
        }

        deserializer.deserialize_any(ValuesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_one_value_or_several() {
        let text = r#"{"Last-Event-ID":"1","x":["a","b"],"y":[],"z":null}"#;
        let headers: Headers<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(headers.get("last-event-id"), Some("1"));
        assert_eq!(headers.get("x"), Some("a"));
        assert_eq!((headers.get("y"), headers.get("z"), headers.get("w")), (None, None, None));
        let map = headers.into_map();
        assert_eq!(map["last-event-id"], ["1"]);
        assert_eq!(map["x"], ["a", "b"]);
    }
}
