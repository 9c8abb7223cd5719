//! Where the guest has stopped, and what follows from that.

use super::Run;
use crate::{
    devices::lock,
    machine::Stop,
    report::Verdict,
    scenario::{RunError, actions::AfterProfile, agenda::Action, candidates, ending::Ending, plan},
};
use pagelab_abi::{
    platform::{Doorbell, ExitCode},
    workload::Phase,
};
use std::sync::atomic::Ordering::Relaxed;

impl Run<'_, '_> {
    /// Acts upon a stop.
    pub(super) fn at(&mut self, stop: Stop) -> Result<Option<Ending>, RunError> {
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
                if let Some(spec) = &self.config.observe {
                    let asked = candidates::here(self.machine, spec.kind)?;
                    self.candidates.extend(asked);
                }
                return Ok(None);
            }
            Doorbell::Phase => self.at_phase()?,
            Doorbell::View => self.observer.at_view(self.machine),
            Doorbell::Done => self.observer.at_done(self.machine),
            Doorbell::Stop | Doorbell::Idle | Doorbell::Batch => {}
        }
        self.act(bell == Doorbell::Stop)
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
}

/// A root page that cannot be used is the guest's end, and no error of the run.
pub(super) fn of_root(
    result: Result<Option<Ending>, RunError>,
) -> Result<Option<Ending>, RunError> {
    match result {
        Err(RunError::Root(error)) => {
            let reason = format!("the guest rang the doorbell, but {error}");
            Ok(Some(Ending::because(Verdict::Violated, reason)))
        }
        other => other,
    }
}
