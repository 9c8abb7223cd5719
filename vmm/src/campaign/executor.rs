//! How one experiment is run: the seam between a campaign and machines.

use super::plan::Planned;
use crate::{
    report::Report,
    scenario::{Experimenter, ForkPoint, RunConfig, RunError},
};

/// Something that runs experiments, one after the other. Each worker thread has one of its own.
pub trait Executor {
    /// Runs the workload with an experiment's faults.
    ///
    /// # Errors
    /// If the machine could not be made or run. It may be of no use after that.
    fn execute(&mut self, planned: &Planned) -> Result<Report, RunError>;
}

/// Goes on from the event before the experiment's first fault, on one machine whose memory is put back.
#[derive(Debug)]
pub struct Forked {
    experimenter: Experimenter,
    config: RunConfig,
}

impl Forked {
    /// Runs what `config` says from `point` on, with more faults each time.
    ///
    /// # Errors
    /// The host's, if there is no room for one more machine.
    pub fn new(point: &ForkPoint, config: RunConfig) -> Result<Self, RunError> {
        Ok(Self {
            experimenter: point.experimenter()?,
            config,
        })
    }
}

impl Executor for Forked {
    fn execute(&mut self, planned: &Planned) -> Result<Report, RunError> {
        let mut config = self.config.clone();
        for fault in &planned.armed {
            fault.enter(&mut config);
        }
        match planned.first_event() {
            Some(event) => self.experimenter.approach(&config, event)?,
            None => self.experimenter.go_back(),
        }
        match self.experimenter.run(&config) {
            Err(RunError::TooLate(event)) => {
                log::warn!(
                    "an experiment's fault strikes before event {event}: it is made from the end of boot"
                );
                self.experimenter.go_back();
                self.experimenter.run(&config)
            }
            other => other,
        }
    }
}
