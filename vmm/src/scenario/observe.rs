//! What the host sees of the guest from outside, moment by moment.

use super::{
    Inspection, Probe, RunConfig, RunError, Since, devices,
    view::{lru_view, process_view, task_view, view},
};
use crate::store;
use crate::{
    inspect::{
        AuditResult, Outcome,
        audit::{self, Baseline, Moment, Relief, Translations, ZoneSummary},
        decode::{DecodeError, Snapshot},
        image::{LiveMemory, PhysMem},
        pagetable::{AddressMap, CpuModel, PagingState},
        proc::vmstat_fields,
        report,
        spaces::{ProcessData, ProcessView, Record},
    },
    machine::Machine,
    report::{Audit, Boot, MemoryGroup, View, ViewData},
};
use pagelab_abi::{root::Root, view::ViewKind, workload::Phase};
use std::{collections::BTreeSet, path::Path, sync::atomic::Ordering::Relaxed, time::Duration};
use vm_memory::{Bytes, GuestAddress};

/// Bytes of a view that are read at most, whatever the guest claims.
const MAX_VIEW: u32 = 1 << 20;

/// Why there is no view of a guest that did not come that far.
const NO_ROOT: &str = "the guest has not named its root page";

/// Everything seen so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Observer {
    inspect: Vec<Inspection>,
    /// What must hold, besides the audits.
    probes: Vec<Probe>,
    /// Whether the workload is a program.
    program: bool,
    /// The end of boot.
    pub(super) boot: Boot,
    /// From the start of the run to the guest's first line, and to the end of boot.
    pub(super) boot_time: Duration,
    /// The page tables at the end of boot.
    pub(super) page_table: Option<AddressMap>,
    /// Every audit.
    pub(super) audits: Vec<Audit>,
    /// What was asked for with `--inspect`.
    pub(super) views: Vec<View>,
    /// The zones when they were last looked at.
    pub(super) zones: Vec<ZoneSummary>,
    /// How the guest found memory since it booted.
    pub(super) relief: Relief,
    /// The memory groups when they were last looked at.
    pub(super) memory_groups: Vec<MemoryGroup>,
    /// What was in use at the end of boot.
    pub(super) baseline: Option<Baseline>,
    /// What page tables said when they were last looked at between two operations.
    translations: Option<Translations>,
    /// The first of two moments.
    since: Option<Since>,
}

impl Observer {
    /// Nothing seen yet.
    pub(super) fn new(config: &RunConfig) -> Self {
        let mut inspect = config.inspect.clone();
        inspect.sort_unstable();
        inspect.dedup();
        Self {
            inspect,
            probes: config.probes.clone(),
            program: config.program.is_some(),
            ..Self::default()
        }
    }

    /// What was seen so far, for a run that goes on with another configuration.
    pub(super) fn for_run(&self, config: &RunConfig) -> Self {
        Self {
            inspect: Self::new(config).inspect,
            ..self.clone()
        }
    }

    /// The guest is ready.
    pub(super) fn at_ready(&mut self, machine: &Machine, since_start: Duration) {
        self.boot_time = since_start;
        self.boot.first_line_events = machine.first_line().map_or(0, |line| line.events);
        self.look(machine, "boot", Moment::Between, |observer, snapshot| {
            observer.boot.events = snapshot.root.clock.count.load(Relaxed);
            observer.boot.zones = observer.zones.clone();
            observer.baseline = Baseline::take(snapshot).ok();
        });
        self.walk(machine, "boot");
    }

    /// A phase begins.
    pub(super) fn at_phase(&mut self, machine: &Machine, phase: Phase) {
        if phase != Phase::Workload {
            self.look(machine, phase.name(), Moment::Between, |_, _| {});
        }
    }

    /// A text of the guest's own stands in the view buffer.
    pub(super) fn at_view(&mut self, machine: &Machine) {
        with_memory(machine, |memory, root| {
            let result =
                Snapshot::read(memory, root).map(|snapshot| guest_view(machine, &snapshot));
            match result {
                Ok(Some(result)) => self.add("view", vec![result]),
                Ok(None) => {}
                Err(error) => self.add("view", audit::undecodable(&error)),
            }
        });
    }

    /// A program has made the system call that is this event.
    pub(super) fn at_event(&mut self, machine: &Machine, event: u64) {
        let moment = format!("event {event}");
        self.look(machine, &moment, Moment::Between, |observer, snapshot| {
            let store = page_cache_store(machine, snapshot);
            observer.add(&moment, store.into_iter().collect());
        });
        self.walk(machine, &moment);
    }

    /// The first of two moments.
    pub(super) fn at_since(&mut self, machine: &Machine) -> Result<(), RunError> {
        let record = with_memory(machine, |memory, root| {
            Snapshot::read(memory, root).and_then(|snapshot| Record::take(&snapshot))
        });
        match record {
            Some(Ok(record)) => {
                machine.start_dirty_log()?;
                self.since = Some(Since {
                    record,
                    written: BTreeSet::new(),
                });
            }
            Some(Err(error)) => self.add("since", audit::undecodable(&error)),
            None => self.add("since", audit::undecodable(&DecodeError::NoRoot)),
        }
        Ok(())
    }

    /// The second one.
    fn end_since(&mut self, machine: &Machine) {
        if let Some(since) = &mut self.since {
            match machine.dirty_frames() {
                Ok(written) => since.written = written,
                Err(error) => log::warn!("nothing is known of what was written: {error}"),
            }
        }
    }

    /// The run was stopped.
    pub(super) fn at_stop(&mut self, machine: &Machine, moment: Moment) {
        self.look(machine, "stop", moment, |observer, snapshot| {
            observer.add("stop", disk_io(machine, snapshot));
        });
        self.walk(machine, "stop");
        self.show(machine);
    }

    /// The workload is over: nothing may be left of it.
    pub(super) fn at_done(&mut self, machine: &Machine) {
        self.look(machine, "end", Moment::Between, |observer, snapshot| {
            let leak = observer
                .baseline
                .as_ref()
                .map(|baseline| audit::leak(snapshot, baseline));
            let faults = audit::fault_accounting(snapshot);
            let disks = disk_io(machine, snapshot);
            let left = observer.program.then(|| audit::nothing_left(snapshot));
            let all = leak.into_iter().chain([faults]).chain(disks).chain(left);
            observer.add("end", all.collect());
        });
        self.walk(machine, "end");
        self.show(machine);
    }

    /// Audits that did not hold.
    pub(super) fn failed(&self) -> impl Iterator<Item = &Audit> {
        self.audits
            .iter()
            .filter(|audit| audit.result.outcome != Outcome::Held)
    }

    /// Makes all audits of the memory manager, and notes the zones.
    fn look(
        &mut self,
        machine: &Machine,
        moment: &str,
        stands: Moment,
        more: impl FnOnce(&mut Self, &Snapshot<'_>),
    ) {
        let seen = with_memory(machine, |memory, root| match Snapshot::read(memory, root) {
            Ok(snapshot) => {
                self.zones = audit::zones(&snapshot);
                self.relief = audit::relief(&snapshot.vmstat);
                let groups = snapshot.memory_group_states().iter().enumerate();
                let groups = groups.filter_map(|(number, group)| MemoryGroup::of(number, group));
                self.memory_groups = groups.collect();
                self.add(moment, audit::of_snapshot(&snapshot, stands));
                if stands == Moment::Between {
                    self.flushes(moment, &snapshot);
                }
                self.probe(moment, &snapshot);
                more(self, &snapshot);
            }
            Err(error) => self.add(moment, audit::undecodable(&error)),
        });
        if seen.is_none() {
            self.add(moment, audit::undecodable(&DecodeError::NoRoot));
        }
    }

    /// Compares page tables with those of the audit before, and the flushes since then.
    fn flushes(&mut self, moment: &str, snapshot: &Snapshot<'_>) {
        // What cannot be decoded is the other audits' to tell.
        let now = Translations::take(snapshot).ok().flatten();
        let before = std::mem::replace(&mut self.translations, now);
        if let (Some(before), Some(now)) = (before, &self.translations) {
            let result = audit::tlb_flushes(snapshot, &before, now);
            self.add(moment, result.into_iter().collect());
        }
    }

    /// Looks at the probes that are due.
    fn probe(&mut self, moment: &str, snapshot: &Snapshot<'_>) {
        let due = self.probes.iter().filter(|probe| probe.is_due(moment));
        let results = due.filter_map(|probe| probe.look(vmstat_fields(Some(snapshot))));
        let results = results.collect();
        self.add(moment, results);
    }

    /// Walks and audits the page tables, and keeps the first map.
    fn walk(&mut self, machine: &Machine, moment: &str) {
        match page_table(machine) {
            Ok(report) => {
                self.page_table.get_or_insert(report.map);
                self.add(moment, report.audits);
            }
            Err(error) => {
                let checks = "the page tables can be walked from CR3";
                self.add(
                    moment,
                    vec![AuditResult::skipped("page-tables", checks, error)],
                );
            }
        }
    }

    /// Writes the views that were asked for.
    fn show(&mut self, machine: &Machine) {
        self.end_since(machine);
        for what in self.inspect.clone() {
            let text = match what {
                Inspection::Pagetable => page_table(machine)
                    .map(|report| report.map.display(usize::MAX).to_string())
                    .map_err(|error| error.to_string()),
                Inspection::View(kind) => with_memory(machine, |memory, root| {
                    view(memory, root, kind).map_err(|error| error.to_string())
                })
                .unwrap_or_else(|| Err(NO_ROOT.to_owned())),
                Inspection::Task(kind, pid) => with_memory(machine, |memory, root| {
                    task_view(memory, root, kind, pid).map_err(|error| error.to_string())
                })
                .unwrap_or_else(|| Err(NO_ROOT.to_owned())),
                Inspection::Lru => match with_memory(machine, lru_view) {
                    Some(Ok(lists)) => {
                        self.views
                            .push(View::of_data(what.name(), ViewData::Lru(lists)));
                        continue;
                    }
                    Some(Err(error)) => Err(error.to_string()),
                    None => Err(NO_ROOT.to_owned()),
                },
                Inspection::Process(kind, pid) => match self.process_view(machine, kind, pid) {
                    Ok(data) => {
                        let data = ViewData::Process(data);
                        self.views.push(View::of_data(what.name(), data));
                        continue;
                    }
                    Err(error) => Err(error),
                },
            };
            let text = text.unwrap_or_else(|error| format!("cannot be read: {error}\n"));
            self.views.push(View::of_text(what.name(), text));
        }
    }

    fn process_view(
        &self,
        machine: &Machine,
        view: ProcessView,
        pid: Option<u32>,
    ) -> Result<ProcessData, String> {
        let since = self.since.as_ref();
        if view.has_two_moments() && since.is_none() {
            return Err("the run did not come to --since before".to_owned());
        }
        let data = with_memory(machine, |memory, root| {
            process_view(memory, root, view, pid, since)
        });
        match data {
            Some(data) => data.map_err(|error| error.to_string()),
            None => Err(NO_ROOT.to_owned()),
        }
    }

    fn add(&mut self, moment: &str, results: Vec<AuditResult>) {
        self.audits.extend(results.into_iter().map(|result| Audit {
            moment: moment.to_owned(),
            result,
        }));
    }
}

/// Bytes free in the guest's zones.
pub(super) fn free_bytes(machine: &Machine) -> u64 {
    with_memory(machine, |memory, root| {
        Snapshot::read(memory, root).map_or(0, |snapshot| snapshot.free_pages())
    })
    .unwrap_or(0)
        * pagelab_abi::PAGE_SIZE
}

/// Saves memory and registers as an ELF core.
pub(super) fn save(machine: &Machine, path: &Path) -> Result<(), RunError> {
    let paging = paging(machine)?;
    let cpu = machine.core_registers()?;
    let root = machine.root_page().ok().map(|page| page.address());
    // SAFETY: the one vCPU has left KVM_RUN, and the devices work only inside of it.
    let memory = unsafe { LiveMemory::new(machine.memory()) };
    let views = report::kernel_views(&memory, paging).unwrap_or_default();
    crate::inspect::image::save(path, &memory, &[cpu], paging.model, root, &views)?;
    Ok(())
}

/// Compares the page cache with the disk with files, if there is one.
fn page_cache_store(machine: &Machine, snapshot: &Snapshot<'_>) -> Option<AuditResult> {
    let disk = machine.disk()?;
    Some(audit::page_cache_store(snapshot, disk.backing()))
}

/// Copies what is on the disk with files into a directory.
pub(super) fn copy_disk(machine: &Machine, path: &Path) -> Result<(), RunError> {
    let Some(disk) = machine.disk() else {
        return Ok(());
    };
    Ok(store::unpack(disk.backing(), path)?)
}

/// Compares what the disks did, as far as there are any, with what the guest saw of them.
fn disk_io(machine: &Machine, snapshot: &Snapshot<'_>) -> Vec<AuditResult> {
    let swap = machine
        .swap()
        .map(|disk| audit::swap_io(snapshot, &disk.counters(), disk.size()));
    let files = machine
        .disk()
        .map(|disk| audit::file_io(snapshot, &disk.counters(), disk.size()));
    swap.into_iter().chain(files).collect()
}

/// Compares the text in the view buffer with the host's own of the same moment.
fn guest_view(machine: &Machine, snapshot: &Snapshot<'_>) -> Option<AuditResult> {
    let buffer = snapshot.root.view;
    let kind = ViewKind::ALL
        .into_iter()
        .find(|kind| *kind as u32 == buffer.kind)?;
    let mut bytes = vec![0; buffer.len.min(buffer.capacity).min(MAX_VIEW) as usize];
    let read = machine
        .memory()
        .read_slice(&mut bytes, GuestAddress(buffer.gpa));
    let text = match read {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("the view buffer cannot be read: {error}"),
    };
    Some(audit::guest_view(snapshot, kind, &text))
}

fn paging(machine: &Machine) -> Result<PagingState, RunError> {
    let model = CpuModel::from_cpuid(machine.cpuid());
    Ok(PagingState::from_control(
        &machine.control_registers()?,
        model,
    ))
}

fn page_table(machine: &Machine) -> Result<report::PagetableReport, RunError> {
    let state = paging(machine)?;
    let root: Option<Box<Root>> = machine.root().ok();
    // SAFETY: the one vCPU has left KVM_RUN, and the devices work only inside of it.
    let memory = unsafe { LiveMemory::new(machine.memory()) };
    Ok(report::pagetable(
        &memory,
        state,
        root.as_deref(),
        &devices(),
    )?)
}

/// Lends the guest's memory and the address of its root page, if it has named one.
pub(super) fn with_memory<R>(
    machine: &Machine,
    look: impl FnOnce(&dyn PhysMem, u64) -> R,
) -> Option<R> {
    let root = machine.root_page().ok()?.address();
    // SAFETY: the one vCPU has left KVM_RUN, and the devices work only inside of it.
    let memory = unsafe { LiveMemory::new(machine.memory()) };
    Some(look(&memory, root))
}
