//! Reading of JSON text into values, or into the raw texts of its parts.
//!
//! This reader replaces serde_json for three reasons: without its feature `float_roundtrip`, serde_json misses the
//! last bit of some numbers; it rejects the lone surrogates that JavaScript strings may contain; and reading frames
//! and tokens through its visitors takes a sixth of the size of a small Worker.

use std::borrow::Cow;

use super::{MAX_DEPTH, Number, Object, Value, deserialize_error::DeserializeError, float::read_number};

/// The number of digits with which every integer fits into 64 bits.
const SAFE_DIGITS: usize = 18;

/// Reads a complete text as one value.
pub(crate) fn read_json(text: &str) -> Result<Value, DeserializeError> {
    let mut reader = Reader::new(text);
    let value = reader.value()?;
    reader.end()?;
    Ok(value)
}

/// Reads the members of a complete text that is an object, see [`Reader::members`].
pub(crate) fn read_members<'a, E: From<DeserializeError>>(
    text: &'a str,
    each: &mut dyn FnMut(&mut Reader<'a>, &str) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = Reader::new(text);
    reader.members(each)?;
    Ok(reader.end()?)
}

/// Reads a text value by value.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// Whether a lone surrogate was replaced.
    has_replaced: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0, has_replaced: false }
    }

    /// Checks that only whitespace is left.
    pub(crate) fn end(&mut self) -> Result<(), DeserializeError> {
        self.skip_whitespace();
        if self.at == self.text.len() { Ok(()) } else { Err(self.error("unexpected text after the value")) }
    }

    /// Returns the first byte of the next value.
    pub(crate) fn kind(&mut self) -> Option<u8> {
        self.skip_whitespace();
        self.peek()
    }

    /// Reads the members of an object, including repeated keys. `each` receives a key and must read its value.
    pub(crate) fn members<E: From<DeserializeError>>(
        &mut self,
        each: &mut dyn FnMut(&mut Self, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.skip_whitespace();
        self.expect(b'{', "expected an object")?;
        self.depth = self.depth.saturating_add(1);
        self.skip_whitespace();
        if !self.take(b'}') {
            loop {
                let key = self.text()?;
                self.skip_whitespace();
                self.expect(b':', "expected `:`")?;
                each(self, &key)?;
                self.skip_whitespace();
                if self.take(b'}') {
                    break;
                }
                self.expect(b',', "expected `,` or `}`")?;
            }
        }
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }

    /// Reads the items of an array. `each` must read one item.
    pub(crate) fn items<E: From<DeserializeError>>(
        &mut self,
        each: &mut dyn FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.skip_whitespace();
        self.expect(b'[', "expected an array")?;
        self.skip_whitespace();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            each(self)?;
            self.skip_whitespace();
            if self.take(b']') {
                return Ok(());
            }
            self.expect(b',', "a comma or bracket is missing")?;
        }
    }

    /// Reads a string, borrowed if it has no escapes. A lone surrogate is an error.
    pub(crate) fn text(&mut self) -> Result<Cow<'a, str>, DeserializeError> {
        self.skip_whitespace();
        if self.peek() == Some(b'"') {
            let start = self.at.saturating_add(1);
            let end = self.plain_end(start);
            if self.text.as_bytes().get(end) == Some(&b'"') {
                self.at = end.saturating_add(1);
                return Ok(Cow::Borrowed(self.text.get(start..end).unwrap_or_default()));
            }
        }
        self.has_replaced = false;
        let text = self.string()?;
        if self.has_replaced { Err(self.error("lone surrogate in a string")) } else { Ok(Cow::Owned(text)) }
    }

    /// Reads an array of strings.
    pub(crate) fn texts(&mut self) -> Result<Vec<String>, DeserializeError> {
        let mut texts = Vec::new();
        self.items(&mut |reader| {
            texts.push(reader.text()?.into_owned());
            Ok::<_, DeserializeError>(())
        })?;
        Ok(texts)
    }

    /// Reads a non-negative integer.
    pub(crate) fn unsigned(&mut self) -> Result<u64, DeserializeError> {
        self.skip_whitespace();
        match self.number()? {
            Value::Number(number) => {
                number.as_u64().ok_or_else(|| self.error("expected a non-negative integer"))
            }
            _ => Err(self.error("expected a non-negative integer")),
        }
    }

    /// Reads a value as raw text and checks that it is valid JSON. Uses no stack for nested values.
    pub(crate) fn raw(&mut self) -> Result<&'a str, DeserializeError> {
        self.skip_whitespace();
        let start = self.at;
        // The open brackets.
        let mut open: Vec<u8> = Vec::new();
        loop {
            self.skip_whitespace();
            // Reads a scalar, or enters a container. True if the container is empty.
            let is_end = match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    self.advance();
                    open.push(bracket);
                    self.skip_whitespace();
                    match (bracket, self.peek()) {
                        (b'{', Some(b'}')) | (b'[', Some(b']')) => true,
                        (b'{', _) => {
                            self.skip_key()?;
                            continue;
                        }
                        _ => continue,
                    }
                }
                Some(b'"') => {
                    self.skip_string()?;
                    false
                }
                Some(b'-' | b'0'..=b'9') => {
                    self.scan_number()?;
                    false
                }
                _ => {
                    self.value()?; // a literal, or an error
                    false
                }
            };
            if is_end {
                self.advance();
                open.pop();
            }
            // After a value: closes containers until another value follows.
            loop {
                let Some(bracket) = open.last() else {
                    return Ok(self.text.get(start..self.at).unwrap_or_default());
                };
                let is_object = *bracket == b'{';
                self.skip_whitespace();
                if self.take(if is_object { b'}' } else { b']' }) {
                    open.pop();
                    continue;
                }
                self.expect(b',', "a comma or bracket is missing")?;
                if is_object {
                    self.skip_key()?;
                }
                break;
            }
        }
    }

    fn skip_key(&mut self) -> Result<(), DeserializeError> {
        self.skip_whitespace();
        self.skip_string()?;
        self.skip_whitespace();
        self.expect(b':', "expected `:`")
    }

    fn skip_string(&mut self) -> Result<(), DeserializeError> {
        self.expect(b'"', "expected a string")?;
        loop {
            self.at = self.plain_end(self.at);
            match self.next() {
                Some(b'"') => return Ok(()),
                Some(b'\\') => drop(self.escape()?),
                Some(_) => return Err(self.error("unescaped control character in a string")),
                None => return Err(self.error("unexpected end of text")),
            }
        }
    }

    /// Reads a value of at most [`MAX_DEPTH`] levels.
    pub(crate) fn value(&mut self) -> Result<Value, DeserializeError> {
        self.skip_whitespace();
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => Err(self.error("expected a value")),
            None => Err(self.error("unexpected end of text")),
        }
    }

    fn nested(
        &mut self,
        read: fn(&mut Self) -> Result<Value, DeserializeError>,
    ) -> Result<Value, DeserializeError> {
        if self.depth >= MAX_DEPTH {
            return Err(DeserializeError::TooDeep);
        }
        self.depth = self.depth.saturating_add(1);
        self.advance();
        let value = read(self)?;
        self.depth = self.depth.saturating_sub(1);
        Ok(value)
    }

    fn array(&mut self) -> Result<Value, DeserializeError> {
        let mut items = Vec::new();
        self.skip_whitespace();
        if self.take(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.skip_whitespace();
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            self.expect(b',', "a comma or bracket is missing")?;
        }
    }

    fn object(&mut self) -> Result<Value, DeserializeError> {
        let mut entries = Vec::new();
        self.skip_whitespace();
        if self.take(b'}') {
            return Ok(Value::Object(Object::new()));
        }
        loop {
            self.skip_whitespace();
            let key = self.string()?;
            self.skip_whitespace();
            self.expect(b':', "expected `:`")?;
            entries.push((key, self.value()?));
            self.skip_whitespace();
            if self.take(b'}') {
                return Ok(Value::Object(Object::from_entries(entries)));
            }
            self.expect(b',', "expected `,` or `}`")?;
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, DeserializeError> {
        if self.rest().starts_with(word) {
            self.at = self.at.saturating_add(word.len());
            Ok(value)
        } else {
            Err(self.error("expected a value"))
        }
    }

    fn number(&mut self) -> Result<Value, DeserializeError> {
        let Scanned { text, digits, is_negative, is_integer } = self.scan_number()?;
        if is_integer {
            if digits <= SAFE_DIGITS && !is_negative {
                let digits = text.bytes().map(|digit| u64::from(digit.wrapping_sub(b'0')));
                let number = digits.fold(0_u64, |number, digit| number.wrapping_mul(10).wrapping_add(digit));
                return Ok(Value::Number(Number::from(number)));
            }
            if let Ok(number) = text.parse::<i64>() {
                return Ok(Value::Number(Number::from(number)));
            }
            if let Ok(number) = text.parse::<u64>() {
                return Ok(Value::Number(Number::from(number)));
            }
        }
        read_number(text).map(Value::from).ok_or_else(|| self.error("invalid number"))
    }

    fn scan_number(&mut self) -> Result<Scanned<'a>, DeserializeError> {
        let start = self.at;
        let negative = self.take(b'-');
        let whole = self.at;
        let digits = self.digits();
        if digits == 0 || (digits > 1 && self.text.as_bytes().get(whole) == Some(&b'0')) {
            return Err(self.error("invalid number"));
        }
        let mut is_integer = true;
        if self.take(b'.') {
            is_integer = false;
            if self.digits() == 0 {
                return Err(self.error("invalid number"));
            }
        }
        if self.take(b'e') || self.take(b'E') {
            is_integer = false;
            if !self.take(b'-') {
                self.take(b'+');
            }
            if self.digits() == 0 {
                return Err(self.error("invalid number"));
            }
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        Ok(Scanned { text, digits, is_negative: negative, is_integer })
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.advance();
        }
        self.at.saturating_sub(start)
    }

    fn string(&mut self) -> Result<String, DeserializeError> {
        self.expect(b'"', "expected a string")?;
        let mut text = String::new();
        loop {
            let end = self.plain_end(self.at);
            text.push_str(self.text.get(self.at..end).unwrap_or_default());
            self.at = end;
            match self.next() {
                Some(b'"') => return Ok(text),
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => return Err(self.error("unescaped control character in a string")),
                None => return Err(self.error("unexpected end of text")),
            }
        }
    }

    /// Returns the end of the unescaped characters of a string that begin at `start`.
    fn plain_end(&self, start: usize) -> usize {
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let is_special = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
        start.saturating_add(rest.iter().position(is_special).unwrap_or(rest.len()))
    }

    fn escape(&mut self) -> Result<char, DeserializeError> {
        Ok(match self.next() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => self.unicode()?,
            _ => return Err(self.error("invalid escape")),
        })
    }

    /// Reads a UTF-16 unit or a surrogate pair. A lone surrogate becomes U+FFFD, as in JavaScript's encoding to
    /// UTF-8.
    fn unicode(&mut self) -> Result<char, DeserializeError> {
        let unit = self.hex()?;
        if (0xD800..0xDC00).contains(&unit) && self.rest().starts_with("\\u") {
            let before = self.at;
            self.at = self.at.saturating_add(2);
            let low = self.hex()?;
            if let Some(Ok(pair)) = char::decode_utf16([unit, low]).next() {
                return Ok(pair);
            }
            self.at = before;
        }
        Ok(char::from_u32(u32::from(unit)).unwrap_or_else(|| {
            self.has_replaced = true;
            char::REPLACEMENT_CHARACTER
        }))
    }

    fn hex(&mut self) -> Result<u16, DeserializeError> {
        let mut unit: u16 = 0;
        for _ in 0..4 {
            let digit = self
                .next()
                .and_then(|byte| char::from(byte).to_digit(16))
                .ok_or_else(|| self.error("invalid escape"))?;
            unit = (unit << 4) | u16::try_from(digit).unwrap_or_default();
        }
        Ok(unit)
    }

    /// Skips whitespace. Inlined because most tokens are not separated by whitespace.
    #[inline(always)]
    fn skip_whitespace(&mut self) {
        if matches!(self.peek(), Some(..=b' ')) {
            self.skip_blanks();
        }
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.advance();
        }
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.advance();
        Some(byte)
    }

    fn take(&mut self, byte: u8) -> bool {
        let taken = self.peek() == Some(byte);
        if taken {
            self.advance();
        }
        taken
    }

    fn expect(&mut self, byte: u8, missing: &'static str) -> Result<(), DeserializeError> {
        if self.take(byte) { Ok(()) } else { Err(self.error(missing)) }
    }

    fn advance(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn error(&self, reason: &'static str) -> DeserializeError {
        DeserializeError::Json { reason, at: self.at }
    }
}

/// The text of a number and its properties.
struct Scanned<'a> {
    text: &'a str,
    /// The number of digits before the decimal point.
    digits: usize,
    is_negative: bool,
    is_integer: bool,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_exact() {
        for text in [
            "0.30000000000000004",
            "5e-324",
            "1.7976931348623157e308",
            "9007199254740993.5",
            "123456789.123456789",
        ] {
            assert_eq!(read_json(text).unwrap(), Value::from(text.parse::<f64>().unwrap()), "{text}");
        }
        assert_eq!(read_json("18446744073709551615").unwrap(), Value::from(u64::MAX));
        assert_eq!(read_json("-9223372036854775808").unwrap(), Value::from(i64::MIN));
        assert_eq!(read_json("18446744073709551616").unwrap(), Value::from(18_446_744_073_709_551_616.0));
        assert_eq!(read_json("-0").unwrap(), Value::from(0));
    }

    #[test]
    fn a_lone_surrogate_becomes_the_replacement_character() {
        assert_eq!(
            read_json(r#""\ud83d\ude00 \ud83d \ude00 \ud83dx \ud83d\u0041""#).unwrap(),
            Value::from("😀 \u{fffd} \u{fffd} \u{fffd}x \u{fffd}A")
        );
    }

    #[test]
    fn invalid_json_is_rejected() {
        for text in [
            "",
            " ",
            "{",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1,}",
            "{a:1}",
            "\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\n\"",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "NaN",
            "tru",
            "nul",
            "1 2",
            "[1}",
            "'a'",
            "\u{a0}1",
        ] {
            assert!(read_json(text).is_err(), "{text}");
        }
    }

    #[test]
    fn depth_is_limited() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read_json(&nested(MAX_DEPTH)).is_ok());
        assert!(matches!(read_json(&nested(MAX_DEPTH + 1)), Err(DeserializeError::TooDeep)));
        assert!(matches!(read_json(&"[".repeat(1_000_000)), Err(DeserializeError::TooDeep)));
    }

    #[test]
    fn a_raw_value_of_any_depth_is_the_unchanged_text() {
        for text in [
            r#"{"a":[1,{"b":"x\"}\\"},[],{}],"c":null}"#,
            "[ ]",
            "{ }",
            "\"\\ud800\"",
            "-1.5e+3",
            "true",
            &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
        ] {
            let padded = format!(" {text} ,");
            let mut reader = Reader::new(&padded);
            assert_eq!(reader.raw(), Ok(text));
            assert_eq!(reader.kind(), Some(b','));
        }
    }

    #[test]
    fn a_string_is_borrowed_without_escapes_and_rejected_with_lone_surrogates() {
        assert!(matches!(Reader::new(r#" "aé" "#).text(), Ok(Cow::Borrowed("aé"))));
        assert!(matches!(Reader::new(r#""a\n""#).text(), Ok(Cow::Owned(text)) if text == "a\n"));
        for text in [r#""\ud800""#, r#""a"#, "1", "", "\"\n\""] {
            assert!(Reader::new(text).text().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn raw_accepts_the_same_texts_as_value(text in r#"[\[\]{}",:0-9eE.+\-a-c \\utrfalsn]{0,40}"#) {
            let mut reader = Reader::new(&text);
            let raw = reader.raw().is_ok() && reader.end().is_ok();
            prop_assert_eq!(raw, read_json(&text).is_ok(), "{}", text);
        }

        #[test]
        fn all_texts_that_serde_json_accepts_are_accepted(text in r#"[\[\]{}",:0-9eE.+\-a-c \\utrfalsn]{0,40}"#) {
            let expected = serde_json::from_str::<Value>(&text);
            let actual = read_json(&text);
            // serde_json is stricter with surrogates and with numbers beyond f64.
            if expected.is_ok() {
                prop_assert!(actual.is_ok(), "{}", text);
            } else if actual.is_ok() {
                prop_assert!(text.contains("\\u") || text.contains(['e', 'E']), "{}", text);
            }
        }

        #[test]
        fn any_text_never_panics(text in ".*") {
            let _ = read_json(&text);
        }
    }
}
