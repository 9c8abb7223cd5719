//! Many runs from one booted guest.
//!
//! A run's faults, bit flips, pressure and questions are entered at the end of the guest's boot
//! ([`Doorbell::Ready`](pagelab_abi::platform::Doorbell)); up to there runs of one machine are one run. So it
//! is made once, kept as a snapshot, and each experiment goes on from it: its report is that of
//! [`scenario::run`](super::run) with the same configuration, but for how long it took.
//!
//! Runs that differ only in which request fails, or when a bit is turned over, are one run even up to there.
//! [`Experimenter::approach`] makes that part once, with the fault held back, and keeps the event before the
//! fault as a point that moves on with the experiments, if they come in the order of their events:
//!
//! ```no_run
//! use pagelab::scenario::{ForkPoint, RunConfig, observe};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let golden = RunConfig::default();
//! let spec = "fail_page_alloc,nth=1".parse()?;
//! let point = ForkPoint::boot(&golden)?;
//! let mut experimenter = point.experimenter()?; // one for each thread
//! for (candidate, nth) in observe(&golden, &spec)?.candidates.iter().zip(1_u32..) {
//!     let fault = format!("fail_page_alloc,nth={nth}").parse()?;
//!     let config = RunConfig { faults: vec![fault], ..golden.clone() };
//!     match candidate.event {
//!         Some(event) => experimenter.approach(&config, event)?,
//!         None => experimenter.go_back(),
//!     }
//!     println!("{nth} {:?}", experimenter.run(&config)?.verdict);
//! }
//! # Ok(())
//! # }
//! ```

mod def_use;

pub use def_use::{Fate, fates};

use super::{
    ForkPoint, RunConfig, RunError,
    actions::Actions,
    lead_in, plan,
    recorder::Recorder,
    run::{Past, Run},
};
use crate::{
    machine::{
        Machine, Outputs,
        snapshot::{MovingSnapshot, Restored},
    },
    report::Report,
    trace::Sink,
};
use std::time::Instant;

/// Makes one experiment after the other, each from the same point, or from one that moves on with them.
#[derive(Debug)]
pub struct Experimenter {
    start: ForkPoint,
    machine: Machine,
    moved: Option<Moved>,
    restored: Option<Restored>,
}

/// An event later than the end of boot.
#[derive(Debug)]
struct Moved {
    /// The run that leads there.
    lead_in: RunConfig,
    event: u64,
    moment: MovingSnapshot,
    past: Past,
    /// The machine stands there: nothing has been run since.
    is_here: bool,
}

impl Experimenter {
    pub(super) fn new(start: &ForkPoint) -> Result<Self, RunError> {
        Ok(Self {
            machine: start.snapshot().fork(Outputs::default())?,
            start: start.clone(),
            moved: None,
            restored: None,
        })
    }

    /// The event from which the next experiment goes on.
    pub fn event(&self) -> u64 {
        let start = || self.start.event();
        self.moved.as_ref().map_or_else(start, |moved| moved.event)
    }

    /// Moves the point to `event`, before which no fault of `config` strikes but those that hold from the end
    /// of boot on. Where the point cannot go on to there, because it is past the event or another run led to
    /// it, it begins anew at the end of boot; and there it stays if the run does not come to the event.
    ///
    /// # Errors
    /// As [`Self::run`]. The point is then the end of boot.
    pub fn approach(&mut self, config: &RunConfig, event: u64) -> Result<(), RunError> {
        self.check_machine(config)?;
        let lead_in = lead_in::of(config);
        let goes_on = |moved: &Moved| {
            moved.event <= event && lead_in::difference(&moved.lead_in, &lead_in).is_none()
        };
        let moved = self.moved.take().filter(goes_on);
        let from = moved
            .as_ref()
            .map_or(self.start.event(), |moved| moved.event);
        self.moved = match event <= from {
            true => moved,
            false => match moved {
                Some(moved) => self.move_on(moved, event)?,
                None => self.move_from_start(lead_in, event)?,
            },
        };
        Ok(())
    }

    /// Has the next experiment go on from the end of boot.
    pub fn go_back(&mut self) {
        self.moved = None;
    }

    /// Makes the run that `config` says. It may differ from the fork point's in what is done to the guest:
    /// faults, bit flips, pressure, where it stops, what is looked at and saved; from the run that led to a
    /// point which has moved on, in what is looked at and saved, in which requests fail by their number, and
    /// in bits that are turned over at an event.
    ///
    /// # Errors
    /// [`RunError::OtherMachine`] if it differs in the machine or the workload, [`RunError::OtherPast`] or
    /// [`RunError::TooLate`] if it does not go through the point that [`Self::approach`] moved to; otherwise
    /// as [`scenario::run`](super::run). The next experiment can be made all the same.
    pub fn run(&mut self, config: &RunConfig) -> Result<Report, RunError> {
        self.go(config, Recorder::none())
    }

    /// As [`Self::run`], and tells `sink` of each event from the point on.
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

    /// What the restore before the last experiment did; none if the machine stood at its point already.
    pub fn restored(&self) -> Option<Restored> {
        self.restored
    }

    fn check_machine(&self, config: &RunConfig) -> Result<(), RunError> {
        match plan::machines_differ(&self.start.parts().config, config) {
            Some(what) => Err(RunError::OtherMachine(what)),
            None => Ok(()),
        }
    }

    fn go(&mut self, config: &RunConfig, recorder: Recorder<'_>) -> Result<Report, RunError> {
        let started = Instant::now();
        self.check_machine(config)?;
        let Some(moved) = &mut self.moved else {
            return self.go_from_start(config, recorder, started);
        };
        if let Some(what) = lead_in::difference(&moved.lead_in, &lead_in::of(config)) {
            let event = moved.event;
            return Err(RunError::OtherPast { what, event });
        }
        self.restored = match std::mem::take(&mut moved.is_here) {
            true => None,
            false => Some(self.machine.restore_moving(&moved.moment)?),
        };
        let machine = &mut self.machine;
        let mut run = Run::after(&moved.past, config, machine, recorder, started);
        match run.go_on_with_faults()? {
            Some(ending) => run.report(ending),
            None => Err(RunError::TooLate(moved.event)),
        }
    }

    fn go_from_start(
        &mut self,
        config: &RunConfig,
        recorder: Recorder<'_>,
        started: Instant,
    ) -> Result<Report, RunError> {
        let actions = Actions::new(config)?;
        let parts = self.start.parts();
        self.restored = Some(self.machine.restore(&parts.snapshot)?);
        let mut run = Run::new(config, &mut self.machine, actions, recorder, started);
        run.observer = parts.observer.for_run(config);
        run.turns = parts.turns.clone();
        let ending = run.go_on()?;
        run.report(ending)
    }

    fn move_from_start(
        &mut self,
        lead_in: RunConfig,
        event: u64,
    ) -> Result<Option<Moved>, RunError> {
        let actions = Actions::new(&lead_in)?;
        let parts = self.start.parts();
        self.machine.restore(&parts.snapshot)?;
        let started = Instant::now();
        let none = Recorder::none();
        let mut run = Run::new(&lead_in, &mut self.machine, actions, none, started);
        run.observer = parts.observer.for_run(&lead_in);
        run.turns = parts.turns.clone();
        if !run.lead_from_boot(event)? {
            return Ok(None);
        }
        let past = run.into_past();
        let moment = self.machine.moving_snapshot(&parts.snapshot)?;
        Ok(Some(Moved {
            lead_in,
            event,
            moment,
            past,
            is_here: true,
        }))
    }

    fn move_on(&mut self, mut moved: Moved, event: u64) -> Result<Option<Moved>, RunError> {
        if !moved.is_here {
            self.machine.restore_moving(&moved.moment)?;
        }
        let (started, none) = (Instant::now(), Recorder::none());
        let (past, machine) = (&moved.past, &mut self.machine);
        let mut run = Run::after(past, &moved.lead_in, machine, none, started);
        if !run.lead_on(event)? {
            return Ok(None);
        }
        moved.past = run.into_past();
        self.machine.move_snapshot(&mut moved.moment)?;
        moved.event = event;
        moved.is_here = true;
        Ok(Some(moved))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fault::{BitflipSpec, FaultSpec},
        machine::{DiskSource, testing::has_kvm},
        report::Verdict,
        scenario::{self, StopAt},
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
            // Memory of which some is gone, and some is no memory.
            RunConfig {
                host_faults: vec![
                    "machine_check,nth=3,of=free".parse().unwrap(),
                    "readonly,struct=zone,zone=DMA".parse().unwrap(),
                ],
                ..golden.clone()
            },
            RunConfig {
                host_faults: vec!["host_latency,delay=1".parse().unwrap()],
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
        assert!((2..7).contains(&held), "{held} held");
    }

    /// Experiments with faults of these kinds, by the event at which each begins: some of each kind's
    /// candidates, two of them at once, and bits.
    fn at_events(golden: &RunConfig, kinds: [&str; 2]) -> Vec<(u64, RunConfig)> {
        let mut all = Vec::new();
        let mut fail = |event: u64, texts: &[&str]| {
            let faults = faults(texts);
            let config = golden.clone();
            all.push((event, RunConfig { faults, ..config }));
        };
        let [one, other] = kinds.map(|kind| {
            let spec = format!("{kind},nth=1").parse().unwrap();
            let candidates = scenario::observe(golden, &spec).unwrap().candidates;
            let last = candidates.len() - 1;
            for index in [0, last] {
                fail(
                    candidates[index].event.unwrap(),
                    &[&format!("{kind},nth={}", index + 1)],
                );
            }
            let middle = candidates[last / 2].event.unwrap();
            let text = format!("{kind},nth={}", last / 2 + 1);
            fail(middle, &[&format!("{text},then={}", last / 4)]);
            (middle, text)
        });
        fail(one.0.min(other.0), &[&one.1, &other.1]);
        let middle = one.0 + 20;
        for event in [middle, middle + 1] {
            let flip = format!("bitflip,struct=zone,zone=DMA,field=free_pages,bit=1,event={event}");
            let config = RunConfig {
                bitflips: vec![flip.parse().unwrap()],
                ..golden.clone()
            };
            all.push((event, config));
        }
        all
    }

    #[test]
    fn an_experiment_from_the_event_of_its_fault_is_the_run_from_the_start() {
        if !has_kvm() {
            return;
        }
        for (workload, kinds) in [
            ("swap", ["fail_page_alloc", "swap_io"]),
            ("slab", ["failslab", "fail_page_alloc"]),
        ] {
            let machine = RunConfig {
                memory: ByteSize(16 << 20),
                ..config(workload)
            };
            let point = ForkPoint::boot(&machine).unwrap();
            let golden = RunConfig {
                stop_at: Some(StopAt::Event(point.event() + 500)),
                ..machine
            };
            let mut experiments = at_events(&golden, kinds);
            // As a campaign has them, but that the last one goes back.
            experiments.sort_by_key(|(event, config)| (config.faults.len(), *event));
            experiments.push(experiments[0].clone());
            let mut experimenter = point.experimenter().unwrap();
            let mut from_boot = point.experimenter().unwrap();
            let mut injected = 0;
            for (event, experiment) in &experiments {
                experimenter.approach(experiment, *event).unwrap();
                assert_eq!(experimenter.event(), *event);
                let forked = experimenter.run(experiment).unwrap();
                injected += forked
                    .faults
                    .injectors
                    .iter()
                    .map(|it| it.injected)
                    .sum::<u64>();
                let alone = from_boot.run(experiment).unwrap();
                let (faults, flips) = (&experiment.faults, &experiment.bitflips);
                assert_eq!(
                    same_each_time(forked),
                    same_each_time(alone),
                    "{workload} {faults:?} {flips:?} at {event}"
                );
            }
            // Each but two bits fails one request or two.
            assert!(injected >= experiments.len() as u64 - 2, "{injected}");
        }
    }

    #[test]
    fn a_fault_before_the_point_and_another_past_are_refused() {
        if !has_kvm() {
            return;
        }
        let golden = config("slab");
        let with = |texts: &[&str]| RunConfig {
            faults: faults(texts),
            ..golden.clone()
        };
        let point = ForkPoint::boot(&golden).unwrap();
        let mut experimenter = point.experimenter().unwrap();
        let late = with(&["failslab,nth=9"]);
        experimenter.approach(&late, point.event() + 200).unwrap();
        assert_eq!(experimenter.event(), point.event() + 200);
        let error = experimenter.run(&late).unwrap_err();
        assert!(matches!(error, RunError::TooLate(_)), "{error}");
        for other in [with(&["fail_page_alloc,nth=9"]), golden.clone()] {
            let error = experimenter.run(&other).unwrap_err();
            assert!(matches!(error, RunError::OtherPast { .. }), "{error}");
        }
        // An event to which the run does not come leaves the point at the end of boot.
        experimenter.approach(&late, u64::MAX - 1).unwrap();
        assert_eq!(experimenter.event(), point.event());
        assert_eq!(experimenter.run(&golden).unwrap().verdict, Verdict::Held);
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
}
