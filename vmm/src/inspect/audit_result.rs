//! What every audit answers with.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// Findings that a result keeps; further ones are only counted, so that a thoroughly broken guest
/// cannot fill the report.
pub const MAX_FINDINGS: usize = 16;

/// How an audit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything was checked and nothing found.
    Held,
    /// Something was found.
    Violated,
    /// It could not be checked; the only finding says why. This is not a pass.
    Skipped,
}

/// One audit's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AuditResult {
    /// Short name, in lower case with hyphens.
    pub name: String,
    /// What it checks, in half a sentence.
    pub checks: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What was found, at most [`MAX_FINDINGS`] entries.
    pub findings: Vec<String>,
    /// How much was found in all.
    pub total: u64,
}

impl AuditResult {
    /// The result of an audit that could not be made.
    pub fn skipped(name: &str, checks: &str, why: impl fmt::Display) -> Self {
        Self {
            name: name.into(),
            checks: checks.into(),
            outcome: Outcome::Skipped,
            findings: vec![why.to_string()],
            total: 0,
        }
    }

    /// Whether it was made and found nothing.
    pub fn held(&self) -> bool {
        self.outcome == Outcome::Held
    }

    /// Whether it was made and found something.
    pub fn violated(&self) -> bool {
        self.outcome == Outcome::Violated
    }
}

/// Findings as an audit gathers them.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    kept: Vec<String>,
    total: u64,
}

impl Findings {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one. Formats it only if it will be kept: `findings.add(|| format!(…))`.
    pub fn add(&mut self, finding: impl FnOnce() -> String) {
        self.total += 1;
        if self.kept.len() < MAX_FINDINGS {
            self.kept.push(finding());
        }
    }

    /// Adds one unless `holds`.
    pub fn require(&mut self, holds: bool, finding: impl FnOnce() -> String) {
        if !holds {
            self.add(finding);
        }
    }

    /// The result of an audit that looked at everything it had to: held if it found nothing.
    pub fn into_result(self, name: &str, checks: &str) -> AuditResult {
        AuditResult {
            name: name.into(),
            checks: checks.into(),
            outcome: if self.total == 0 {
                Outcome::Held
            } else {
                Outcome::Violated
            },
            findings: self.kept,
            total: self.total,
        }
    }

    /// How many there are, those that were not kept included.
    pub fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_found_means_held() {
        let result = Findings::new().into_result("x", "y");
        assert_eq!((result.outcome, result.total), (Outcome::Held, 0));
    }

    #[test]
    fn all_findings_are_counted_and_the_first_are_kept() {
        let mut findings = Findings::new();
        for n in 0..1000 {
            findings.require(n % 2 == 0, || format!("{n} is odd"));
        }
        let result = findings.into_result("even", "all numbers are even");
        assert_eq!((result.outcome, result.total), (Outcome::Violated, 500));
        assert_eq!(result.findings.len(), MAX_FINDINGS);
        assert_eq!(result.findings[1], "3 is odd");
    }

    #[test]
    fn skipped_is_not_held() {
        let result = AuditResult::skipped("x", "y", "no baseline");
        assert_eq!((result.outcome, result.total), (Outcome::Skipped, 0));
        assert_eq!(result.findings, ["no baseline"]);
    }
}
