//! What is known at the end of boot: when the host will do what.

use super::{Run, audits::FIRST_AUDIT};
use crate::{
    machine::root::Condition,
    scenario::{RunError, StopAt, actions::AfterProfile, agenda::Action, plan},
};
use pagelab_abi::event::NEVER;

impl Run<'_, '_> {
    /// Enters everything into the agenda that is known at the end of boot.
    pub(super) fn schedule(&mut self) -> Result<(), RunError> {
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
        for fault in &self.config.host_faults {
            let event = fault.at().unwrap_or(now);
            self.agenda.add(event, Action::Host(fault.clone()));
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
    pub(super) fn stop_at(
        &mut self,
        point: StopAt,
        action: Action,
        now: u64,
    ) -> Result<bool, RunError> {
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
}
