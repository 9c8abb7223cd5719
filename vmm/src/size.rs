//! Sizes in bytes, as people write them: `512M`, `1G`, `4096`.

use schemars::JsonSchema;
use serde::Serialize;
use std::{fmt, str::FromStr};
use thiserror::Error;

/// A number of bytes. Written and read with the binary suffixes K, M, G and T.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct ByteSize(
    /// Bytes.
    pub u64,
);

/// Why a size cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SizeError {
    /// Not a number with an optional suffix.
    #[error("'{0}' is not a size; write a whole number with K, M, G or T, such as 512M")]
    NotASize(String),
    /// More than 64 bits.
    #[error("'{0}' is more than 16 EiB; write a smaller size, such as 64G")]
    TooLarge(String),
}

/// Suffixes and their binary logarithms, largest first.
const SUFFIXES: [(char, u32); 4] = [('T', 40), ('G', 30), ('M', 20), ('K', 10)];

impl FromStr for ByteSize {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let text = text.trim();
        // "1GiB" and "1GB" are what people also write; both are binary here.
        let upper = text.to_ascii_uppercase();
        let word = upper
            .strip_suffix("IB")
            .or_else(|| upper.strip_suffix('B'))
            .unwrap_or(&upper);
        let (digits, shift) = SUFFIXES
            .iter()
            .find_map(|(suffix, shift)| word.strip_suffix(*suffix).map(|digits| (digits, *shift)))
            .unwrap_or((word, 0));
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SizeError::NotASize(text.to_owned()));
        }
        digits
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(1 << shift))
            .map(Self)
            .ok_or_else(|| SizeError::TooLarge(text.to_owned()))
    }
}

impl fmt::Display for ByteSize {
    /// Exact: the largest suffix that divides the size.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = SUFFIXES
            .iter()
            .find(|(_, shift)| self.0 != 0 && self.0.trailing_zeros() >= *shift)
            .map_or_else(
                || self.0.to_string(),
                |(suffix, shift)| format!("{}{suffix}", self.0 >> shift),
            );
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_suffixes() {
        for (text, bytes) in [
            ("4096", 4096),
            ("16K", 16 << 10),
            ("512M", 512 << 20),
            ("1G", 1 << 30),
            ("2GiB", 2 << 30),
            ("1t", 1 << 40),
            ("0", 0),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn names_what_is_wrong() {
        assert_eq!("".parse::<ByteSize>(), Err(SizeError::NotASize("".into())));
        assert_eq!(
            "M".parse::<ByteSize>(),
            Err(SizeError::NotASize("M".into()))
        );
        assert_eq!(
            "-1G".parse::<ByteSize>(),
            Err(SizeError::NotASize("-1G".into()))
        );
        assert_eq!(
            "1.5G".parse::<ByteSize>(),
            Err(SizeError::NotASize("1.5G".into()))
        );
        assert_eq!(
            "99999999T".parse::<ByteSize>(),
            Err(SizeError::TooLarge("99999999T".into()))
        );
    }

    proptest! {
        #[test]
        fn display_parses_to_the_same(bytes: u64) {
            prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
        }

        #[test]
        fn garbage_never_panics(text in "\\PC{0,20}") {
            let _ = text.parse::<ByteSize>();
        }
    }
}
