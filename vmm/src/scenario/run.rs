//! The run itself: lets the guest go from doorbell to doorbell and acts where it stands.
//!
//! * `past`: from where another run stood.
//! * `schedule`: what is to be done, as far as the end of boot knows it. `stops`: what a doorbell or an exit
//!   asks for. `acts`: what is due at an event. `audits`: those of a program that runs.

mod acts;
mod audits;
mod past;
mod schedule;
mod stops;

pub(super) use self::past::Past;

use self::{audits::FIRST_AUDIT, stops::of_root};
use super::{
    RunConfig, RunError,
    actions::Actions,
    agenda::{Action, Agenda},
    candidates::{Candidate, Observed},
    ending::Ending,
    kept::Kept,
    observe::{self, Observer},
    plan,
    recorder::Recorder,
    summary,
    turns::Turns,
};
use crate::{
    machine::{Machine, Stop},
    report::{Report, Verdict},
    trace::Sink,
};
use pagelab_abi::platform::Doorbell;
use std::{path::Path, time::Instant};

/// A run in progress.
pub(super) struct Run<'a, 's> {
    config: &'a RunConfig,
    machine: &'a mut Machine,
    agenda: Agenda,
    pub(super) actions: Actions,
    pub(super) observer: Observer,
    recorder: Recorder<'s>,
    pub(super) turns: Turns,
    /// The event at which the clock stops in any case: another run goes on from there.
    lead_to: Option<u64>,
    /// What to do where the clock's condition is met.
    armed: Option<Action>,
    /// The last event at which system calls were counted, and their number.
    calls_before: Option<(u64, u64)>,
    /// The requests that were to be observed.
    candidates: Vec<Candidate>,
    started: Instant,
}

/// Boots the guest, runs the workload, acts as configured, and judges.
///
/// # Errors
/// A host or an input that cannot be used. Whatever the guest does is no error: it is reported.
pub fn run(config: &RunConfig) -> Result<Report, RunError> {
    drive(config, Recorder::none(), |_| {})
}

/// As [`run`], and tells `sink` of each event from the end of boot on. The trace hash is that of a run
/// without.
///
/// # Errors
/// As [`run`], and [`RunError::Trace`] if `sink` fails.
pub fn run_recorded(config: &RunConfig, sink: &mut dyn Sink) -> Result<Report, RunError> {
    drive(config, Recorder::new(sink), |_| {})
}

/// As [`run`], with what was seen of the request that `config.observe` names.
pub(super) fn observed(config: &RunConfig) -> Result<Observed, RunError> {
    let mut candidates = Vec::new();
    let report = drive(config, Recorder::none(), |run| {
        candidates = std::mem::take(&mut run.candidates);
    })?;
    Ok(Observed { report, candidates })
}

/// Makes a run, and has `at_end` look at it before it is reported.
fn drive(
    config: &RunConfig,
    recorder: Recorder<'_>,
    at_end: impl FnOnce(&mut Run<'_, '_>),
) -> Result<Report, RunError> {
    let started = Instant::now();
    let actions = Actions::new(config)?;
    let mut machine = Machine::new(plan::machine(config))?;
    let mut run = Run::new(config, &mut machine, actions, recorder, started);
    let ending = run.drive()?;
    at_end(&mut run);
    run.report(ending)
}

impl<'a, 's> Run<'a, 's> {
    /// A run of a machine that has not come to the end of its boot.
    pub(super) fn new(
        config: &'a RunConfig,
        machine: &'a mut Machine,
        actions: Actions,
        recorder: Recorder<'s>,
        started: Instant,
    ) -> Self {
        Self {
            config,
            machine,
            agenda: Agenda::default(),
            actions,
            observer: Observer::new(config),
            recorder,
            turns: Turns::default(),
            lead_to: None,
            armed: None,
            calls_before: None,
            candidates: Vec::new(),
            started,
        }
    }

    /// Saves what is to be kept of a run that is over, and reports it.
    pub(super) fn report(mut self, ending: Ending) -> Result<Report, RunError> {
        self.machine.end_slow_memory();
        self.recorder.finish(self.machine)?;
        let total = self.started.elapsed();
        if let (Some(path), Some(_)) = (&self.config.snapshot, ending.stopped_at) {
            self.keep(path)?;
        }
        if let Some(path) = &self.config.save {
            observe::save(self.machine, path)?;
        }
        if let Some(path) = &self.config.disk_out {
            observe::copy_disk(self.machine, path)?;
        }
        Ok(summary::report(
            self.config,
            self.machine,
            &self.actions,
            self.observer,
            ending,
            total,
        ))
    }
}

impl Run<'_, '_> {
    /// Boots the machine, to the moment from which what is done to it counts. An ending if it does not come
    /// there.
    pub(super) fn boot(&mut self) -> Result<Option<Ending>, RunError> {
        loop {
            match self.machine.run()? {
                Stop::Doorbell(Doorbell::Ready) => {
                    if let Err(reason) = self.turns.note(Doorbell::Ready) {
                        return Ok(Some(Ending::because(Verdict::Violated, reason)));
                    }
                    self.see_ready();
                    return Ok(None);
                }
                stop => {
                    if let Some(ending) = self.at(stop)? {
                        return Ok(Some(ending));
                    }
                }
            }
        }
    }

    /// Goes on from the end of [`Self::boot`], here or in another machine, to the end of the run.
    pub(super) fn go_on(&mut self) -> Result<Ending, RunError> {
        let begun = self.begin().and_then(|()| self.act(false));
        match of_root(begun)? {
            Some(ending) => Ok(ending),
            None => self.drive(),
        }
    }

    /// Goes on from a stop at which the run was kept.
    pub(super) fn rejoin(&mut self) -> Result<Ending, RunError> {
        let joined = self.now().map(|now| {
            if self.config.program.is_some() {
                self.agenda
                    .add(now.saturating_add(FIRST_AUDIT), Action::Audit);
            }
        });
        match of_root(joined.and_then(|()| self.act(false)))? {
            Some(ending) => Ok(ending),
            None => self.drive(),
        }
    }

    /// Keeps the run in a file.
    fn keep(&mut self, path: &Path) -> Result<(), RunError> {
        if let Some(event) = self.agenda.first_act() {
            return Err(RunError::StillToCome(event));
        }
        if self.machine.has_readonly() {
            return Err(RunError::Readonly);
        }
        let armed = &self.actions.armed;
        let kept = Kept::new(self.config, armed, &self.observer, &self.turns);
        kept.save(self.machine, path)
    }

    fn see_ready(&mut self) {
        let since_start = self.started.elapsed();
        self.observer.at_ready(self.machine, since_start);
    }

    fn begin(&mut self) -> Result<(), RunError> {
        self.recorder.start(self.machine)?;
        self.schedule()
    }

    /// Runs the machine to its end.
    fn drive(&mut self) -> Result<Ending, RunError> {
        loop {
            let stop = self.machine.run()?;
            if let Some(ending) = self.at(stop)? {
                return Ok(ending);
            }
        }
    }

    fn now(&self) -> Result<u64, RunError> {
        Ok(self.machine.root_page()?.events()?)
    }
}
