//! A run that is kept in a file where it stopped, and goes on in another process.

use super::{
    Inspection, RunConfig, RunError, actions::Actions, observe::Observer, recorder::Recorder,
    run::Run, turns::Turns,
};
use crate::{
    devices::serial::ProgramOutput,
    fault::FaultSpec,
    inspect::audit::Baseline,
    machine::{Machine, Outputs, Snapshot, snapshot::file::SnapshotFileError},
    program::Program,
    report::Report,
    size::ByteSize,
};
use serde::{Deserialize, Serialize};
use std::{
    io::{self, Write},
    path::Path,
    time::Instant,
};

/// Bytes that are kept of each of a program's outputs.
const MAX_OUTPUT: usize = 16 << 20;

/// What the run knows beside its machine.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    memory: u64,
    zones: String,
    zone_limits: Option<String>,
    workload: String,
    program: Option<Program>,
    seed: u64,
    /// Faults that were armed: the guest has them.
    armed: Vec<String>,
    baseline: Option<Baseline>,
    turns: Turns,
}

/// How a run goes on.
#[derive(Clone, Debug, Default)]
pub struct Resume {
    /// Whether what a program writes from here on goes to this process's own standard streams as well.
    pub forward: bool,
    /// What to inspect at the end.
    pub inspect: Vec<Inspection>,
}

impl Kept {
    pub(super) fn new(
        config: &RunConfig,
        armed: &[FaultSpec],
        observer: &Observer,
        turns: &Turns,
    ) -> Self {
        Self {
            memory: config.memory.0,
            zones: config.zones.name().to_owned(),
            zone_limits: config.zone_limits.map(|limits| limits.to_string()),
            workload: config.workload.clone(),
            program: config.program.clone(),
            seed: config.seed,
            armed: armed.iter().map(ToString::to_string).collect(),
            baseline: observer.baseline.clone(),
            turns: turns.clone(),
        }
    }

    /// Writes a snapshot of the machine with all this.
    pub(super) fn save(&self, machine: &mut Machine, path: &Path) -> Result<(), RunError> {
        let note = serde_json::to_string(self)
            .map_err(|error| failed(path)(SnapshotFileError::Senseless(error.to_string())))?;
        machine.snapshot()?.save(path, &note).map_err(failed(path))
    }

    /// The configuration that the rest of the run has.
    fn config(&self, how: &Resume) -> Result<RunConfig, String> {
        let limits = self.zone_limits.as_ref().map(|limits| limits.parse());
        Ok(RunConfig {
            memory: ByteSize(self.memory),
            zones: self.zones.parse().map_err(|error| format!("{error}"))?,
            zone_limits: limits.transpose().map_err(|error| format!("{error}"))?,
            workload: self.workload.clone(),
            program: self.program.clone(),
            seed: self.seed,
            inspect: how.inspect.clone(),
            ..RunConfig::default()
        })
    }
}

/// Goes on with a run that was kept in the file `path`, to its end. What is reported is the whole run, but
/// of the audits only those that are made from here on.
///
/// # Errors
/// [`RunError::SnapshotFile`] if the file cannot be used, otherwise as [`scenario::run`](super::run).
pub fn resume(path: &Path, how: &Resume) -> Result<Report, RunError> {
    let started = Instant::now();
    let (snapshot, note) = Snapshot::load(path).map_err(failed(path))?;
    let senseless = |error: String| failed(path)(SnapshotFileError::Senseless(error));
    let kept: Kept = serde_json::from_str(&note).map_err(|error| senseless(error.to_string()))?;
    let config = kept.config(how).map_err(senseless)?;
    let mut actions = Actions::new(&config)?;
    let armed = kept.armed.iter().map(|text| text.parse::<FaultSpec>());
    actions.armed = armed
        .collect::<Result<_, _>>()
        .map_err(|error| senseless(error.to_string()))?;
    let streams: [Box<dyn Write + Send>; 2] = [Box::new(io::stdout()), Box::new(io::stderr())];
    let program = streams.map(|stream| {
        let output = ProgramOutput::new(MAX_OUTPUT);
        if how.forward {
            output.with_forward(stream)
        } else {
            output
        }
    });
    let mut machine = snapshot.fork(Outputs {
        console: None,
        program: Some(program),
    })?;
    let mut run = Run::new(&config, &mut machine, actions, Recorder::none(), started);
    run.observer.baseline = kept.baseline;
    run.turns = kept.turns;
    let ending = run.rejoin()?;
    run.report(ending)
}

fn failed(path: &Path) -> impl FnOnce(SnapshotFileError) -> RunError {
    |source| RunError::SnapshotFile {
        path: path.to_owned(),
        source,
    }
}
