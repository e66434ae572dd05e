//! A rating: a decimal from 0 to 5.

use std::{fmt, str::FromStr};

/// A rating from 0 to 5 with at most four decimals.
///
/// Kept in ten-thousandths, so that sums over any number of ratings are exact.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rating(u16);

/// Why something is no rating.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RatingError {
    /// Not a plain decimal number.
    #[error("a rating is a plain number from 0 to 5, such as 4 or 4.5")]
    NotANumber,
    /// Less than 0 or more than 5.
    #[error("ratings go from 0 to 5")]
    OutOfRange,
    /// More than four decimals.
    #[error("a rating has at most four decimals")]
    TooFine,
}

impl Rating {
    /// The greatest rating, 5.
    pub const MAX: Self = Self(50_000);

    const ONE: u16 = 10_000;
    const DECIMALS: usize = 4;

    /// The rating of `ten_thousandths`, or `None` above 50,000.
    pub fn from_ten_thousandths(ten_thousandths: u32) -> Option<Self> {
        let value = u16::try_from(ten_thousandths).ok()?;
        (value <= Self::MAX.0).then_some(Self(value))
    }

    /// The rating in ten-thousandths: 45,000 is 4.5.
    pub const fn ten_thousandths(self) -> u32 {
        self.0 as u32
    }
}

impl TryFrom<f64> for Rating {
    type Error = RatingError;

    fn try_from(value: f64) -> Result<Self, RatingError> {
        if value.is_nan() {
            return Err(RatingError::NotANumber);
        }
        if !(0.0..=5.0).contains(&value) {
            return Err(RatingError::OutOfRange);
        }
        let rating = Self((value * f64::from(Self::ONE)).round() as u16);
        // Each decimal has one nearest double, so this accepts exactly the doubles
        // that a decimal with four places is read as.
        if f64::from(rating) == value {
            Ok(rating)
        } else {
            Err(RatingError::TooFine)
        }
    }
}

impl From<Rating> for f64 {
    fn from(rating: Rating) -> Self {
        Self::from(rating.0) / Self::from(Rating::ONE)
    }
}

impl FromStr for Rating {
    type Err = RatingError;

    /// Reads a plain decimal such as `4`, `4.5`, `.5` or `4.`, with blanks around.
    fn from_str(text: &str) -> Result<Self, RatingError> {
        let text = text.trim();
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + decimals.len() == 0 || !all_digits(whole) || !all_digits(decimals) {
            return Err(RatingError::NotANumber);
        }
        let whole = whole.trim_start_matches('0');
        if negative || whole.len() > 1 {
            return Err(RatingError::OutOfRange);
        }
        // Programs that write a fixed number of decimals fill them up.
        let decimals = decimals.trim_end_matches('0');
        if decimals.len() > Self::DECIMALS {
            return Err(RatingError::TooFine);
        }
        let ten_thousandths = format!("{whole:0>1}{decimals:0<4}")
            .parse()
            .map_err(|_| RatingError::NotANumber)?;
        Self::from_ten_thousandths(ten_thousandths).ok_or(RatingError::OutOfRange)
    }
}

impl fmt::Display for Rating {
    /// The shortest decimal with at least one place: `4.0`, `4.25`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = format!("{:04}", self.0 % Self::ONE);
        let (first, rest) = decimals.split_at(1);
        let rest = rest.trim_end_matches('0');
        write!(f, "{}.{first}{rest}", self.0 / Self::ONE)
    }
}

impl fmt::Debug for Rating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_decimals_are_read() {
        for (text, ten_thousandths) in [
            ("4", 40_000),
            (" 4.5 ", 45_000),
            (".5", 5_000),
            ("4.", 40_000),
            ("0", 0),
            ("05.0000", 50_000),
            ("4.000000", 40_000),
            ("3.14150000000000", 31_415),
            ("\t3.1415\n", 31_415),
        ] {
            let rating: Rating = text.parse().expect(text);
            assert_eq!(rating.ten_thousandths(), ten_thousandths, "{text:?}");
        }
    }

    #[test]
    fn b32_other_text_is_refused_with_what_is_allowed() {
        use RatingError::{NotANumber, OutOfRange, TooFine};
        for (text, error) in [
            ("", NotANumber),
            (".", NotANumber),
            ("-", NotANumber),
            ("²", NotANumber),
            ("４", NotANumber),
            ("four", NotANumber),
            ("1e0", NotANumber),
            ("4,5", NotANumber),
            ("4.5.1", NotANumber),
            ("+4", NotANumber),
            ("NaN", NotANumber),
            ("inf", NotANumber),
            ("-1", OutOfRange),
            ("5.0001", OutOfRange),
            ("6", OutOfRange),
            ("99999999999999999999999999", OutOfRange),
            ("4.00001", TooFine),
            ("4.0000100", TooFine),
        ] {
            assert_eq!(text.parse::<Rating>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn doubles_that_are_no_such_decimal_are_refused() {
        use RatingError::{NotANumber, OutOfRange, TooFine};
        for (value, error) in [
            (f64::NAN, NotANumber),
            (f64::INFINITY, OutOfRange),
            (-0.5, OutOfRange),
            (5.000_000_1, OutOfRange),
            (0.1 + 0.2, TooFine),
            (4.123_45, TooFine),
            (f64::MIN_POSITIVE, TooFine),
        ] {
            assert_eq!(Rating::try_from(value), Err(error), "{value}");
        }
    }

    #[test]
    fn the_shortest_decimal_is_printed() {
        for (text, printed) in [("4", "4.0"), ("4.2500", "4.25"), (".0001", "0.0001")] {
            assert_eq!(text.parse::<Rating>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn every_rating_survives_text_and_double() {
        for ten_thousandths in 0..=50_000 {
            let rating = Rating::from_ten_thousandths(ten_thousandths).unwrap();
            assert_eq!(rating.to_string().parse(), Ok(rating));
            assert_eq!(Rating::try_from(f64::from(rating)), Ok(rating));
            assert_eq!(format!("{:?}", f64::from(rating)), rating.to_string());
        }
        assert_eq!(Rating::from_ten_thousandths(50_001), None);
        assert_eq!(Rating::from_ten_thousandths(u32::MAX), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), digits in "-?[0-9]{0,12}\\.?[0-9]{0,12}") {
            for text in [text, digits] {
                if let Ok(rating) = text.parse::<Rating>() {
                    prop_assert!(rating <= Rating::MAX);
                }
            }
        }
    }
}
