//! Integers of any size.

use std::{fmt, str::FromStr};

use super::checked_string;
use crate::tag;

/// The maximum number of digits that newer oRPC clients accept (`DEFAULT_MAX_BIGINT_DIGITS` of `@orpc/shared`).
const MAX_DIGITS: usize = 4_300;

/// JavaScript's `bigint`: an integer of up to 4,300 decimal digits.
///
/// ```
/// use durable_event_wire::BigInt;
/// let big: BigInt = "12345678901234567890".parse()?;
/// assert_eq!(u64::try_from(&big)?, 12_345_678_901_234_567_890);
/// assert_eq!(BigInt::from(7_u8).to_string(), "7");
/// assert!("0x7".parse::<BigInt>().is_err());
/// # Ok::<(), durable_event_wire::InvalidBigInt>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BigInt(Box<str>);

impl BigInt {
    /// Returns the decimal digits, with a leading `-` if the number is negative.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::BigInt::from(-7).as_str(), "-7");
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BigInt {
    type Err = InvalidBigInt;

    fn from_str(text: &str) -> Result<Self, InvalidBigInt> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let canonical = digits == "0" || !digits.starts_with('0');
        if digits.is_empty() || digits.len() > MAX_DIGITS || !canonical {
            return Err(InvalidBigInt(()));
        }
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidBigInt(()));
        }
        Ok(Self(if digits == "0" { "0".into() } else { text.into() }))
    }
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl From<$integer> for BigInt {
            fn from(number: $integer) -> Self {
                Self(number.to_string().into_boxed_str())
            }
        }

        /// Fails if the number is out of the type's range.
        impl TryFrom<&BigInt> for $integer {
            type Error = InvalidBigInt;

            fn try_from(big: &BigInt) -> Result<Self, InvalidBigInt> {
                big.0.parse().map_err(|_| InvalidBigInt(()))
            }
        }
    )*};
}
integers!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);

/// The error of parsing a text that is not a decimal integer of at most 4,300 digits, or of converting to an integer
/// type that is too small.
///
/// ```
/// assert!("1.5".parse::<durable_event_wire::BigInt>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidBigInt(());

impl fmt::Display for InvalidBigInt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "bigint must be a decimal integer of at most 4300 digits, and in the range of the requested type",
        )
    }
}

impl std::error::Error for InvalidBigInt {}

checked_string!(BigInt, tag::BIGINT, "a bigint");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_decimal_texts_are_accepted() {
        for text in ["0", "-1", "10", "123456789012345678901234567890"] {
            assert_eq!(text.parse::<BigInt>().unwrap().as_str(), text);
        }
        for text in ["", "-", "+1", "01", "-01", "1n", " 1", "1.0", "1e3", "0x1", "١"] {
            assert_eq!(text.parse::<BigInt>(), Err(InvalidBigInt(())), "{text}");
        }
    }

    #[test]
    fn minus_zero_is_zero() {
        assert_eq!("-0".parse::<BigInt>().unwrap(), BigInt::from(0));
    }

    #[test]
    fn more_digits_than_clients_accept_are_rejected() {
        assert!("9".repeat(MAX_DIGITS).parse::<BigInt>().is_ok());
        assert!("9".repeat(MAX_DIGITS + 1).parse::<BigInt>().is_err());
    }

    #[test]
    fn integers_are_converted_in_both_directions() {
        for number in [i128::MIN, -1, 0, i128::MAX] {
            assert_eq!(i128::try_from(&BigInt::from(number)), Ok(number));
        }
        assert!(u8::try_from(&BigInt::from(256)).is_err());
        assert!(u8::try_from(&BigInt::from(-1)).is_err());
    }
}
