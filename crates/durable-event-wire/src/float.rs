//! Conversion between floats and their JSON texts.
//!
//! In a Worker, JavaScript converts floats, as its clients do. This saves the tables of powers of ten that shortest
//! and exact conversions need, a tenth of the size of a small Worker. On other targets serde_json and the standard
//! library convert them, and the digits are formatted as in JavaScript. `tests/types.test.ts` compares both.

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::javascript::{number_text, read_number, single_text};

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::{number_text, read_number, single_text};

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use serde_json::ser::{CompactFormatter, Formatter};
    use std::io;

    /// The size of a buffer for the shortest digits of an f64: sign, 17 digits, point, `e`, sign and three digits.
    const NUMBER_TEXT: usize = 32;
    /// JavaScript writes numbers from 1e21 on with an exponent (ECMA-262, `Number::toString`, step 6).
    const MAX_POINT: i32 = 21;
    /// JavaScript also writes numbers up to 1e-7 with an exponent.
    const MIN_POINT: i32 = -5;

    /// Parses a JSON number.
    pub(crate) fn read_number(text: &str) -> Option<f64> {
        text.parse().ok()
    }

    /// Returns the text of a finite number as JavaScript writes it.
    pub(crate) fn number_text(number: f64) -> String {
        shortest(|writer| CompactFormatter.write_f64(writer, number))
    }

    /// Returns the shortest text of a finite f32 that distinguishes it from all other f32 values.
    pub(crate) fn single_text(number: f32) -> String {
        shortest(|writer| CompactFormatter.write_f32(writer, number))
    }

    /// Formats the shortest digits, which serde_json determines, as JavaScript does.
    fn shortest(write: impl FnOnce(&mut &mut [u8]) -> io::Result<()>) -> String {
        let mut out = String::new();
        let mut buffer = [0; NUMBER_TEXT];
        let mut rest = buffer.as_mut_slice();
        let left = write(&mut rest).map_or(NUMBER_TEXT, |()| rest.len());
        let text = buffer.get(..NUMBER_TEXT.saturating_sub(left)).and_then(|text| str::from_utf8(text).ok());
        let text = text.unwrap_or_default();

        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |mantissa| ("-", mantissa));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_start_matches('0');
        let zeros = count(&digits).saturating_sub(count(significant));
        // The number is 0.DIGITS × 10^point.
        let point =
            exponent.parse::<i32>().unwrap_or_default().saturating_add(count(whole)).saturating_sub(zeros);
        let digits = significant.trim_end_matches('0');

        out.push_str(sign);
        if !(MIN_POINT..=MAX_POINT).contains(&point) {
            let (first, others) = digits.split_at_checked(1).unwrap_or((digits, ""));
            out.push_str(first);
            if !others.is_empty() {
                out.push('.');
                out.push_str(others);
            }
            let exponent = point.saturating_sub(1);
            out.push_str(if exponent < 0 { "e-" } else { "e+" });
            out.push_str(&exponent.unsigned_abs().to_string());
        } else if point <= 0 {
            out.push_str("0.");
            out.extend((point..0).map(|_| '0'));
            out.push_str(digits);
        } else {
            let at = usize::try_from(point).unwrap_or_default();
            match digits.split_at_checked(at) {
                Some((whole, "")) => out.push_str(whole),
                Some((whole, fraction)) => {
                    out.push_str(whole);
                    out.push('.');
                    out.push_str(fraction);
                }
                None => {
                    out.push_str(digits);
                    out.extend((digits.len()..at).map(|_| '0'));
                }
            }
        }
        out
    }

    fn count(digits: &str) -> i32 {
        i32::try_from(digits.len()).unwrap_or(i32::MAX)
    }
}
