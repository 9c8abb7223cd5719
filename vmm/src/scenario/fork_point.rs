//! A guest at the end of its boot, from which many runs go on.

use super::{
    Experimenter, RunConfig, RunError, actions::Actions, observe::Observer, plan,
    recorder::Recorder, run::Run, turns::Turns,
};
use crate::machine::{Machine, Snapshot};
use std::{fmt, sync::Arc, time::Instant};

/// A guest at the end of its boot, with what was seen of it so far. Cloning it shares it; it can go to
/// other threads.
#[derive(Clone)]
pub struct ForkPoint(Arc<Parts>);

pub(super) struct Parts {
    pub(super) config: RunConfig,
    pub(super) snapshot: Snapshot,
    pub(super) observer: Observer,
    pub(super) turns: Turns,
}

impl ForkPoint {
    /// Boots the guest. Of `config` counts what decides the machine, and not what is done to it.
    ///
    /// # Errors
    /// [`RunError::NotReady`] if the guest ends before, with the reason; otherwise as
    /// [`scenario::run`](super::run).
    pub fn boot(config: &RunConfig) -> Result<Self, RunError> {
        let mut machine = Machine::new(plan::machine(config))?;
        let actions = Actions::new(config)?;
        let started = Instant::now();
        let mut run = Run::new(config, &mut machine, actions, Recorder::none(), started);
        if let Some(ending) = run.boot()? {
            return Err(RunError::NotReady(ending.reasons.join("; ")));
        }
        let (observer, turns) = (run.observer, run.turns);
        Ok(Self(Arc::new(Parts {
            config: config.clone(),
            snapshot: machine.snapshot()?,
            observer,
            turns,
        })))
    }

    /// A machine of its own for experiments from here. It passes nothing on of what a program writes.
    ///
    /// # Errors
    /// The host's.
    pub fn experimenter(&self) -> Result<Experimenter, RunError> {
        Experimenter::new(self)
    }

    /// The machine at this point.
    pub fn snapshot(&self) -> &Snapshot {
        &self.0.snapshot
    }

    /// The guest's events up to here.
    pub fn event(&self) -> u64 {
        self.0.observer.boot.events
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.0
    }
}

impl fmt::Debug for ForkPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForkPoint").field(&self.0.snapshot).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        machine::testing::{has_kvm, pvh_elf},
        size::ByteSize,
    };

    #[test]
    fn a_guest_that_does_not_boot_is_no_fork_point() {
        if !has_kvm() {
            return;
        }
        // It halts at its first instruction, with interrupts disabled.
        let kernel = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(kernel.path(), pvh_elf(&[0xf4])).unwrap();
        let config = RunConfig {
            kernel: Some(kernel.path().to_owned()),
            memory: ByteSize(64 << 20),
            workload: "none".to_owned(),
            ..RunConfig::default()
        };
        let error = ForkPoint::boot(&config).unwrap_err();
        assert!(matches!(error, RunError::NotReady(_)), "{error}");
    }
}
