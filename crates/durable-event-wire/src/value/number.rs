//! Numbers.

use std::fmt;

/// A number in a [`Value`](crate::Value): a 64-bit integer or an f64, including NaN and the infinities.
///
/// JavaScript has only f64: integers beyond 2^53 lose precision there (use [`BigInt`](crate::BigInt) for them). The
/// wire keeps NaN, but infinities arrive as null, and -0 as 0.
///
/// ```
/// use durable_event_wire::Number;
/// assert_eq!(Number::from(3).as_f64(), 3.0);
/// assert_eq!(Number::from(3.0).as_i64(), Some(3));
/// assert_eq!(Number::from(3.5).as_i64(), None);
/// ```
#[derive(Clone, Copy)]
pub struct Number(Repr);

#[derive(Clone, Copy)]
pub(crate) enum Repr {
    /// An integer of at least 0.
    Unsigned(u64),
    /// An integer below 0.
    Negative(i64),
    /// A number with a fraction, or beyond 64 bits.
    Float(f64),
}

impl Number {
    /// Returns the number as an f64, rounded if necessary.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::Number::from(-1).as_f64(), -1.0);
    /// ```
    #[must_use]
    pub const fn as_f64(self) -> f64 {
        match self.0 {
            Repr::Unsigned(number) => number as f64,
            Repr::Negative(number) => number as f64,
            Repr::Float(number) => number,
        }
    }

    /// Returns the number if it is an integer in the range of i64.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::Number::from(-1.0).as_i64(), Some(-1));
    /// ```
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        match self.0 {
            Repr::Unsigned(number) => i64::try_from(number).ok(),
            Repr::Negative(number) => Some(number),
            Repr::Float(_) => None,
        }
    }

    /// Returns the number if it is an integer in the range of u64.
    ///
    /// ```
    /// assert_eq!(durable_event_wire::Number::from(-1).as_u64(), None);
    /// ```
    #[must_use]
    pub const fn as_u64(self) -> Option<u64> {
        match self.0 {
            Repr::Unsigned(number) => Some(number),
            Repr::Negative(_) | Repr::Float(_) => None,
        }
    }

    pub(crate) const fn repr(self) -> Repr {
        self.0
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self(Repr::Unsigned(number))
    }
}

impl From<i64> for Number {
    fn from(number: i64) -> Self {
        Self(u64::try_from(number).map_or(Repr::Negative(number), Repr::Unsigned))
    }
}

/// Converts integral floats to integers: 3.0 becomes 3, so that it can be read as a Rust integer. -0 becomes 0.
impl From<f64> for Number {
    fn from(number: f64) -> Self {
        // 2^63 and 2^64: integral floats below fit into 64 bits. Numbers parsed from text use the same limits.
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        const UNSIGNED_LIMIT: f64 = 2.0 * LIMIT;
        if number.trunc() != number {
            return Self(Repr::Float(number));
        }
        const LOWEST: f64 = -LIMIT;
        match number {
            0.0..UNSIGNED_LIMIT => Self::from(number as u64),
            LOWEST..0.0 => Self::from(number as i64),
            _ => Self(Repr::Float(number)),
        }
    }
}

impl From<f32> for Number {
    fn from(number: f32) -> Self {
        Self::from(f64::from(number))
    }
}

macro_rules! from_integers {
    ($($small:ty => $large:ty),*) => {$(
        impl From<$small> for Number {
            fn from(number: $small) -> Self {
                Self::from(<$large>::from(number))
            }
        }
    )*};
}
from_integers!(u8 => u64, u16 => u64, u32 => u64, i8 => i64, i16 => i64, i32 => i64);

/// Compares like JavaScript's `Object.is`: NaN equals itself.
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (self.0, other.0) {
            (Repr::Unsigned(a), Repr::Unsigned(b)) => a == b,
            (Repr::Negative(a), Repr::Negative(b)) => a == b,
            (Repr::Float(a), Repr::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
            _ => false,
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Repr::Unsigned(number) => fmt::Debug::fmt(&number, f),
            Repr::Negative(number) => fmt::Debug::fmt(&number, f),
            Repr::Float(number) => fmt::Debug::fmt(&number, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_without_a_fraction_is_an_integer() {
        assert_eq!(Number::from(3.0), Number::from(3));
        assert_eq!(Number::from(-0.0), Number::from(0));
        assert_eq!(Number::from(-9_223_372_036_854_774_784.0).as_i64(), Some(-9_223_372_036_854_774_784));
        assert_eq!(Number::from(1e300).as_u64(), None);
        assert_eq!(Number::from(1e19), Number::from(10_000_000_000_000_000_000_u64));
        assert_eq!(Number::from(-9_223_372_036_854_775_808.0), Number::from(i64::MIN));
        assert_eq!(Number::from(18_446_744_073_709_551_616.0).as_u64(), None);
    }

    #[test]
    fn nan_equals_itself() {
        assert_eq!(Number::from(f64::NAN), Number::from(f64::NAN));
        assert_ne!(Number::from(f64::INFINITY), Number::from(f64::NEG_INFINITY));
    }

    #[test]
    fn large_integers_keep_their_digits() {
        assert_eq!(Number::from(u64::MAX).as_u64(), Some(u64::MAX));
        assert_eq!(Number::from(i64::MIN).as_i64(), Some(i64::MIN));
        assert_eq!(Number::from(u64::MAX).as_i64(), None);
    }
}
