//! How one experiment is run: the seam between a campaign and machines.

use super::plan::Armed;
use crate::{
    report::Report,
    scenario::{self, RunConfig, RunError},
};

/// Something that runs experiments, one after the other. Each worker thread has one of its own.
pub trait Executor {
    /// Runs the workload with these faults.
    ///
    /// # Errors
    /// If the machine could not be made or run. The executor can be used again.
    fn execute(&mut self, faults: &[Armed]) -> Result<Report, RunError>;
}

/// Boots a machine for each experiment.
#[derive(Debug)]
pub struct FromStart {
    config: RunConfig,
}

impl FromStart {
    /// Runs what `config` says, with more faults each time.
    pub const fn new(config: RunConfig) -> Self {
        Self { config }
    }
}

impl Executor for FromStart {
    fn execute(&mut self, faults: &[Armed]) -> Result<Report, RunError> {
        let mut config = self.config.clone();
        for fault in faults {
            fault.enter(&mut config);
        }
        scenario::run(&config)
    }
}
