//! What must stay the same of a failure.

use crate::campaign::record::{Class, End, Record};
use std::collections::BTreeSet;

/// How an experiment fails: its class, and by what it is told from others of that class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) class: Class,
    /// Audits that are violated; what a crash is put down to, without its numbers.
    about: BTreeSet<String>,
    /// How the program ended, where nothing but the program says that anything is wrong.
    end: Option<End>,
}

impl Signature {
    pub(super) fn of(record: &Record) -> Self {
        let about = match record.class {
            Class::Crash => record.reasons.iter().map(|text| nameless(text)).collect(),
            _ => {
                let violated = record.audits.iter().filter(|audit| !audit.skipped);
                violated.map(|audit| audit.name.clone()).collect()
            }
        };
        Self {
            class: record.class,
            about,
            end: match record.class {
                Class::DetectedUnrecoverable => record.end,
                _ => None,
            },
        }
    }

    /// Whether the failure is one only beside a run without faults: by what the program wrote, or how it ended.
    pub(super) fn is_relative(&self) -> bool {
        match self.class {
            Class::Crash | Class::Hang => false,
            _ => self.about.is_empty(),
        }
    }

    /// Whether it shows from an event on.
    pub(super) fn has_first_event(&self) -> bool {
        self.class == Class::Corruption && !self.about.is_empty()
    }
}

/// A text without what has digits in it: addresses and counts differ from run to run.
fn nameless(text: &str) -> String {
    let words = text
        .split_whitespace()
        .filter(|word| !word.contains(|letter: char| letter.is_ascii_digit()));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_told_without_its_numbers() {
        let [one, other] = ["object 0x1f00 is free", "object 0x2ac0 is free"];
        assert_eq!(nameless(one), nameless(other));
        assert_ne!(nameless(one), nameless("object 0x2ac0 is broken"));
    }
}
