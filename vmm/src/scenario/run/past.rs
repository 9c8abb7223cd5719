//! A run that goes on from an event at which another one stood.

use super::{Run, stops::of_root};
use crate::{
    machine::{Machine, Stop},
    scenario::{
        RunConfig, RunError, actions::Actions, agenda::Action, agenda::Agenda, ending::Ending,
        observe::Observer, recorder::Recorder, turns::Turns,
    },
};
use pagelab_abi::platform::Doorbell;
use std::time::Instant;

/// What a run knows where it stands, beside its machine.
#[derive(Clone, Debug)]
pub(in crate::scenario) struct Past {
    agenda: Agenda,
    actions: Actions,
    observer: Observer,
    turns: Turns,
    armed: Option<Action>,
    calls_before: Option<(u64, u64)>,
}

impl Past {
    /// Whether the judge has looked at the guest since `before`.
    pub(in crate::scenario) fn has_looked_since(&self, before: &Self) -> bool {
        self.observer.audits.len() != before.observer.audits.len() || self.turns != before.turns
    }

    /// Whether something is due at `event` or before it.
    pub(in crate::scenario) fn acts_by(&self, event: u64) -> bool {
        self.agenda.next().is_some_and(|next| next <= event)
    }
}

impl<'a, 's> Run<'a, 's> {
    /// A run of a machine that stands where another run stood, which knew this.
    pub(in crate::scenario) fn after(
        past: &Past,
        config: &'a RunConfig,
        machine: &'a mut Machine,
        recorder: Recorder<'s>,
        started: Instant,
    ) -> Self {
        Self {
            config,
            machine,
            agenda: past.agenda.clone(),
            actions: past.actions.clone(),
            observer: past.observer.for_run(config),
            recorder,
            turns: past.turns.clone(),
            lead_to: None,
            armed: past.armed.clone(),
            calls_before: past.calls_before,
            candidates: Vec::new(),
            started,
        }
    }

    /// What the run knows.
    pub(in crate::scenario) fn into_past(self) -> Past {
        Past {
            agenda: self.agenda,
            actions: self.actions,
            observer: self.observer,
            turns: self.turns,
            armed: self.armed,
            calls_before: self.calls_before,
        }
    }
}

impl Run<'_, '_> {
    /// From the end of boot to `event`, as if the clock did not stop there. False if the run does not come
    /// there.
    pub(in crate::scenario) fn lead_from_boot(&mut self, event: u64) -> Result<bool, RunError> {
        self.lead_to = Some(event);
        let begun = self.begin().and_then(|()| self.act(false));
        match of_root(begun)? {
            Some(_) => Ok(false),
            None => self.lead(event),
        }
    }

    /// From an event at which the clock stopped for this alone to a later one.
    pub(in crate::scenario) fn lead_on(&mut self, event: u64) -> Result<bool, RunError> {
        self.lead_to = Some(event);
        match of_root(self.leave())? {
            Some(_) => Ok(false),
            None => self.lead(event),
        }
    }

    /// From such an event to the end of the run, with the run's own faults instead of those that were held
    /// back. None if one of them has passed already.
    pub(in crate::scenario) fn go_on_with_faults(&mut self) -> Result<Option<Ending>, RunError> {
        let now = self.now()?;
        let later = self.config.bitflips.iter().filter_map(|flip| {
            let event = flip.event?;
            Some((event, *flip))
        });
        for (event, flip) in later {
            if event < now {
                return Ok(None);
            }
            self.agenda.add(event, Action::Flip(flip));
        }
        for fault in &self.config.host_faults {
            match fault.at() {
                Some(event) if event < now => return Ok(None),
                Some(event) => self.agenda.add(event, Action::Host(fault.clone())),
                None => {}
            }
        }
        let faults = &self.config.faults;
        if !(self.actions).release(self.machine, &mut self.agenda, faults)? {
            return Ok(None);
        }
        self.recorder.start(self.machine)?;
        match of_root(self.leave())? {
            Some(ending) => Ok(Some(ending)),
            None => self.drive().map(Some),
        }
    }

    /// Goes on from where the clock stopped: does what is due there, and otherwise leaves no trace of the stop.
    fn leave(&mut self) -> Result<Option<Ending>, RunError> {
        let now = self.now()?;
        let is_due = self.agenda.next().is_some_and(|event| event <= now);
        let is_met = self.armed.is_some() && self.machine.root_page()?.condition()?.kind == 0;
        match is_due || is_met {
            true => self.act(true),
            false => self.arm().map(|()| None),
        }
    }

    fn lead(&mut self, event: u64) -> Result<bool, RunError> {
        loop {
            let stop = self.machine.run()?;
            if matches!(stop, Stop::Doorbell(Doorbell::Stop)) && self.now()? >= event {
                return Ok(self.now()? == event);
            }
            if self.at(stop)?.is_some() {
                return Ok(false);
            }
        }
    }
}
