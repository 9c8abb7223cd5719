//! Going back to a snapshot, and what an experiment costs beyond that and the guest's own execution.

use super::{super::output::Failure, peer::Mapping, statistics::Pairs};
use crate::{
    machine::{Machine, Outputs, Snapshot, Stop},
    report::{Report, Verdict},
    scenario::{Experimenter, ForkPoint, RunConfig},
    size::ByteSize,
};
use pagelab_abi::{
    platform::{Doorbell, ExitCode},
    view::ViewKind,
    workload::Phase,
};
use std::{
    fmt::Write,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};
use vm_memory::{Bytes, GuestAddress};

/// Bytes of the machine that goes back.
const MEMORY: u64 = 64 << 20;

/// Pages that were stored to since the snapshot.
const DIRTY: [u64; 3] = [1, 100, 1000];

/// Experiments of which each thread makes as many.
const EACH: u32 = 2;

/// The golden run: objects of all sizes.
fn config() -> RunConfig {
    RunConfig {
        memory: ByteSize(MEMORY),
        workload: "kmalloc".to_owned(),
        ..RunConfig::default()
    }
}

/// Restores beside copies of the same RAM.
pub(super) fn restore(runs: u32) -> Result<String, Failure> {
    let point = ForkPoint::boot(&config())?;
    let mut machine = point.snapshot().fork(Outputs::default())?;
    let [mut from, mut to] = [
        Mapping::new(MEMORY as usize)?,
        Mapping::new(MEMORY as usize)?,
    ];
    from.touch();
    to.touch();
    let mut text = String::new();
    for pages in DIRTY {
        let pairs = Pairs::take(
            runs,
            || dirty_and_restore(&mut machine, point.snapshot(), pages),
            || {
                let start = Instant::now();
                to.copy_from(&from);
                Ok::<_, Failure>(start.elapsed())
            },
        )?;
        writeln!(
            text,
            "restore      {pages:>4} pages stored to {:>9.1} us   64M copied {:>9.1} us   ratio {:>7.4}",
            pairs.own() * 1e6,
            pairs.peer() * 1e6,
            pairs.ratio()
        )?;
    }
    Ok(text)
}

/// Stores to the first pages of the snapshot's upper half, and takes that back.
fn dirty_and_restore(
    machine: &mut Machine,
    snapshot: &Snapshot,
    pages: u64,
) -> Result<Duration, Failure> {
    for page in 0..pages {
        let address = GuestAddress(MEMORY / 2 + page * 4096);
        machine.memory().write_obj(1_u64, address)?;
    }
    let start = Instant::now();
    machine.restore(snapshot)?;
    Ok(start.elapsed())
}

/// Experiments beside their parts, threads beside one, and recording beside none.
pub(super) fn campaign(runs: u32) -> Result<String, Failure> {
    let config = config();
    let point = ForkPoint::boot(&config)?;
    let mut experimenter = point.experimenter()?;
    let mut machine = point.snapshot().fork(Outputs::default())?;
    let whole = Pairs::take(
        runs,
        || timed(|| held(experimenter.run(&config)?)),
        || timed(|| bare(&mut machine, point.snapshot(), false)),
    )?;
    let pages = experimenter.restored().map_or(0, |restored| restored.pages);
    let mut other = point.snapshot().fork(Outputs::default())?;
    let recorded = Pairs::take(
        runs,
        || timed(|| bare(&mut machine, point.snapshot(), true)),
        || timed(|| bare(&mut other, point.snapshot(), false)),
    )?;
    let threads = Pairs::take(
        runs,
        || timed(|| on_threads(&point, &config, 2)),
        || timed(|| on_threads(&point, &config, 1)),
    )?;
    let mut text = String::new();
    writeln!(
        text,
        "campaign     an experiment {:>15.2} ms   restore and guest {:>8.2} ms   ratio {:>5.2}\n\
         {:13}({pages} pages were stored to)",
        whole.own() * 1e3,
        whole.peer() * 1e3,
        whole.ratio(),
        ""
    )?;
    writeln!(
        text,
        "             each event recorded {:>9.2} ms   none {:>21.2} ms   ratio {:>5.2}",
        recorded.own() * 1e3,
        recorded.peer() * 1e3,
        recorded.ratio()
    )?;
    writeln!(
        text,
        "             2 threads {:>12.1} runs/s   1 thread {:>13.1} runs/s   ratio {:>5.2}",
        2.0 * f64::from(EACH) / threads.own(),
        f64::from(EACH) / threads.peer(),
        2.0 / threads.ratio()
    )?;
    Ok(text)
}

fn timed(run: impl FnOnce() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed())
}

/// Refuses a run that is none to be measured.
fn held(report: Report) -> Result<(), Failure> {
    match report.verdict {
        Verdict::Held => Ok(()),
        _ => Err(format!("the run did not hold: {}", report.reasons.join("; ")).into()),
    }
}

/// Goes back and lets the guest run to its end, and looks at nothing but its records of events, if it has to
/// write them.
fn bare(machine: &mut Machine, snapshot: &Snapshot, records: bool) -> Result<(), Failure> {
    machine.restore(snapshot)?;
    if records {
        machine.root_page()?.start_recording()?;
    }
    loop {
        let stop = machine.run()?;
        if records {
            machine.root_page()?.take_events()?;
        }
        match stop {
            Stop::Doorbell(Doorbell::Phase) => ask_for_views(machine)?,
            Stop::Doorbell(_) => {}
            Stop::Exit(ExitCode::Success) => return Ok(()),
            other => return Err(format!("the guest did not just run: {other:?}").into()),
        }
    }
}

/// The guest writes them at the end of every run.
fn ask_for_views(machine: &Machine) -> Result<(), Failure> {
    let page = machine.root_page()?;
    if page.read()?.progress.phase.load(Relaxed) == Phase::Teardown as u32 {
        page.set_views_wanted((1 << ViewKind::ALL.len()) - 1)?;
    }
    Ok(())
}

/// As many experiments on each of so many threads.
fn on_threads(point: &ForkPoint, config: &RunConfig, threads: u32) -> Result<(), Failure> {
    let work = |mut experimenter: Experimenter| {
        for _ in 0..EACH {
            held(
                experimenter
                    .run(config)
                    .map_err(|error| error.to_string())?,
            )
            .map_err(|error| error.to_string())?;
        }
        Ok::<(), String>(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let point = point.clone();
                scope.spawn(move || {
                    let experimenter = point.experimenter();
                    work(experimenter.map_err(|error| error.to_string())?)
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| {
            let result = worker.join().map_err(|_| "a worker panicked".to_owned());
            result.flatten().map_err(Failure::from)
        })
    })
}
