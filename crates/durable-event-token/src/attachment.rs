//! Reading a token's attachment.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::InvalidAttachment;

/// Deserializes an attachment's JSON to a `T`. A missing attachment is read as `null`, a lone surrogate as U+FFFD.
///
/// # Errors
///
/// [`InvalidAttachment`] if the JSON is invalid or not a `T`.
///
/// JavaScript issuers can write lone surrogates (`'Anna😀'.slice(0, 5)` ends with one): valid JSON, but invalid UTF-8. Events
/// and JavaScript's own encoder replace them in the same way.
pub fn read_attachment<T: DeserializeOwned>(json: Option<&str>) -> Result<T, InvalidAttachment> {
    Ok(serde_json::from_str(&replace_lone_surrogates(json.unwrap_or("null")))?)
}

/// Whether the JSON contains an escape of half a surrogate pair.
pub(super) fn has_lone_surrogate(json: &str) -> bool {
    matches!(replace_lone_surrogates(json), Cow::Owned(_))
}

/// Replaces each lone surrogate with `\ufffd`. `json` must be well-formed otherwise.
fn replace_lone_surrogates(json: &str) -> Cow<'_, str> {
    let mut replaced = String::new();
    let mut copied = 0; // `replaced` contains `json` up to here
    let mut at = 0;
    while let Some(escape) =
        json.get(at..).and_then(|rest| rest.find('\\')).map(|found| at.saturating_add(found))
    {
        let unit = unit_at(json, escape);
        let low = unit.and_then(|_| unit_at(json, escape.saturating_add(UNIT_BYTES)));
        at = escape.saturating_add(match (unit, low) {
            (Some(0xD800..0xDC00), Some(0xDC00..0xE000)) => UNIT_BYTES.saturating_mul(2),
            (Some(0xD800..0xE000), _) => {
                replaced.push_str(json.get(copied..escape).unwrap_or_default());
                replaced.push_str("\\ufffd");
                copied = escape.saturating_add(UNIT_BYTES);
                UNIT_BYTES
            }
            (Some(_), _) => UNIT_BYTES,
            (None, _) => 2, // another escape, such as `\\`
        });
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    replaced.push_str(json.get(copied..).unwrap_or_default());
    Cow::Owned(replaced)
}

/// Length of an escape such as `\ud83d`, in bytes.
const UNIT_BYTES: usize = 6;

/// Returns the UTF-16 unit whose escape starts at `at`.
fn unit_at(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at.checked_add(UNIT_BYTES)?)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use durable_event_wire::Value;

    #[test]
    fn lone_surrogates_read_as_the_replacement_character() {
        for (json, text) in [
            (r#""Anna\ud83d""#, "Anna\u{fffd}"),
            (r#""\uD83Dx""#, "\u{fffd}x"),
            (r#""\ude00\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\\ud83d \\\ud83d""#, "\\ud83d \\\u{fffd}"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
            (r#""\u00e4é""#, "äé"),
        ] {
            assert_eq!(read_attachment::<String>(Some(json)).unwrap(), text, "{json}");
        }
        let keys =
            read_attachment::<std::collections::BTreeMap<String, u8>>(Some(r#"{"\ud800":1}"#)).unwrap();
        assert_eq!(keys.get("\u{fffd}"), Some(&1));
    }

    #[test]
    fn text_without_lone_surrogates_is_not_copied() {
        for json in [r#""\ud83d\ude00""#, r#"{"a":"\\ud83d"}"#, "null", "\"é漢😀\""] {
            assert!(!has_lone_surrogate(json), "{json}");
        }
    }

    proptest! {
        #[test]
        fn attachments_and_events_replace_the_same_surrogates(units in prop::collection::vec(0xD700_u16..0xE100, 0..12)) {
            let mut json = String::from("\"");
            for unit in units {
                json.push_str(&format!("\\u{unit:04x}"));
            }
            json.push('"');
            let text: String = read_attachment(Some(&json)).unwrap();
            prop_assert_eq!(durable_event_wire::parse(Some(&json), None).unwrap(), Value::String(text));
        }
    }
}
