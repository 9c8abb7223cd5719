//! Takes the guest's records to who wants them, and tells what the host does.

use super::RunError;
use crate::{
    machine::Machine,
    trace::{Mark, Sink},
};

/// Where what happens goes to, if anywhere.
pub(super) struct Recorder<'a> {
    sink: Option<&'a mut dyn Sink>,
    /// Whether the guest records.
    is_on: bool,
}

impl<'a> Recorder<'a> {
    /// For nobody.
    pub(super) const fn none() -> Self {
        Self {
            sink: None,
            is_on: false,
        }
    }

    /// For `sink`.
    pub(super) fn new(sink: &'a mut dyn Sink) -> Self {
        Self {
            sink: Some(sink),
            is_on: false,
        }
    }

    /// The guest has booted: has it record from here on.
    pub(super) fn start(&mut self, machine: &Machine) -> Result<(), RunError> {
        if self.sink.is_some() {
            machine.root_page()?.start_recording()?;
            self.is_on = true;
        }
        Ok(())
    }

    /// Passes on what the guest has recorded so far.
    pub(super) fn take(&mut self, machine: &Machine) -> Result<(), RunError> {
        let Some(sink) = self.sink.as_mut().filter(|_| self.is_on) else {
            return Ok(());
        };
        for event in machine.root_page()?.take_events()? {
            sink.event(&event).map_err(RunError::Trace)?;
        }
        Ok(())
    }

    /// Tells what the host did or found at event `at`.
    pub(super) fn mark(&mut self, at: u64, mark: &Mark) -> Result<(), RunError> {
        match self.sink.as_mut().filter(|_| self.is_on) {
            Some(sink) => sink.mark(at, mark).map_err(RunError::Trace),
            None => Ok(()),
        }
    }

    /// The run is over. What a guest that came to grief left unreadable is left out.
    pub(super) fn finish(&mut self, machine: &Machine) -> Result<(), RunError> {
        match self.take(machine) {
            Err(RunError::Root(error)) => log::warn!("the trace lacks its last events: {error}"),
            other => other?,
        }
        match &mut self.sink {
            Some(sink) => sink.finish().map_err(RunError::Trace),
            None => Ok(()),
        }
    }
}
