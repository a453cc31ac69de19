//! Newtype struct names by which this crate's types identify themselves to its serializer and deserializer. All other
//! formats ignore these names.

/// The prefix of all names.
const PREFIX: &str = "$durable-event-iterator::";

/// The type identified by a newtype struct name. The numbers are those of oRPC's serializer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    /// A built-in type of oRPC. Its content is its JSON form.
    BuiltIn(u32),
    Undefined,
    Blob,
    /// Any value.
    Value,
    /// One decimal digit of a custom type's number. Names are static and numbers are not, so a number is encoded as
    /// nested newtype structs, most significant digit first.
    CustomDigit(u8),
    /// The content of a custom type, nested within its digits.
    Custom,
}

pub(crate) const BIGINT_TYPE: u32 = 0;
pub(crate) const DATE_TYPE: u32 = 1;
pub(crate) const NAN_TYPE: u32 = 2;
pub(crate) const UNDEFINED_TYPE: u32 = 3;
pub(crate) const URL_TYPE: u32 = 4;
pub(crate) const REGEXP_TYPE: u32 = 5;
pub(crate) const SET_TYPE: u32 = 6;
pub(crate) const MAP_TYPE: u32 = 7;

pub(crate) const BIGINT: &str = "$durable-event-iterator::BigInt";
pub(crate) const DATE: &str = "$durable-event-iterator::Date";
pub(crate) const UNDEFINED: &str = "$durable-event-iterator::Undefined";
pub(crate) const URL: &str = "$durable-event-iterator::Url";
pub(crate) const REGEXP: &str = "$durable-event-iterator::RegExp";
pub(crate) const SET: &str = "$durable-event-iterator::Set";
pub(crate) const MAP: &str = "$durable-event-iterator::Map";
pub(crate) const BLOB: &str = "$durable-event-iterator::Blob";
pub(crate) const VALUE: &str = "$durable-event-iterator::Value";
pub(crate) const CUSTOM: &str = "$durable-event-iterator::Custom";

const CUSTOM_DIGITS: [&str; 10] = [
    "$durable-event-iterator::0",
    "$durable-event-iterator::1",
    "$durable-event-iterator::2",
    "$durable-event-iterator::3",
    "$durable-event-iterator::4",
    "$durable-event-iterator::5",
    "$durable-event-iterator::6",
    "$durable-event-iterator::7",
    "$durable-event-iterator::8",
    "$durable-event-iterator::9",
];

/// Returns the type identified by a newtype struct name, or `None` for other names.
pub(crate) fn tag_of(name: &str) -> Option<Tag> {
    Some(match name.strip_prefix(PREFIX)? {
        "BigInt" => Tag::BuiltIn(BIGINT_TYPE),
        "Date" => Tag::BuiltIn(DATE_TYPE),
        "Url" => Tag::BuiltIn(URL_TYPE),
        "RegExp" => Tag::BuiltIn(REGEXP_TYPE),
        "Set" => Tag::BuiltIn(SET_TYPE),
        "Map" => Tag::BuiltIn(MAP_TYPE),
        "Undefined" => Tag::Undefined,
        "Blob" => Tag::Blob,
        "Value" => Tag::Value,
        "Custom" => Tag::Custom,
        digit => Tag::CustomDigit(digit.parse().ok().filter(|digit| *digit < 10)?),
    })
}

/// Returns the name for the decimal digit at `position` of `number` (0 is the last digit), or `None` beyond its first
/// digit.
pub(crate) fn digit_name(number: u32, position: u32) -> Option<&'static str> {
    let power = 10_u32.checked_pow(position)?;
    let rest = number.checked_div(power)?;
    if rest == 0 && position > 0 {
        return None;
    }
    CUSTOM_DIGITS.get(usize::try_from(rest.checked_rem(10)?).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_names_are_ignored() {
        for name in
            ["Date", "$durable-event-iterator::", "$durable-event-iterator::10", "$durable-event-iterator::x"]
        {
            assert_eq!(tag_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_number_is_encoded_by_its_digits() {
        let digits =
            |number| (0..12).map_while(move |position| digit_name(number, position)).collect::<Vec<_>>();
        assert_eq!(digits(0), ["$durable-event-iterator::0"]);
        assert_eq!(digits(21), ["$durable-event-iterator::1", "$durable-event-iterator::2"]);
        assert_eq!(digits(u32::MAX).len(), 10);
        assert_eq!(tag_of("$durable-event-iterator::7"), Some(Tag::CustomDigit(7)));
    }
}
