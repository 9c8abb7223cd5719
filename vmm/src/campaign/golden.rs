//! The run without faults, which all others are held against.

use super::{
    experiment::Experiment,
    output_hash,
    record::{Golden, Timeline},
};
use crate::{
    report::{Report, Verdict},
    scenario::{self, Check, Mode, RunConfig, RunError},
};
use thiserror::Error;

/// Events that an experiment may take if the file does not say: so many times the golden run's …
const FACTOR: u64 = 4;
/// … and so many more.
const EXTRA: u64 = 10_000;

/// What judging needs to know of the golden run.
#[derive(Debug)]
pub struct GoldenRun {
    /// Its report.
    pub report: Report,
    /// What records say of it.
    pub summary: Golden,
}

/// Why nothing can be held against the golden run.
#[derive(Debug, Error)]
pub enum GoldenError {
    /// It could not be made.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Something does not hold even without faults.
    #[error(
        "the steady state is not met: without any fault, {0}; repair the workload, the machine or the \
         probe, and see with `pagelab run` what happens"
    )]
    NotSteady(String),
    /// Two runs of it differ.
    #[error(
        "the run without faults does not repeat: its traces are {0} and {1}; a program that uses the \
         host's time or RDRAND does that"
    )]
    NotRepeated(String, String),
}

/// Runs the experiment without faults, twice, and sees that all holds.
///
/// # Errors
/// [`GoldenError`] says what does not hold.
pub fn run(experiment: &Experiment) -> Result<GoldenRun, GoldenError> {
    let mut golden = once(experiment)?.map_err(GoldenError::NotSteady)?;
    let mut timeline = Timeline::new();
    let again = scenario::run_recorded(&experiment.config, &mut timeline)?;
    if again.trace_hash != golden.report.trace_hash {
        return Err(GoldenError::NotRepeated(
            golden.report.trace_hash,
            again.trace_hash,
        ));
    }
    golden.summary.timeline = timeline.points();
    Ok(golden)
}

/// Runs the experiment without faults. Instead of a golden run there is the reason why it is none, if not all
/// holds.
///
/// # Errors
/// If the run cannot be made.
pub(super) fn once(experiment: &Experiment) -> Result<Result<GoldenRun, String>, RunError> {
    let report = scenario::run(&experiment.config)?;
    if let Some(reason) = objection(experiment, &report) {
        return Ok(Err(reason));
    }
    let timeout = experiment.explore.timeout;
    let event_limit =
        timeout.unwrap_or_else(|| report.events.saturating_mul(FACTOR).saturating_add(EXTRA));
    if event_limit <= report.events {
        let events = report.events;
        let reason = format!("it takes {events} events, and timeout allows {event_limit}");
        return Ok(Err(reason));
    }
    let summary = Golden {
        trace_hash: report.trace_hash.clone(),
        output_hash: output_hash(&report),
        events: report.events,
        boot_events: report.boot.events,
        audits: report.audits.len() as u64,
        event_limit,
        timeline: Vec::new(),
    };
    Ok(Ok(GoldenRun { report, summary }))
}

/// What is wrong with a run without faults.
fn objection(experiment: &Experiment, report: &Report) -> Option<String> {
    if report.verdict != Verdict::Held {
        return Some(report.reasons.join("; "));
    }
    if let Some(program) = &report.program
        && program.status != Some(experiment.status)
    {
        let expected = experiment.status;
        return Some(format!("{program}, and not with status {expected}"));
    }
    missing(experiment, report)
}

/// A probe that asks for an audit that was not made when it should have been.
pub(super) fn missing(experiment: &Experiment, report: &Report) -> Option<String> {
    let found = experiment.steady_state.iter().find(|probe| {
        let Check::Audit(name) = &probe.check else {
            return false;
        };
        let made = |audit: &&crate::report::Audit| {
            audit.result.name == *name
                && (probe.mode == Mode::Continuous || probe.is_due(&audit.moment))
        };
        !report.audits.iter().any(|audit| made(&audit))
    })?;
    let mode = match found.mode {
        Mode::Start => "at the end of boot",
        Mode::End => "at the end",
        Mode::Continuous => "at all",
    };
    Some(format!("audit {} is not made {mode}", found.check.text()))
}

/// The run of an experiment with these faults.
pub(super) fn config(experiment: &Experiment, golden: &Golden) -> RunConfig {
    RunConfig {
        event_limit: Some(golden.event_limit),
        ..experiment.config.clone()
    }
}
