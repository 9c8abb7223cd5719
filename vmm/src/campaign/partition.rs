//! Which part of a campaign one machine does: `--partition slice:3/8`, `hash:3/8` or `auto`.

mod auto;

pub use auto::{AutoError, from_environment};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// A part of a campaign. All parts of one campaign together hold each experiment once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct Partition {
    /// How experiments are dealt out.
    pub method: Method,
    /// Which part, 1 to `of`.
    pub index: u64,
    /// Parts, at least 1.
    pub of: u64,
}

/// How experiments are dealt out to the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// In turn: experiment 0 to part 1, experiment 1 to part 2, so that parts take as long as one another.
    Slice,
    /// By a hash of the experiment's number, so that neighbours, which may be much alike, come apart.
    Hash,
}

/// Why a text names no part.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "'{0}' is no part of a campaign; write slice:M/N or hash:M/N with M from 1 to N, such as \
     slice:3/8, or auto to take it from SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX or CI_NODE_INDEX"
)]
pub struct PartitionError(String);

impl Partition {
    /// Whether the experiment of this number is in this part.
    pub const fn contains(self, id: u64) -> bool {
        let number = match self.method {
            Method::Slice => id,
            Method::Hash => mix(id),
        };
        number % self.of == self.index - 1
    }
}

/// The finisher of MurmurHash3 (Appleby, 2011), for 64 bits: each bit of the number moves all others.
const fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    number = (number ^ (number >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ (number >> 33)
}

impl FromStr for Partition {
    type Err = PartitionError;

    fn from_str(text: &str) -> Result<Self, PartitionError> {
        let bad = || PartitionError(text.to_owned());
        let (method, share) = text.split_once(':').ok_or_else(bad)?;
        let (index, of) = share.split_once('/').ok_or_else(bad)?;
        let part = Self {
            method: match method {
                "slice" => Method::Slice,
                "hash" => Method::Hash,
                _ => return Err(bad()),
            },
            index: index.parse().map_err(|_| bad())?,
            of: of.parse().map_err(|_| bad())?,
        };
        match (1..=part.of).contains(&part.index) {
            true => Ok(part),
            false => Err(bad()),
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self.method {
            Method::Slice => "slice",
            Method::Hash => "hash",
        };
        write!(f, "{method}:{}/{}", self.index, self.of)
    }
}

impl Serialize for Partition {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Partition {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_writes_and_refuses() {
        for text in ["slice:1/1", "hash:8/8", "slice:3/8"] {
            assert_eq!(text.parse::<Partition>().unwrap().to_string(), text);
        }
        for text in [
            "slice:0/8",
            "slice:9/8",
            "slice:1",
            "part:1/2",
            "1/2",
            "slice:1/0",
            "auto",
        ] {
            let error = text.parse::<Partition>().unwrap_err().to_string();
            assert!(
                error.contains(text) && error.contains("slice:3/8"),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn each_experiment_is_in_one_part(id: u64, of in 1_u64..50, hash: bool) {
            let method = if hash { Method::Hash } else { Method::Slice };
            let parts = (1..=of).map(|index| Partition { method, index, of });
            prop_assert_eq!(parts.filter(|part| part.contains(id)).count(), 1);
        }
    }

    #[test]
    fn hashed_parts_are_of_about_one_size() {
        for index in 1..=8 {
            let part = Partition {
                method: Method::Hash,
                index,
                of: 8,
            };
            let size = (0..8000).filter(|id| part.contains(*id)).count();
            assert!((850..1150).contains(&size), "{size}");
        }
    }
}
