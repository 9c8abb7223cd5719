//! What became of an experiment, in one word.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What became of an experiment. Only [`Class::Masked`] and [`Class::DetectedRecovered`] say that all went
/// well; [`Class::NotActivated`] and [`Class::Skipped`] say that nothing is known.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The fault did not come about: the run never came to it.
    NotActivated,
    /// The fault came about and made no difference: the same trace, the same output, the same end.
    Masked,
    /// The guest took another way, and the program's output and end are those of the golden run.
    DetectedRecovered,
    /// An error reached the program, or somebody was killed for want of memory; all audits held.
    DetectedUnrecoverable,
    /// An audit is violated, a content is not as written, or the output is wrong and nobody was told.
    Corruption,
    /// The guest panicked, or its CPU could not go on.
    Crash,
    /// The guest gave no sign of life, waits for what will not come, or used up its events.
    Hang,
    /// It could not be judged: an audit or a probe could not be made. Never a pass.
    Skipped,
}

impl Class {
    /// All, in the order of reports.
    pub const ALL: [Self; 8] = [
        Self::NotActivated,
        Self::Masked,
        Self::DetectedRecovered,
        Self::DetectedUnrecoverable,
        Self::Corruption,
        Self::Crash,
        Self::Hang,
        Self::Skipped,
    ];

    /// The name in records and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotActivated => "not-activated",
            Self::Masked => "masked",
            Self::DetectedRecovered => "detected-recovered",
            Self::DetectedUnrecoverable => "detected-unrecoverable",
            Self::Corruption => "corruption",
            Self::Crash => "crash",
            Self::Hang => "hang",
            Self::Skipped => "skipped",
        }
    }

    /// Whether the guest's kernel is at fault.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Corruption | Self::Crash | Self::Hang)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_that_of_the_record() {
        for class in Class::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
        }
    }
}
