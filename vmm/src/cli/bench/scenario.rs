//! The default scenario, beside the same machine that only boots.

use super::{super::output::Failure, cold_start, statistics::Pairs};
use crate::scenario::{self, RunConfig};
use std::time::{Duration, Instant};

/// Measures whole runs, audits included.
pub(super) fn measure(runs: u32) -> Result<String, Failure> {
    let pairs = Pairs::take(runs.min(5), default, cold_start::boot)?;
    Ok(format!(
        "scenario     default scenario {:>9.1} ms   boot only {:>11.1} ms   ratio {:>7.2}\n",
        pairs.own() * 1e3,
        pairs.peer() * 1e3,
        pairs.ratio()
    ))
}

fn default() -> Result<Duration, Failure> {
    let start = Instant::now();
    let report = scenario::run(&RunConfig::default())?;
    if report.verdict != crate::report::Verdict::Held {
        return Err(format!(
            "the default scenario did not hold: {}",
            report.reasons.join("; ")
        )
        .into());
    }
    Ok(start.elapsed())
}
