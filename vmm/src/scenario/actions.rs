//! What the host does to the guest, and the account of it.

use super::{
    RunConfig, RunError,
    agenda::{Action, Agenda},
    flip, host_act, plan,
};
use crate::{
    devices::block::ClockPlace,
    fault::{self, FaultKind, FaultSpec, Injected, Injector},
    machine::{Machine, MachineDisk, call_sites::SiteError},
    pressure::{PressureProfile, Sample},
    report::{Bitflip, HostAct},
};
use pagelab_abi::{
    fault::{CallSite, FaultAttr},
    root::Root,
};
use std::{
    collections::BTreeMap,
    sync::{MutexGuard, atomic::Ordering::Relaxed},
};

/// Samples taken between the first and the last step of a pressure profile.
const SAMPLES: u64 = 48;

/// Events between two looks at a balloon that should be empty, and looks at most.
const WAIT: u64 = 100;
const MAX_WAITS: u64 = 64;

/// What comes after the last step of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterProfile {
    /// The balloon gives everything back, and the workload, which goes on as long, may end.
    Release,
    /// It keeps what it was asked for last: a program ends when it ends.
    Hold,
}

/// The acts so far.
#[derive(Clone, Debug)]
pub(super) struct Actions {
    seed: u64,
    /// The code that the faults' `site` names.
    sites: BTreeMap<String, Vec<CallSite>>,
    /// Every fault that was armed, in order.
    pub(super) armed: Vec<FaultSpec>,
    /// Every bit that was to be turned over.
    pub(super) flips: Vec<Bitflip>,
    /// All that was to be done to the machine itself.
    pub(super) host_acts: Vec<HostAct>,
    /// The profile that was followed.
    pub(super) profile: Option<PressureProfile>,
    /// Requested beside achieved.
    pub(super) samples: Vec<Sample>,
    /// What the balloon is asked for now, in bytes.
    requested: u64,
    /// How often the end of the profile was put off for a balloon that was not empty.
    waits: u64,
    /// Failures of each kind that the workload had seen when the first fault was armed.
    failed_before: Option<[u64; FaultKind::ALL.len()]>,
}

impl Actions {
    /// No acts yet.
    ///
    /// # Errors
    /// If a fault is asked for at a place that the kernel has not.
    pub(super) fn new(config: &RunConfig) -> Result<Self, SiteError> {
        Ok(Self {
            seed: config.seed,
            sites: plan::call_sites(config)?,
            armed: Vec::new(),
            flips: Vec::new(),
            host_acts: Vec::new(),
            profile: None,
            samples: Vec::new(),
            requested: 0,
            waits: 0,
            failed_before: None,
        })
    }

    /// Enters a profile into the agenda, its events counted from `start`.
    pub(super) fn begin_pressure(
        &mut self,
        machine: &Machine,
        agenda: &mut Agenda,
        profile: &PressureProfile,
        start: u64,
        after: AfterProfile,
    ) -> Result<(), RunError> {
        let length = profile.length().max(1);
        for step in profile.steps() {
            agenda.add(
                start.saturating_add(step.event),
                Action::Balloon(step.target),
            );
        }
        self.profile = Some(profile.clone());
        for sample in 0..=SAMPLES {
            let offset = (u128::from(length) * u128::from(sample) / u128::from(SAMPLES)) as u64;
            agenda.add(start.saturating_add(offset), Action::Sample);
        }
        if after == AfterProfile::Hold {
            for event in std::iter::successors(Some(length), |event| event.checked_mul(2)) {
                agenda.add(start.saturating_add(event), Action::Sample);
            }
            return Ok(());
        }
        agenda.add(start.saturating_add(length), Action::PressureOver);
        Ok(machine.root_page()?.set_pressure_active(true)?)
    }

    /// Does one thing now.
    pub(super) fn carry_out(
        &mut self,
        machine: &mut Machine,
        agenda: &mut Agenda,
        action: &Action,
        now: u64,
    ) -> Result<(), RunError> {
        match action {
            Action::Balloon(target) => {
                self.requested = *target;
                set_balloon(machine, *target);
            }
            Action::Sample => self.sample(machine, now),
            Action::PressureOver => self.end_pressure(machine, agenda, now)?,
            Action::Arm(spec) => {
                let root = machine.root()?;
                self.failed_before
                    .get_or_insert(FaultKind::ALL.map(|kind| reported(&root, kind)));
                self.armed.push(spec.clone());
                self.arm(machine, spec)?;
            }
            Action::Observe(spec) => self.observe(machine, spec)?,
            Action::Flip(spec) => self.flips.push(flip::flip(machine, spec, now)?),
            Action::Host(fault) => self.host_acts.push(host_act::act(machine, fault, now)?),
            // These are the run's own.
            Action::Audit | Action::Limit | Action::Stand | Action::Since | Action::End => {}
        }
        Ok(())
    }

    /// Asks for everything back and lets the workload go on until the balloon is empty, but not for
    /// ever: a guest that keeps its balloon is seen in the samples.
    fn end_pressure(
        &mut self,
        machine: &Machine,
        agenda: &mut Agenda,
        now: u64,
    ) -> Result<(), RunError> {
        self.requested = 0;
        set_balloon(machine, 0);
        let held = machine.balloon().map_or(0, |balloon| balloon.actual());
        if held > 0 && self.waits < MAX_WAITS {
            self.waits += 1;
            agenda.add(now.saturating_add(WAIT), Action::Sample);
            agenda.add(now.saturating_add(WAIT), Action::PressureOver);
            return Ok(());
        }
        machine.root_page()?.set_pressure_active(false)?;
        Ok(())
    }

    /// Bytes that the balloon is asked for now, and those that it holds.
    pub(super) fn balloon(&self, machine: &Machine) -> (u64, u64) {
        let achieved = machine.balloon().map_or(0, |balloon| balloon.actual());
        (self.requested, achieved)
    }

    /// Notes requested beside achieved.
    fn sample(&mut self, machine: &Machine, event: u64) {
        let (requested, achieved) = self.balloon(machine);
        self.samples.push(Sample {
            event,
            requested,
            achieved,
            available: super::observe::free_bytes(machine),
        });
    }

    fn arm(&self, machine: &Machine, spec: &FaultSpec) -> Result<(), RunError> {
        if matches!(spec.kind, FaultKind::SwapIo | FaultKind::FileIo) {
            let root = machine.root_page()?.address();
            let clock = ClockPlace::of(root, spec.kind);
            // What is only observed fails neither way.
            if let Some(mut disk) = disk_of(machine, spec.kind)
                && !disk.injector().is_observer()
            {
                let seed = fault::seed(spec.kind, self.seed);
                let injector = Injector::new(spec, seed, disk.injected());
                disk.inject(injector, clock);
            }
            return Ok(());
        }
        set_attr(machine, spec.kind, self.attr(machine, spec)?)
    }

    /// The attribute that arms `spec` now.
    fn attr(&self, machine: &Machine, spec: &FaultSpec) -> Result<FaultAttr, RunError> {
        let so_far = fault::read(&*machine.root_page()?.read()?, spec.kind);
        let sites = self.sites.get(&spec.caller.site);
        let code = sites.map_or(&[][..], Vec::as_slice);
        Ok(fault::arm(spec, code, self.seed, so_far))
    }

    /// Shows each candidate of `spec`, and lets none fail.
    fn observe(&self, machine: &Machine, spec: &FaultSpec) -> Result<(), RunError> {
        if let Some(mut disk) = disk_of(machine, spec.kind) {
            disk.inject(Injector::observer(spec), None);
            return Ok(());
        }
        let unreachable = FaultSpec {
            nth: u64::MAX,
            ..spec.clone()
        };
        let mut attr = self.attr(machine, &unreachable)?;
        *attr.observe.get_mut() = 1;
        set_attr(machine, spec.kind, attr)
    }

    /// Puts the faults of a run in the place of those that were held back for it. False if one of them comes
    /// too late for that.
    pub(super) fn release(
        &mut self,
        machine: &Machine,
        agenda: &mut Agenda,
        faults: &[FaultSpec],
    ) -> Result<bool, RunError> {
        let mut to_come: Vec<&FaultSpec> = faults.iter().collect();
        let mut take = |held: &FaultSpec| {
            let at = to_come.iter().position(|spec| spec.held() == *held)?;
            Some(to_come.remove(at).clone())
        };
        for spec in self.armed.iter_mut().filter(|spec| spec.is_held()) {
            *spec = take(spec).unwrap_or_else(|| spec.clone());
        }
        agenda.arm_instead(take);
        // Of each kind the last one counts.
        let kinds = FaultKind::ALL.into_iter();
        let last = kinds.filter_map(|kind| self.armed.iter().rfind(|spec| spec.kind == kind));
        for spec in last.filter(|spec| spec.nth != 0) {
            let in_time = match disk_of(machine, spec.kind) {
                Some(mut disk) => disk.release(spec),
                None => release_attr(machine, spec)?,
            };
            if !in_time {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Lets everything succeed again, without a trace in the account.
    pub(super) fn disarm_all(&self, machine: &Machine) -> Result<(), RunError> {
        FaultKind::ALL
            .into_iter()
            .try_for_each(|kind| self.arm(machine, &FaultSpec::new(kind)))
    }

    /// Failures of this kind that the workload had seen before the first fault was armed.
    pub(super) fn failed_before(&self, kind: FaultKind) -> u64 {
        self.failed_before.unwrap_or_default()[kind as usize]
    }

    /// What each injector that was armed has done.
    pub(super) fn injected(&self, machine: &Machine, root: &Root) -> Vec<(FaultKind, Injected)> {
        let counts = |kind| match kind {
            FaultKind::SwapIo | FaultKind::FileIo => disk_of(machine, kind)
                .map(|disk| disk.injected())
                .unwrap_or_default(),
            _ => fault::read(root, kind),
        };
        FaultKind::ALL
            .into_iter()
            .filter(|kind| self.armed.iter().any(|spec| spec.kind == *kind))
            .map(|kind| (kind, counts(kind)))
            .collect()
    }
}

/// The disk whose requests a fault of this kind lets fail.
pub(super) fn disk_of(machine: &Machine, kind: FaultKind) -> Option<MutexGuard<'_, MachineDisk>> {
    match kind {
        FaultKind::SwapIo => machine.swap(),
        FaultKind::FileIo => machine.disk(),
        FaultKind::FailPageAlloc | FaultKind::Failslab => None,
    }
}

/// Failures of this kind that have reached the workload as an error so far.
pub(super) fn reported(root: &Root, kind: FaultKind) -> u64 {
    let counter = match kind {
        FaultKind::FailPageAlloc => &root.progress.pages_failed,
        FaultKind::Failslab => &root.progress.objects_failed,
        FaultKind::SwapIo => &root.swap_io.reported,
        FaultKind::FileIo => &root.file_io.reported,
    };
    counter.load(Relaxed)
}

/// Has one of the guest's own injectors fail what it held back; false if that has been.
fn release_attr(machine: &Machine, spec: &FaultSpec) -> Result<bool, RunError> {
    let control = &mut machine.root()?.control;
    let attr = match spec.kind {
        FaultKind::FailPageAlloc => std::mem::take(&mut control.fail_page_alloc),
        FaultKind::Failslab => std::mem::take(&mut control.failslab),
        FaultKind::SwapIo | FaultKind::FileIo => return Ok(true),
    };
    match fault::release(attr, spec) {
        Some(attr) => set_attr(machine, spec.kind, attr).map(|()| true),
        None => Ok(false),
    }
}

/// Writes an attribute of one of the guest's own injectors.
fn set_attr(machine: &Machine, kind: FaultKind, attr: FaultAttr) -> Result<(), RunError> {
    let page = machine.root_page()?;
    match kind {
        FaultKind::FailPageAlloc => page.set_fail_page_alloc(attr)?,
        FaultKind::Failslab => page.set_failslab(attr)?,
        FaultKind::SwapIo | FaultKind::FileIo => {}
    }
    Ok(())
}

/// Asks the balloon for `bytes`. A machine without one cannot be squeezed; the samples show it.
fn set_balloon(machine: &Machine, bytes: u64) {
    if let Some(mut balloon) = machine.balloon() {
        balloon.set_target(bytes);
    }
}
