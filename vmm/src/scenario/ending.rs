//! How a run ended.

use super::plan;
use crate::{machine::crash::CrashReport, report::Verdict};

/// How a run ended.
#[derive(Debug)]
pub(super) struct Ending {
    /// What the machine itself said.
    pub(super) verdict: Verdict,
    /// Why that is not [`Verdict::Held`].
    pub(super) reasons: Vec<String>,
    /// The crash report, if there is one.
    pub(super) crash: Option<CrashReport>,
    /// What the guest wrote to its console, where that explains the verdict.
    pub(super) console: Option<String>,
    /// The event at which `--stop-at` ended the run.
    pub(super) stopped_at: Option<u64>,
}

impl Ending {
    pub(super) fn held() -> Self {
        Self {
            verdict: Verdict::Held,
            reasons: Vec::new(),
            crash: None,
            console: None,
            stopped_at: None,
        }
    }

    pub(super) fn crash(crash: CrashReport) -> Self {
        let verdict = plan::crash_verdict(&crash);
        let reason = crash.cause.to_string();
        Self {
            crash: Some(crash),
            ..Self::because(verdict, reason)
        }
    }

    pub(super) fn because(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            verdict,
            reasons: vec![reason.into()],
            ..Self::held()
        }
    }
}
