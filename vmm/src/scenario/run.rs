//! The run itself: lets the guest go from doorbell to doorbell and acts where it stands.

use super::{
    RunConfig, RunError, StopAt,
    actions::{Actions, AfterProfile},
    agenda::{Action, Agenda},
    candidates::{self, Candidate, Observed},
    ending::Ending,
    kept::Kept,
    observe::{self, Observer},
    plan,
    recorder::Recorder,
    summary,
    turns::Turns,
};
use crate::{
    devices::lock,
    inspect::audit::Moment,
    machine::{Machine, Stop, root::Condition},
    report::{Report, Verdict},
    trace::{Mark, Sink},
};
use pagelab_abi::{
    event::{EventKind, NEVER},
    platform::{Doorbell, ExitCode},
    root::Root,
    workload::Phase,
};
use std::{path::Path, sync::atomic::Ordering::Relaxed, time::Instant};

/// Events from the end of boot to the first audit of a program that runs. Each later one comes after
/// twice as many, so that their number grows with the logarithm of the run, unless the user says otherwise.
const FIRST_AUDIT: u64 = 64;

/// A run in progress.
pub(super) struct Run<'a, 's> {
    config: &'a RunConfig,
    machine: &'a mut Machine,
    agenda: Agenda,
    pub(super) actions: Actions,
    pub(super) observer: Observer,
    recorder: Recorder<'s>,
    pub(super) turns: Turns,
    /// What to do where the clock's condition is met.
    armed: Option<Action>,
    /// The last event at which system calls were counted, and their number.
    calls_before: Option<(u64, u64)>,
    /// The allocations that were to be observed.
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
        if let Some(spec) = &config.observe {
            candidates.extend(candidates::requests(run.machine, spec.kind));
        }
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
            armed: None,
            calls_before: None,
            candidates: Vec::new(),
            started,
        }
    }

    /// Saves what is to be kept of a run that is over, and reports it.
    pub(super) fn report(mut self, ending: Ending) -> Result<Report, RunError> {
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

    /// Acts upon a stop.
    fn at(&mut self, stop: Stop) -> Result<Option<Ending>, RunError> {
        Ok(match stop {
            Stop::Doorbell(bell) => self.at_doorbell(bell)?,
            Stop::Exit(code) => Some(self.at_exit(code)?),
            Stop::UnknownExit(code) => Some(Ending::because(
                Verdict::Violated,
                format!("the guest ended with the unknown exit code {code:#x}"),
            )),
            Stop::Crash(crash) | Stop::Hung(crash) => Some(Ending::crash(*crash)),
            Stop::Idle => Some(Ending::because(
                Verdict::Hung,
                "the guest waits for an interrupt that no device will raise",
            )),
        })
    }

    /// Acts where the guest stands. A guest that names no root page that can be used, or rings too often, has
    /// come to its end.
    fn at_doorbell(&mut self, bell: Doorbell) -> Result<Option<Ending>, RunError> {
        if let Err(reason) = self.turns.note(bell) {
            return Ok(Some(Ending::because(Verdict::Violated, reason)));
        }
        of_root(self.serve(bell))
    }

    fn serve(&mut self, bell: Doorbell) -> Result<Option<Ending>, RunError> {
        self.recorder.take(self.machine)?;
        match bell {
            Doorbell::Ready => {
                self.see_ready();
                self.begin()?;
            }
            // Nothing is due: the guest would go on if nobody wanted its records.
            Doorbell::Log => return Ok(None),
            Doorbell::Candidate => {
                self.candidates.push(candidates::allocation(self.machine)?);
                return Ok(None);
            }
            Doorbell::Phase => self.at_phase()?,
            Doorbell::View => self.observer.at_view(self.machine),
            Doorbell::Done => self.observer.at_done(self.machine),
            Doorbell::Stop | Doorbell::Idle | Doorbell::Batch => {}
        }
        self.act(bell == Doorbell::Stop)
    }

    /// Enters everything into the agenda that is known at the end of boot.
    fn schedule(&mut self) -> Result<(), RunError> {
        let now = self.now()?;
        for spec in &self.config.faults {
            self.agenda
                .add(spec.at.unwrap_or(now), Action::Arm(spec.clone()));
        }
        if let Some(spec) = &self.config.observe {
            let event = spec.at.unwrap_or(now);
            self.agenda.add(event, Action::Observe(spec.clone()));
        }
        if let Some(limit) = self.config.event_limit {
            self.agenda.add(limit.max(now), Action::Limit);
        }
        for spec in &self.config.bitflips {
            let event = spec.event.unwrap_or(now);
            self.agenda.add(event, Action::Flip(*spec));
        }
        if let Some(profile) = &self.config.pressure
            && !plan::has_pressure_phase(&self.config.workload)
        {
            let (machine, agenda) = (&*self.machine, &mut self.agenda);
            let after = match self.config.program {
                Some(_) => AfterProfile::Hold,
                None => AfterProfile::Release,
            };
            self.actions
                .begin_pressure(machine, agenda, profile, now, after)?;
        }
        if self.config.program.is_some() {
            self.agenda
                .add(now.saturating_add(FIRST_AUDIT), Action::Audit);
        }
        let waits_for_since = match self.config.since {
            Some(since) => self.stop_at(since, Action::Since, now)?,
            None => false,
        };
        match self.config.stop_at {
            // Counted from there.
            Some(StopAt::Nth { .. }) if waits_for_since => {}
            Some(stop) => {
                self.stop_at(stop, Action::End, now)?;
            }
            None => {}
        }
        Ok(())
    }

    /// Enters a point of the event clock: into the agenda, or as the clock's condition. True if it is
    /// a condition.
    fn stop_at(&mut self, point: StopAt, action: Action, now: u64) -> Result<bool, RunError> {
        match point {
            StopAt::Event(event) if event < now => {
                Err(RunError::StopTooEarly { event, ready: now })
            }
            StopAt::Event(event) => {
                self.agenda.add(event.saturating_sub(1), Action::Stand);
                self.agenda.add(event, action);
                Ok(false)
            }
            StopAt::Nth {
                kind,
                nth,
                min_order,
            } => {
                let condition = Condition {
                    kind: kind as u32,
                    min_order,
                    countdown: nth,
                };
                self.machine.root_page()?.arm_stop(NEVER, Some(condition))?;
                self.armed = Some(action);
                Ok(true)
            }
        }
    }

    fn at_phase(&mut self) -> Result<(), RunError> {
        let root = self.machine.root()?;
        let Some(phase) = Phase::from_u32(root.progress.phase.load(Relaxed)) else {
            return Ok(());
        };
        let now = root.clock.count.load(Relaxed);
        self.observer.at_phase(self.machine, phase);
        match phase {
            Phase::Workload => {}
            Phase::Pressure => {
                if let Some(profile) = plan::pressure(self.config) {
                    let (machine, agenda) = (&*self.machine, &mut self.agenda);
                    let after = AfterProfile::Release;
                    self.actions
                        .begin_pressure(machine, agenda, &profile, now, after)?;
                }
            }
            Phase::Faults => {
                for spec in plan::faults(self.config) {
                    self.agenda.add(now, Action::Arm(spec));
                }
            }
            Phase::Teardown => {
                self.actions.disarm_all(self.machine)?;
                self.machine
                    .root_page()?
                    .set_views_wanted(plan::ALL_VIEWS)?;
            }
        }
        Ok(())
    }

    /// Does all that is due and arms the clock for what comes next. `stopped` says that the clock
    /// rang: it disarms the stop condition where it meets it, which can be where something is due.
    fn act(&mut self, stopped: bool) -> Result<Option<Ending>, RunError> {
        let root = self.machine.root()?;
        let now = root.clock.count.load(Relaxed);
        let due = self.agenda.due(now);
        let is_call = self.is_call(&root, now);
        let is_met = stopped && root.clock.condition.kind.load(Relaxed) == 0;
        let met = self.armed.take_if(|_| is_met);
        if met == Some(Action::Since) || due.contains(&Action::Since) {
            self.observer.at_since(self.machine)?;
            if let (Some(_), Some(stop @ StopAt::Nth { .. })) = (&met, self.config.stop_at) {
                self.stop_at(stop, Action::End, now)?;
            }
        }
        if met == Some(Action::End) || due.contains(&Action::End) {
            for flip in due
                .iter()
                .filter(|action| matches!(action, Action::Flip(_)))
            {
                self.actions
                    .carry_out(self.machine, &mut self.agenda, flip, now)?;
            }
            let by_call = met.is_some() && self.config.stop_at.is_some_and(StopAt::is_call);
            let moment = match is_call || by_call {
                true => Moment::Between,
                false => Moment::Anywhere,
            };
            self.observer.at_stop(self.machine, moment);
            return Ok(Some(Ending {
                stopped_at: Some(now),
                ..Ending::held()
            }));
        }
        if due.contains(&Action::Limit) {
            let reason = format!("the run came to its limit of {now} events without an end");
            return Ok(Some(Ending::because(Verdict::Hung, reason)));
        }
        for action in due {
            if action == Action::Audit {
                self.audit(now, is_call)?;
                continue;
            }
            self.actions
                .carry_out(self.machine, &mut self.agenda, &action, now)?;
            self.tell(&action, now)?;
        }
        let page = self.machine.root_page()?;
        let condition = &page.read()?.clock.condition;
        let condition = Condition {
            kind: condition.kind.load(Relaxed),
            min_order: condition.min_order.load(Relaxed),
            countdown: condition.countdown.load(Relaxed),
        };
        page.arm_stop(self.agenda.next().unwrap_or(NEVER), Some(condition))?;
        Ok(None)
    }

    /// Tells who records what was done.
    fn tell(&mut self, action: &Action, now: u64) -> Result<(), RunError> {
        let mark = match action {
            Action::Balloon(_) | Action::Sample | Action::PressureOver => {
                let (requested, achieved) = self.actions.balloon(self.machine);
                Mark::Balloon {
                    requested,
                    achieved,
                }
            }
            Action::Arm(spec) => Mark::Fault(spec.to_string()),
            Action::Flip(spec) => Mark::Fault(spec.to_string()),
            Action::Observe(_)
            | Action::Audit
            | Action::Limit
            | Action::Stand
            | Action::Since
            | Action::End => return Ok(()),
        };
        self.recorder.mark(now, &mark)
    }

    /// Whether the event of now is a system call, if the guest stood at the event before as well.
    fn is_call(&mut self, root: &Root, now: u64) -> bool {
        let calls = root.clock.by_kind[EventKind::Syscall as usize - 1].load(Relaxed);
        let before = self.calls_before.replace((now, calls));
        before.is_some_and(|(event, count)| event.checked_add(1) == Some(now) && count < calls)
    }

    /// Makes all audits if the event of now is a system call, and otherwise goes on to the next
    /// event: between two operations more can be said than within one.
    fn audit(&mut self, now: u64, is_call: bool) -> Result<(), RunError> {
        if !is_call {
            self.agenda.add(now.saturating_add(1), Action::Audit);
            return Ok(());
        }
        let before = self.observer.audits.len();
        self.observer.at_event(self.machine, now);
        let made = self.observer.audits.iter().skip(before);
        let violated = made.filter(|audit| !audit.result.held()).count();
        self.recorder.mark(now, &Mark::Audit { violated })?;
        let ready = self.observer.boot.events;
        let next = match self.config.audit_every {
            Some(events) => now.saturating_add(events.get()),
            None => ready
                .saturating_add(now.saturating_sub(ready).saturating_mul(2))
                .max(now.saturating_add(FIRST_AUDIT)),
        };
        self.agenda.add(next, Action::Audit);
        Ok(())
    }

    fn at_exit(&mut self, code: ExitCode) -> Result<Ending, RunError> {
        if code == ExitCode::Success
            && let Some(stop_at) = self.config.stop_at
        {
            let events = self.now()?;
            return Err(RunError::StopNotReached { stop_at, events });
        }
        let console = || Some(lock(&self.machine.console()).text());
        Ok(match code {
            // What was not audited has not held.
            ExitCode::Success if !self.turns.is_done() => Ending::because(
                Verdict::Violated,
                "the guest ended without ringing the bell 'done', so its end was not audited",
            ),
            ExitCode::Success => Ending::held(),
            ExitCode::Failure => Ending {
                console: console(),
                ..Ending::because(Verdict::Violated, "a check inside the guest failed")
            },
            ExitCode::Unfit => Ending {
                console: console(),
                ..Ending::because(Verdict::Unfit, "the guest cannot use this machine")
            },
            ExitCode::Panic => Ending::because(Verdict::Panicked, "the guest panicked"),
        })
    }

    fn now(&self) -> Result<u64, RunError> {
        Ok(self.machine.root_page()?.events()?)
    }
}

/// A root page that cannot be used is the guest's end, and no error of the run.
fn of_root(result: Result<Option<Ending>, RunError>) -> Result<Option<Ending>, RunError> {
    match result {
        Err(RunError::Root(error)) => {
            let reason = format!("the guest rang the doorbell, but {error}");
            Ok(Some(Ending::because(Verdict::Violated, reason)))
        }
        other => other,
    }
}
