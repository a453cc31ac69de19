//! A frame's JSON, read in one pass. What it means is decided afterwards: the type may come after the payload.
//!
//! By hand and not derived, since a derived struct takes arrays for objects, and null for nothing.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Headers, StreamEvent};
use crate::wire::{StreamEventKind, parse::Envelope};

pub(super) struct RawFrame<'a> {
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) kind: Option<u64>,
    pub(super) payload: Option<RawPayload<'a>>,
}

/// What a request and an event have.
#[derive(Default)]
pub(super) struct RawPayload<'a> {
    pub(super) url: Option<Cow<'a, str>>,
    pub(super) body: Option<RawBody<'a>>,
    pub(super) headers: Option<Headers<'a>>,
    event: Option<Cow<'a, str>>,
    data: Option<RawBody<'a>>,
}

#[derive(Default)]
pub(super) enum RawBody<'a> {
    #[default]
    None,
    Object(Envelope<'a>),
    /// No body that a procedure takes.
    Other,
}

impl<'a> RawPayload<'a> {
    pub(super) fn into_event(self) -> Option<StreamEvent<'a>> {
        let kind = match &*self.event? {
            "message" => StreamEventKind::Message,
            "error" => StreamEventKind::Error,
            "done" => StreamEventKind::Done,
            _ => return None,
        };
        let Envelope { json, meta, .. } = match self.data.unwrap_or_default() {
            RawBody::Object(envelope) => envelope,
            RawBody::None => Envelope::default(),
            RawBody::Other => return None,
        };
        Some(StreamEvent { kind, json, meta })
    }
}

/// The id of what is not a frame otherwise.
pub(super) fn id_of(frame: &str) -> Option<String> {
    struct Id(Option<String>);

    impl<'de> Deserialize<'de> for Id {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct IdVisitor;

            impl<'de> Visitor<'de> for IdVisitor {
                type Value = Id;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a frame")
                }

                fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Id, A::Error> {
                    let mut id = None;
                    while let Some(Text(key)) = entries.next_key()? {
                        if key == "i" {
                            id = text(entries.next_value()?).map(Cow::into_owned);
                        } else {
                            entries.next_value::<IgnoredAny>()?;
                        }
                    }
                    Ok(Id(id))
                }
            }

            deserializer.deserialize_map(IdVisitor)
        }
    }

    serde_json::from_str::<Id>(frame).ok()?.0
}

/// The text of a JSON string.
fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str(raw.get()).map(|Text(text)| text).ok()
}

/// A string that is borrowed where it has no escapes.
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawFrame<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FrameVisitor;

        impl<'de> Visitor<'de> for FrameVisitor {
            type Value = RawFrame<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a frame")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<RawFrame<'de>, A::Error> {
                let mut frame = RawFrame { id: None, kind: None, payload: None };
                while let Some(Text(key)) = entries.next_key()? {
                    match &*key {
                        "i" => frame.id = Some(entries.next_value::<Text<'de>>()?.0),
                        "t" => frame.kind = entries.next_value()?,
                        "p" => frame.payload = entries.next_value()?,
                        _ => drop(entries.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(frame)
            }
        }

        deserializer.deserialize_map(FrameVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawPayload<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PayloadVisitor;

        impl<'de> Visitor<'de> for PayloadVisitor {
            type Value = RawPayload<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a payload")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<RawPayload<'de>, A::Error> {
                let mut payload = RawPayload::default();
                while let Some(Text(key)) = entries.next_key()? {
                    match &*key {
                        "u" => payload.url = Some(entries.next_value::<Text<'de>>()?.0),
                        "b" => payload.body = Some(entries.next_value()?),
                        "h" => payload.headers = entries.next_value()?,
                        "e" => payload.event = Some(entries.next_value::<Text<'de>>()?.0),
                        "d" => payload.data = Some(entries.next_value()?),
                        _ => drop(entries.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(payload)
            }
        }

        deserializer.deserialize_map(PayloadVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawBody<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BodyVisitor;

        impl<'de> Visitor<'de> for BodyVisitor {
            type Value = RawBody<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a body")
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<RawBody<'de>, A::Error> {
                Envelope::deserialize(de::value::MapAccessDeserializer::new(entries)).map(RawBody::Object)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<RawBody<'de>, A::Error> {
                IgnoredAny.visit_seq(items).map(|_| RawBody::Other)
            }

            fn visit_str<E>(self, _: &str) -> Result<RawBody<'de>, E> {
                Ok(RawBody::Other)
            }

            fn visit_bool<E>(self, _: bool) -> Result<RawBody<'de>, E> {
                Ok(RawBody::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<RawBody<'de>, E> {
                Ok(RawBody::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<RawBody<'de>, E> {
                Ok(RawBody::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<RawBody<'de>, E> {
                Ok(RawBody::Other)
            }

            fn visit_unit<E>(self) -> Result<RawBody<'de>, E> {
                Ok(RawBody::Other)
            }
        }

        deserializer.deserialize_any(BodyVisitor)
    }
}
