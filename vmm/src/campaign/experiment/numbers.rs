//! Which of many: `3`, `"1.."`, `"5..20"`, `"3,5,9"`, `"1..4,10.."`.

use std::{fmt, ops::RangeInclusive, str::FromStr};
use thiserror::Error;

/// A set of numbers, written as ranges whose ends are both in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    ranges: Vec<RangeInclusive<u64>>,
}

/// Why a text is no set of numbers.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "'{0}' names no numbers; write one such as 7, a range with both ends in it such as \"1..50\", \
     \"1..\" for all from 1 on, or several with commas between, such as \"1..4,9\""
)]
pub struct NumbersError(String);

impl Numbers {
    /// One number.
    pub fn one(number: u64) -> Self {
        Self {
            ranges: vec![number..=number],
        }
    }

    /// Whether a number is in it.
    pub fn contains(&self, number: u64) -> bool {
        self.ranges.iter().any(|range| range.contains(&number))
    }

    /// Those of them that are in `within`, ascending, each once.
    pub fn within(&self, within: RangeInclusive<u64>) -> impl Iterator<Item = u64> {
        let clipped = self
            .ranges
            .iter()
            .map(move |range| *range.start().max(within.start())..=*range.end().min(within.end()));
        let mut ranges: Vec<_> = clipped.filter(|range| !range.is_empty()).collect();
        ranges.sort_unstable_by_key(|range| *range.start());
        let mut next = 0;
        ranges.into_iter().flat_map(move |range| {
            let start = (*range.start()).max(next);
            next = next.max(range.end().saturating_add(1));
            start..=*range.end()
        })
    }

    /// The lowest and the highest; the highest is [`u64::MAX`] if there is no end.
    pub fn ends(&self) -> (u64, u64) {
        let lowest = self.ranges.iter().map(|range| *range.start()).min();
        let highest = self.ranges.iter().map(|range| *range.end()).max();
        (lowest.unwrap_or_default(), highest.unwrap_or_default())
    }
}

impl FromStr for Numbers {
    type Err = NumbersError;

    fn from_str(text: &str) -> Result<Self, NumbersError> {
        let number = |word: &str| {
            let word = word.trim();
            let parsed = match word.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16),
                None => word.parse(),
            };
            parsed.map_err(|_| NumbersError(text.to_owned()))
        };
        let range = |part: &str| {
            let (first, last) = match part.split_once("..") {
                None => (number(part)?, number(part)?),
                Some((first, last)) if last.trim().is_empty() => (number(first)?, u64::MAX),
                Some((first, last)) => (number(first)?, number(last)?),
            };
            match first <= last {
                true => Ok(first..=last),
                false => Err(NumbersError(text.to_owned())),
            }
        };
        let ranges = text.split(',').map(range).collect::<Result<_, _>>()?;
        Ok(Self { ranges })
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.ranges.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match (*range.start(), *range.end()) {
                (first, last) if first == last => write!(f, "{first}")?,
                (first, u64::MAX) => write!(f, "{first}..")?,
                (first, last) => write!(f, "{first}..{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_writes() {
        for text in ["7", "1..", "5..20", "3,5,9", "1..4,10.."] {
            assert_eq!(text.parse::<Numbers>().unwrap().to_string(), text);
        }
        for text in ["", "x", "1..x", "9..1", "1,,2", "..5", "-1"] {
            let error = text.parse::<Numbers>().unwrap_err().to_string();
            assert!(error.contains(&format!("'{text}'")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn those_within_are_those_contained(
            ranges in proptest::collection::vec((0_u64..40, 0_u64..40), 1..6),
            first in 0_u64..40,
            last in 0_u64..40,
        ) {
            let ranges = ranges.into_iter().map(|(a, b)| a.min(b)..=a.max(b)).collect();
            let numbers = Numbers { ranges };
            let found: Vec<u64> = numbers.within(first..=last).collect();
            let expected: Vec<u64> = (first..=last).filter(|n| numbers.contains(*n)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
