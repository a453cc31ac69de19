//! Writing of JSON strings and numbers as JavaScript's `JSON.stringify` does.

use super::float::{number_text, single_text};
use std::fmt::Write;

/// Appends a string literal.
pub(crate) fn push_string(out: &mut String, text: &str) {
    out.reserve(text.len().saturating_add(2));
    out.push('"');
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(text.get(written..at).unwrap_or_default());
        written = at.saturating_add(1);
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            control => {
                out.push_str("\\u00");
                for nibble in [control >> 4, control & 0xf] {
                    out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
                }
            }
        }
    }
    out.push_str(text.get(written..).unwrap_or_default());
    out.push('"');
}

/// Appends an array of strings.
pub(crate) fn push_strings(out: &mut String, strings: &[String]) {
    out.push('[');
    for (n, string) in strings.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        push_string(out, string);
    }
    out.push(']');
}

/// Appends an integer.
pub(crate) fn push_integer(out: &mut String, number: impl std::fmt::Display) {
    // Writing into a String cannot fail.
    let _ = write!(out, "{number}");
}

/// Appends a finite number.
pub(crate) fn push_f64(out: &mut String, number: f64) {
    // Most floats are integers, because JavaScript has no integer type.
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    if number.abs() < EXACT && number.trunc() == number {
        return push_integer(out, number as i64);
    }
    out.push_str(&number_text(number));
}

/// Appends the shortest text of a finite f32, such as 0.1 instead of 0.10000000149011612.
pub(crate) fn push_f32(out: &mut String, number: f32) {
    if number.trunc() == number {
        return push_f64(out, f64::from(number));
    }
    out.push_str(&single_text(number));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(number: f64) -> String {
        let mut out = String::new();
        push_f64(&mut out, number);
        out
    }

    #[test]
    fn numbers_are_written_like_in_javascript() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (123.456, "123.456"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (0.000_001, "0.000001"),
            (0.000_000_1, "1e-7"),
            (1.25e-7, "1.25e-7"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (0.1 + 0.2, "0.30000000000000004"),
            (-123_456_789_012_345_680_000.0, "-123456789012345680000"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn an_f32_is_written_with_its_shortest_digits() {
        let mut out = String::new();
        push_f32(&mut out, 0.1);
        assert_eq!(out, "0.1");
    }

    #[test]
    fn strings_are_escaped_like_in_javascript() {
        let mut out = String::new();
        push_string(&mut out, "é漢😀 \"\\\n\r\t\u{8}\u{c}\u{0}\u{1f}\u{7f}\u{2028}/");
        assert_eq!(out, "\"é漢😀 \\\"\\\\\\n\\r\\t\\b\\f\\u0000\\u001f\u{7f}\u{2028}/\"");
    }

    proptest! {
        #[test]
        fn every_finite_number_round_trips(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
            prop_assert_eq!(number(value).parse::<f64>().unwrap(), value);
        }

        #[test]
        fn every_f32_round_trips(value in any::<f32>().prop_filter("finite", |value| value.is_finite())) {
            let mut out = String::new();
            push_f32(&mut out, value);
            prop_assert_eq!(out.parse::<f32>().unwrap(), value);
        }

        #[test]
        fn every_string_round_trips(text in any::<String>()) {
            let mut out = String::new();
            push_string(&mut out, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
