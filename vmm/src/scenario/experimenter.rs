//! Many runs from one booted guest.
//!
//! A run's faults, bit flips, pressure and questions are entered at the end of the guest's boot
//! ([`Doorbell::Ready`](pagelab_abi::platform::Doorbell)); up to there runs of one machine are one run. So it
//! is made once, kept as a snapshot, and each experiment goes on from it: its report is that of
//! [`scenario::run`](super::run) with the same configuration, but for how long it took.
//!
//! ```no_run
//! use pagelab::scenario::{ForkPoint, RunConfig};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let golden = RunConfig::default();
//! let point = ForkPoint::boot(&golden)?;
//! let mut experimenter = point.experimenter()?; // one for each thread
//! for nth in 1..=100 {
//!     let fault = format!("fail_page_alloc,nth={nth}").parse()?;
//!     let report = experimenter.run(&RunConfig { faults: vec![fault], ..golden.clone() })?;
//!     println!("{nth} {:?}", report.verdict);
//! }
//! # Ok(())
//! # }
//! ```

use super::{
    RunConfig, RunError, actions::Actions, observe::Observer, plan, recorder::Recorder, run::Run,
    turns::Turns,
};
use crate::{
    machine::{Machine, Outputs, Snapshot, snapshot::Restored},
    report::Report,
    trace::Sink,
};
use std::{fmt, sync::Arc, time::Instant};

/// A guest at the end of its boot, with what was seen of it so far. Cloning it shares it; it can go to
/// other threads.
#[derive(Clone)]
pub struct ForkPoint(Arc<Parts>);

struct Parts {
    config: RunConfig,
    snapshot: Snapshot,
    observer: Observer,
    turns: Turns,
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
        Ok(Experimenter {
            machine: self.0.snapshot.fork(Outputs::default())?,
            point: self.clone(),
            restored: None,
        })
    }

    /// The machine at this point.
    pub fn snapshot(&self) -> &Snapshot {
        &self.0.snapshot
    }
}

impl fmt::Debug for ForkPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForkPoint").field(&self.0.snapshot).finish()
    }
}

/// Makes one experiment after the other, each from the same point.
#[derive(Debug)]
pub struct Experimenter {
    point: ForkPoint,
    machine: Machine,
    restored: Option<Restored>,
}

impl Experimenter {
    /// Makes the run that `config` says. It may differ from the fork point's in what is done to the guest:
    /// faults, bit flips, pressure, where it stops, what is looked at and saved.
    ///
    /// # Errors
    /// [`RunError::OtherMachine`] if it differs in the machine or the workload; otherwise as
    /// [`scenario::run`](super::run). The next experiment can be made all the same.
    pub fn run(&mut self, config: &RunConfig) -> Result<Report, RunError> {
        self.go(config, Recorder::none())
    }

    /// As [`Self::run`], and tells `sink` of each event from the fork point on.
    ///
    /// # Errors
    /// As [`Self::run`], and [`RunError::Trace`] if `sink` fails.
    pub fn run_recorded(
        &mut self,
        config: &RunConfig,
        sink: &mut dyn Sink,
    ) -> Result<Report, RunError> {
        self.go(config, Recorder::new(sink))
    }

    /// What the restore before the last experiment did.
    pub fn restored(&self) -> Option<Restored> {
        self.restored
    }

    fn go(&mut self, config: &RunConfig, recorder: Recorder<'_>) -> Result<Report, RunError> {
        let started = Instant::now();
        let parts = &*self.point.0;
        if let Some(what) = plan::machines_differ(&parts.config, config) {
            return Err(RunError::OtherMachine(what));
        }
        let actions = Actions::new(config)?;
        self.restored = Some(self.machine.restore(&parts.snapshot)?);
        let mut run = Run::new(config, &mut self.machine, actions, recorder, started);
        run.observer = parts.observer.for_run(config);
        run.turns = parts.turns.clone();
        let ending = run.go_on()?;
        run.report(ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fault::{BitflipSpec, FaultSpec},
        machine::{
            DiskSource,
            testing::{has_kvm, pvh_elf},
        },
        report::Verdict,
        scenario,
        size::ByteSize,
    };

    fn config(workload: &str) -> RunConfig {
        RunConfig {
            memory: ByteSize(64 << 20),
            workload: workload.to_owned(),
            swap: Some(DiskSource::Memory(ByteSize(16 << 20))),
            ..RunConfig::default()
        }
    }

    /// All of a report but how long it took.
    fn same_each_time(mut report: Report) -> String {
        report.host = Default::default();
        serde_json::to_string_pretty(&report).unwrap()
    }

    fn faults(texts: &[&str]) -> Vec<FaultSpec> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn an_experiment_is_the_run_from_the_start_whatever_was_before_it() {
        if !has_kvm() {
            return;
        }
        let golden = config("swap");
        let point = ForkPoint::boot(&golden).unwrap();
        let mut experimenter = point.experimenter().unwrap();
        let flip: BitflipSpec = "bitflip,struct=zone,zone=Normal,field=free_pages,bit=3"
            .parse()
            .unwrap();
        let experiments = [
            golden.clone(),
            RunConfig {
                faults: faults(&["swap_io,rw=write,probability=20", "failslab,nth=2"]),
                ..golden.clone()
            },
            // A guest that does not survive.
            RunConfig {
                bitflips: vec![flip],
                ..golden.clone()
            },
            RunConfig {
                pressure: Some(
                    crate::pressure::PressureProfile::parse("step:8M@10,0@400", golden.memory)
                        .unwrap(),
                ),
                inspect: vec!["buddyinfo".parse().unwrap()],
                ..golden.clone()
            },
            golden.clone(),
        ];
        let mut held = 0;
        for experiment in &experiments {
            let alone = scenario::run(experiment).unwrap();
            let forked = experimenter.run(experiment).unwrap();
            held += u32::from(forked.verdict == Verdict::Held);
            assert_eq!(same_each_time(forked), same_each_time(alone));
        }
        assert!((2..5).contains(&held), "{held} held");
    }

    #[test]
    fn an_experiment_on_another_machine_is_refused_and_the_next_one_is_made() {
        if !has_kvm() {
            return;
        }
        let golden = config("none");
        let point = ForkPoint::boot(&golden).unwrap();
        let mut experimenter = point.experimenter().unwrap();
        let other = RunConfig {
            seed: 9,
            ..golden.clone()
        };
        let error = experimenter.run(&other).unwrap_err();
        assert!(error.to_string().contains("command line"), "{error}");
        let other = RunConfig {
            swap: None,
            ..golden.clone()
        };
        let error = experimenter.run(&other).unwrap_err();
        assert!(error.to_string().contains("swap device"), "{error}");
        assert_eq!(experimenter.run(&golden).unwrap().verdict, Verdict::Held);
    }

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
            ..config("none")
        };
        let error = ForkPoint::boot(&config).unwrap_err();
        assert!(matches!(error, RunError::NotReady(_)), "{error}");
    }
}
