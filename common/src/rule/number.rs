//! The two kinds of number that rules have: shares of requests and lengths of time.
//!
//! Both are fixed-point, so that what was written is what is drawn, compared and printed:
//! a share of 0.29 is 290 of 1,000 and never 28 %.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// Why a number is not a share or a length of time.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NumberError {
    /// Not between 0 and 1.
    #[error("must be between 0 and 1, got {0}")]
    Share(f64),
    /// Above 0 and yet too small to be told from it.
    #[error("must be 0 or at least 0.000000001, got {0}")]
    TinyShare(f64),
    /// Below what may stand here, too large, or not a number.
    #[error("must be {least} and at most {max} seconds, got {got}", max = Seconds::MAX_SECS)]
    Seconds {
        /// The lower bound, as a phrase for people.
        least: &'static str,
        /// The refused number.
        got: f64,
    },
}

/// A part of all requests, 0 to 1, exact to nine decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

impl Share {
    /// No request.
    pub const NONE: Self = Self(0);
    /// Every request.
    pub const ALL: Self = Self(Self::WHOLE);
    /// How many parts [`ALL`](Self::ALL) has.
    pub const WHOLE: u32 = 1_000_000_000;

    /// How many of [`WHOLE`](Self::WHOLE) parts this is.
    pub const fn parts(self) -> u32 {
        self.0
    }
}

impl TryFrom<f64> for Share {
    type Error = NumberError;

    fn try_from(given: f64) -> Result<Self, NumberError> {
        if !(0.0..=1.0).contains(&given) {
            return Err(NumberError::Share(given));
        }
        // Within 0..=1 the product fits; rounding undoes what binary fractions add.
        let parts = (given * f64::from(Self::WHOLE)).round() as u32;
        if parts == 0 && given > 0.0 {
            return Err(NumberError::TinyShare(given));
        }
        Ok(Self(parts))
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        f64::from(share.0) / f64::from(Share::WHOLE)
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        as_written(u64::from(self.0), u64::from(Self::WHOLE), out)
    }
}

/// A length of time, exact to a microsecond, at most [`MAX_SECS`](Self::MAX_SECS).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(u64);

const MICROS: u64 = 1_000_000;

impl Seconds {
    /// The longest one: a year. No clock overflows when it is added.
    pub const MAX_SECS: u64 = 365 * 24 * 3600;

    /// Takes a length above 0.
    ///
    /// # Errors
    /// [`NumberError::Seconds`] when it is 0, negative, too long or not a number.
    pub fn above_zero(given: f64) -> Result<Self, NumberError> {
        let least = "more than 0";
        match Self::at_least_zero(given) {
            Ok(length) if length.0 > 0 => Ok(length),
            _ => Err(NumberError::Seconds { least, got: given }),
        }
    }

    /// Takes a length that may be 0.
    ///
    /// # Errors
    /// [`NumberError::Seconds`] when it is negative, too long or not a number.
    pub fn at_least_zero(given: f64) -> Result<Self, NumberError> {
        if !(0.0..=Self::MAX_SECS as f64).contains(&given) {
            let least = "at least 0";
            return Err(NumberError::Seconds { least, got: given });
        }
        Ok(Self((given * MICROS as f64).round() as u64))
    }

    /// The same as a [`Duration`].
    pub const fn duration(self) -> Duration {
        Duration::from_micros(self.0)
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        as_written(self.0, MICROS, out)
    }
}

/// Prints `15` for 15 and `0.25` for a quarter.
fn as_written<S: Serializer>(parts: u64, whole: u64, out: S) -> Result<S::Ok, S::Error> {
    if parts.is_multiple_of(whole) {
        out.serialize_u64(parts / whole)
    } else {
        // Both fit into 53 bits, so the quotient is the binary number nearest to the decimal.
        out.serialize_f64(parts as f64 / whole as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(value: impl Serialize) -> String {
        serde_json::to_string(&value).unwrap()
    }

    #[test]
    fn every_percent_and_permille_is_exact_and_prints_as_written() {
        for n in 0..=1000_u32 {
            let share = Share::try_from(f64::from(n) / 1000.0).unwrap();
            assert_eq!(share.parts(), n * 1_000_000);
            assert_eq!(printed(share), printed_decimal(n));
        }
    }

    fn printed_decimal(permille: u32) -> String {
        match permille {
            0 => "0".into(),
            1000 => "1".into(),
            n => format!("0.{n:03}").trim_end_matches('0').to_owned(),
        }
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for bad in [-0.1, 1.000_000_001, f64::NAN, f64::INFINITY] {
            assert!(matches!(Share::try_from(bad), Err(NumberError::Share(_))));
        }
        assert_eq!(Share::try_from(-0.0), Ok(Share::NONE));
        assert_eq!(Share::try_from(1e-12), Err(NumberError::TinyShare(1e-12)));
    }

    #[test]
    fn seconds_print_as_written_and_are_bounded() {
        for text in ["15", "0.25", "31536000", "12345678.123457", "0.001"] {
            let given: f64 = text.parse().unwrap();
            assert_eq!(printed(Seconds::above_zero(given).unwrap()), text);
        }
        for bad in [0.0, -1.0, 1e-9, 3.2e7, f64::NAN, f64::INFINITY] {
            assert!(Seconds::above_zero(bad).is_err(), "{bad}");
        }
        assert_eq!(
            Seconds::at_least_zero(0.0).unwrap().duration(),
            Duration::ZERO
        );
    }
}
