//! From what was done and seen to the report.

use super::{
    RunConfig,
    actions::{self, Actions},
    deadlock,
    ending::Ending,
    host_act,
    observe::Observer,
};
use crate::{
    devices::{Shared, lock, serial::ProgramOutput},
    inspect::audit::Relief,
    machine::{Machine, doctor::Backend},
    report::{
        Config, FORMAT, Faults, Host, Injector, KindCount, Pressure, Program, Report, Swap,
        Verdict, Workload,
    },
    size::ByteSize,
};
use pagelab_abi::{event::EventKind, root::Root, workload::Progress};
use std::{sync::atomic::Ordering::Relaxed, time::Duration};

/// Writes the report of a run that is over.
pub(super) fn report(
    config: &RunConfig,
    machine: &Machine,
    actions: &Actions,
    observer: Observer,
    ending: Ending,
    total: Duration,
) -> Report {
    // A guest that died before it named its root page still gets a report.
    let root = machine.root().unwrap_or_default();
    let workload = workload(&root.progress);
    let program = program(config, machine, &root);
    let mut reasons = ending.reasons;
    let came_to_its_end = ending.verdict == Verdict::Held && ending.stopped_at.is_none();
    if came_to_its_end && program.as_ref().is_some_and(Program::is_unknown) {
        reasons.push("the guest did not say how the program ended".to_owned());
    }
    let (verdict, reasons) = judge(ending.verdict, reasons, &workload, &observer);
    let (verdict, reasons) = match deadlock::reason(&root.program.deadlock) {
        Some(reason) if verdict == Verdict::Held => (Verdict::Deadlocked, vec![reason]),
        Some(reason) => (verdict, [reasons, vec![reason]].concat()),
        None => (verdict, reasons),
    };
    Report {
        format: FORMAT,
        verdict,
        reasons,
        trace_hash: format!("{:016x}", root.clock.hash.load(Relaxed)),
        events: root.clock.count.load(Relaxed),
        stopped_at: ending.stopped_at,
        config: describe(config, actions),
        events_by_kind: events_by_kind(&root),
        faults: faults(machine, &root, actions),
        workload,
        program,
        swap: machine.swap().map(|disk| Swap {
            size: ByteSize(disk.size()),
            device: disk.counters(),
            guest: (&root.swap_io).into(),
        }),
        disk: machine.disk().map(|disk| Swap {
            size: ByteSize(disk.size()),
            device: disk.counters(),
            guest: (&root.file_io).into(),
        }),
        oom: (&root.oom).into(),
        memory_groups: observer.memory_groups,
        pressure: pressure(machine, actions, observer.relief),
        zones: observer.zones,
        boot: observer.boot,
        page_table: observer.page_table,
        audits: observer.audits,
        views: observer.views,
        crash: ending.crash,
        console: ending.console,
        host: Host {
            backend: Backend::claimed().to_string(),
            first_line_us: machine
                .first_line()
                .map_or(0, |line| line.elapsed.as_micros() as u64),
            boot_us: observer.boot_time.as_micros() as u64,
            total_us: total.as_micros() as u64,
        },
    }
}

/// The verdict, with all that speaks against the guest.
fn judge(
    verdict: Verdict,
    mut reasons: Vec<String>,
    workload: &Workload,
    observer: &Observer,
) -> (Verdict, Vec<String>) {
    for audit in observer.failed() {
        reasons.push(format!("audit {} at {}", audit.result.name, audit.moment));
    }
    if workload.mismatches > 0 {
        reasons.push(format!(
            "{} contents were not as written",
            workload.mismatches
        ));
    }
    let violated = verdict == Verdict::Held && !reasons.is_empty();
    (if violated { Verdict::Violated } else { verdict }, reasons)
}

fn describe(config: &RunConfig, actions: &Actions) -> Config {
    Config {
        memory: config.memory,
        zones: config.zones.name(),
        zone_limits: config.zone_limits.map(|limits| limits.to_string()),
        workload: config.workload.clone(),
        seed: config.seed,
        pressure: actions
            .profile
            .as_ref()
            .map(|profile| profile.text().to_owned()),
        faults: actions
            .armed
            .iter()
            .map(ToString::to_string)
            .chain(config.bitflips.iter().map(ToString::to_string))
            .chain(config.host_faults.iter().map(ToString::to_string))
            .collect(),
    }
}

fn events_by_kind(root: &Root) -> Vec<KindCount> {
    EventKind::ALL
        .into_iter()
        .map(|kind| KindCount {
            kind: kind.name(),
            count: root.clock.by_kind[kind as usize - 1].load(Relaxed),
        })
        .filter(|entry| entry.count > 0)
        .collect()
}

fn workload(progress: &Progress) -> Workload {
    Workload {
        steps: progress.steps.load(Relaxed),
        pages_ok: progress.pages_ok.load(Relaxed),
        pages_failed: progress.pages_failed.load(Relaxed),
        objects_ok: progress.objects_ok.load(Relaxed),
        objects_failed: progress.objects_failed.load(Relaxed),
        kmaps: progress.kmaps.load(Relaxed),
        checks: progress.checks.load(Relaxed),
        mismatches: progress.mismatches.load(Relaxed),
        held: progress.held.load(Relaxed),
    }
}

/// What became of the program, if there was one.
fn program(config: &RunConfig, machine: &Machine, root: &Root) -> Option<Program> {
    let program = config.program.as_ref()?;
    let outputs = machine.program()?;
    let text = |output: &Shared<ProgramOutput>| {
        let output = lock(output);
        let text = String::from_utf8_lossy(output.kept()).into_owned();
        (text, output.dropped())
    };
    let [(stdout, dropped_out), (stderr, dropped_err)] = outputs.each_ref().map(text);
    let ended = root.program.ended.load(Relaxed) != 0;
    let status = root.program.status.load(Relaxed);
    let signal = status & 0x7f;
    let lossy = |text: &std::ffi::OsString| text.to_string_lossy().into_owned();
    Some(Program {
        path: program.guest_path().to_owned(),
        argv: program.argv().iter().map(lossy).collect(),
        status: (ended && signal == 0).then_some((status >> 8) as u8),
        signal: (ended && signal != 0).then_some(signal as u8),
        stdout,
        stderr,
        not_started: root.program.not_started.load(Relaxed) != 0,
        failed_calls: root.program.failed_calls.load(Relaxed),
        exceptions: root.program.exceptions.load(Relaxed),
        dropped: dropped_out.saturating_add(dropped_err),
    })
}

fn pressure(machine: &Machine, actions: &Actions, relief: Relief) -> Pressure {
    let peak = actions
        .samples
        .iter()
        .map(|sample| sample.achieved)
        .max()
        .unwrap_or(0);
    Pressure {
        profile: actions
            .profile
            .as_ref()
            .map(|profile| profile.text().to_owned()),
        samples: actions.samples.clone(),
        peak: ByteSize(peak),
        balloon: machine.balloon().map(|balloon| balloon.counters()),
        relief,
    }
}

/// Who coped with the failures: those that the workload saw while faults were armed were reported
/// to it; the others were absorbed below it.
fn faults(machine: &Machine, root: &Root, actions: &Actions) -> Faults {
    let injectors = actions
        .injected(machine, root)
        .into_iter()
        .map(|(kind, injected)| {
            let before = actions.failed_before(kind);
            let reported = actions::reported(root, kind)
                .saturating_sub(before)
                .min(injected.injected);
            Injector {
                name: kind.name(),
                armed: actions
                    .armed
                    .iter()
                    .filter(|spec| spec.kind == kind)
                    .map(ToString::to_string)
                    .collect(),
                seen: injected.seen,
                injected: injected.injected,
                reported,
                absorbed: injected.injected - reported,
            }
        })
        .collect();
    Faults {
        injectors,
        bitflips: actions.flips.clone(),
        host_acts: host_act::with_outcomes(machine, &actions.host_acts),
    }
}
