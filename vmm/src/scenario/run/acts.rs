//! What is due at an event.

use super::Run;
use crate::{
    inspect::audit::Moment,
    report::Verdict,
    scenario::{RunError, StopAt, agenda::Action, ending::Ending},
    trace::Mark,
};
use pagelab_abi::event::NEVER;
use std::sync::atomic::Ordering::Relaxed;

impl Run<'_, '_> {
    /// Does all that is due and arms the clock for what comes next. `stopped` says that the clock
    /// rang: it disarms the stop condition where it meets it, which can be where something is due.
    pub(super) fn act(&mut self, stopped: bool) -> Result<Option<Ending>, RunError> {
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
        self.arm()?;
        Ok(None)
    }

    /// Arms the clock for what comes next.
    pub(super) fn arm(&mut self) -> Result<(), RunError> {
        let page = self.machine.root_page()?;
        let condition = page.condition()?;
        let next = self.agenda.next().unwrap_or(NEVER);
        let next = next.min(self.lead_to.unwrap_or(NEVER));
        Ok(page.arm_stop(next, Some(condition))?)
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
            Action::Host(fault) => Mark::Fault(fault.to_string()),
            Action::Observe(_)
            | Action::Audit
            | Action::Limit
            | Action::Stand
            | Action::Since
            | Action::End => return Ok(()),
        };
        self.recorder.mark(now, &mark)
    }
}
