//! What became of an experiment, judged from outside.

use super::{
    experiment::Experiment,
    golden::{self, GoldenRun},
    output_hash,
    record::{AuditFailure, Class, Counts, End},
};
use crate::{
    inspect::Outcome,
    report::{Program, Report, Verdict},
};

/// The judgement of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What became of it.
    pub class: Class,
    /// Why.
    pub reasons: Vec<String>,
    /// Audits and probes that did not hold.
    pub audits: Vec<AuditFailure>,
    /// What was counted.
    pub counts: Counts,
    /// How the program ended.
    pub end: Option<End>,
}

/// Judges a run.
pub fn judge(experiment: &Experiment, golden: &GoldenRun, report: &Report) -> Judgement {
    let counts = counts(report);
    let audits = failures(report);
    let (class, reasons) = classify(experiment, golden, report, &counts, &audits);
    Judgement {
        class,
        reasons,
        counts,
        end: report.program.as_ref().and_then(end),
        audits,
    }
}

fn classify(
    experiment: &Experiment,
    golden: &GoldenRun,
    report: &Report,
    counts: &Counts,
    audits: &[AuditFailure],
) -> (Class, Vec<String>) {
    let reasons = || report.reasons.clone();
    match report.verdict {
        Verdict::Panicked | Verdict::TripleFault | Verdict::EmulationFailure => {
            let panic = report.crash.as_ref().and_then(|crash| crash.panic.as_ref());
            let message = panic.map(|panic| panic.message.clone());
            return (Class::Crash, reasons().into_iter().chain(message).collect());
        }
        Verdict::Hung | Verdict::Deadlocked => return (Class::Hang, reasons()),
        Verdict::Unfit => return (Class::Skipped, reasons()),
        Verdict::Held | Verdict::Violated => {}
    }
    let of_skipped = |name: &str| {
        audits
            .iter()
            .any(|audit| audit.skipped && audit.name == name)
    };
    let violated = audits.iter().any(|audit| !audit.skipped);
    let program = report.program.as_ref();
    let not_started = program.filter(|program| program.not_started && !left_something(report));
    let others = report.verdict == Verdict::Violated && audits.is_empty() && not_started.is_none();
    if violated || others || report.workload.mismatches > 0 {
        return (Class::Corruption, reasons());
    }
    if let Some(audit) = audits.iter().find(|audit| of_skipped(&audit.name)) {
        let reason = format!("audit {} could not be made: {}", audit.name, audit.finding);
        return (Class::Skipped, vec![reason]);
    }
    if let Some(act) = report.faults.host_acts.iter().find(|act| act.skipped) {
        return (Class::Skipped, act.reason.clone().into_iter().collect());
    }
    if let Some(reason) = golden::missing(experiment, report) {
        return (Class::Skipped, vec![reason]);
    }
    if let Some(program) = not_started {
        let reason = format!("{} could not be started", program.path);
        return (Class::DetectedUnrecoverable, vec![reason]);
    }
    let squeezed = counts.balloon_peak > counts_of_golden(golden).balloon_peak;
    if counts.injected == 0 && !squeezed {
        return (Class::NotActivated, not_activated(report));
    }
    if report.trace_hash == golden.summary.trace_hash
        && output_hash(report) == golden.summary.output_hash
    {
        return (Class::Masked, Vec::new());
    }
    reached(golden, report, counts)
}

/// Whether the guest says that it has not given back all that it had.
fn left_something(report: &Report) -> bool {
    report
        .console
        .as_deref()
        .is_some_and(|console| console.contains("leak: "))
}

fn not_activated(report: &Report) -> Vec<String> {
    let flips = report.faults.bitflips.iter();
    let acts = report.faults.host_acts.iter();
    let reasons = flips.map(|flip| &flip.reason);
    let reasons = reasons.chain(acts.map(|act| &act.reason));
    reasons.flatten().cloned().collect()
}

/// The class of a run in which all holds and that took another way: whether an error came out of the kernel.
fn reached(golden: &GoldenRun, report: &Report, counts: &Counts) -> (Class, Vec<String>) {
    let before = counts_of_golden(golden);
    let mut reasons = Vec::new();
    if counts.oom_kills > before.oom_kills {
        reasons.push(format!("{} killed for want of memory", counts.oom_kills));
    }
    if counts.failed_calls > before.failed_calls {
        let more = counts.failed_calls - before.failed_calls;
        reasons.push(format!(
            "{more} more system calls failed for want of memory, a disk or a page"
        ));
    }
    if exceptions(report) > exceptions(&golden.report) {
        reasons.push("a program got a signal for what it did".to_owned());
    }
    match (&report.program, &golden.report.program) {
        (Some(program), Some(expected)) => {
            let ends_alike = end(program) == end(expected);
            if !ends_alike {
                reasons.push(program.to_string());
            }
            let writes_alike = program.stdout == expected.stdout
                && program.stderr == expected.stderr
                && program.dropped == expected.dropped;
            if !writes_alike && reasons.is_empty() {
                let reason = "the program wrote something else, and was told of no error";
                return (Class::Corruption, vec![reason.to_owned()]);
            }
        }
        _ if counts.reported > before.reported => {
            reasons.push(format!("{} errors reached the workload", counts.reported));
        }
        _ => {}
    }
    match reasons.is_empty() {
        true => (Class::DetectedRecovered, reasons),
        false => (Class::DetectedUnrecoverable, reasons),
    }
}

fn counts_of_golden(golden: &GoldenRun) -> Counts {
    counts(&golden.report)
}

fn counts(report: &Report) -> Counts {
    let injectors = &report.faults.injectors;
    let flipped = report
        .faults
        .bitflips
        .iter()
        .filter(|flip| flip.gpa.is_some());
    let done = report.faults.host_acts.iter().filter(|act| act.done);
    let injected: u64 = injectors.iter().map(|injector| injector.injected).sum();
    Counts {
        events: report.events,
        injected: injected + (flipped.count() + done.count()) as u64,
        reported: injectors.iter().map(|injector| injector.reported).sum(),
        failed_calls: report
            .program
            .as_ref()
            .map_or(0, |program| program.failed_calls),
        oom_kills: report.oom.count,
        audits: report.audits.len() as u64,
        balloon_peak: report.pressure.peak.0,
    }
}

fn exceptions(report: &Report) -> u64 {
    report
        .program
        .as_ref()
        .map_or(0, |program| program.exceptions)
}

fn end(program: &Program) -> Option<End> {
    let status = program.status.map(End::Status);
    status.or_else(|| program.signal.map(End::Signal))
}

fn failures(report: &Report) -> Vec<AuditFailure> {
    let failed = report.audits.iter().filter(|audit| !audit.result.held());
    let failure = |audit: &crate::report::Audit| AuditFailure {
        name: audit.result.name.clone(),
        moment: audit.moment.clone(),
        skipped: audit.result.outcome == Outcome::Skipped,
        finding: audit.result.findings.first().cloned().unwrap_or_default(),
    };
    failed.map(failure).collect()
}
