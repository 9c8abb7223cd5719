//! A whole machine at a moment: taken, gone back to, and forked.
//!
//! ```no_run
//! use pagelab::machine::{Kernel, Machine, MachineConfig, Outputs};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut machine = Machine::new(MachineConfig::new(Kernel::Embedded))?;
//! machine.run()?; // to the first doorbell
//! let snapshot = machine.snapshot()?;
//! machine.run()?;
//! machine.restore(&snapshot)?; // as if that had not been
//! let mut other = snapshot.fork(Outputs::default())?; // on this thread or another
//! other.run()?;
//! # Ok(())
//! # }
//! ```
//!
//! A snapshot can be taken wherever [`Machine::run`] has returned [`Stop::Doorbell`](super::Stop) or
//! [`Stop::Idle`](super::Stop): there the vCPU stands between two instructions. It holds all that the
//! guest can see: registers, memory, devices with their queues, the sectors of the disks, raised interrupt
//! lines. It does not hold what the guest cannot see, and what differs from run to run: how long the
//! machine has been running, and who watches its console.
//!
//! * [`Snapshot`]: one moment. Cloning it shares it; it can go to other threads.
//! * [`MovingSnapshot`]: a moment that moves on with one machine, at the cost of what has changed.
//! * `memory`: pages in a sealed memfd, which forks map without copying. `pagemap`: which pages there are.
//!   `pages`: those of a snapshot, and what has changed since.
//! * `reset`: makes memory what it was, by the pages that were stored to or as a whole; `costs` chooses.
//! * `differences`: what two machines do not have in common. `cpu`, `devices`: the other parts. [`file`](mod@file): all of them in a file. `look`: what
//!   the inspector reads.

mod costs;
mod cpu;
mod devices;
mod differences;
mod error;
pub mod file;
mod look;
mod memory;
mod moving;
mod pagemap;
mod pages;
mod reset;
#[cfg(test)]
mod tests;

pub use differences::Differences;
pub use error::SnapshotError;
pub use moving::MovingSnapshot;
pub use reset::{Method, Restored};

pub(super) use reset::Tracking;

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use kvm_bindings::CpuId;
use serde::{Deserialize, Serialize};

use self::cpu::{CpuState, model_specific};
use self::devices::DevicesState;
pub(super) use self::memory::PAGE;
use self::memory::{MemoryId, SavedMemory};
use self::pages::Pages;
use super::devices::Fittings;
use super::kernel::Kernel;
use super::machine::{FirstLine, Machine, RingCount, RunPhase, Settings};
use super::memory::on_file;
use crate::devices::serial::ProgramOutput;

/// Bytes that a fork keeps of each of its program's outputs.
const MAX_OUTPUT: usize = 16 << 20;

/// A machine at a moment.
#[derive(Clone)]
pub struct Snapshot(Arc<Parts>);

/// What a snapshot is made of.
struct Parts {
    memory: Arc<SavedMemory>,
    cpu: CpuState,
    devices: DevicesState,
    run: RunState,
    cpuid: CpuId,
    kernel: Kernel,
    settings: Settings,
}

/// How far the machine had come.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct RunState {
    root_pfn: Option<u64>,
    phase: RunPhase,
    rings: RingCount,
    first_line: Option<FirstLine>,
}

/// Who gets what a fork writes. By default nobody: it is only kept.
#[derive(Default)]
pub struct Outputs {
    /// Gets the serial console's output, line by line.
    pub console: Option<Box<dyn Write + Send>>,
    /// Keep a program's standard output and standard error, and may pass them on; none for 16 MiB of
    /// each. Not used for a machine without a program.
    pub program: Option<[ProgramOutput; 2]>,
}

impl fmt::Debug for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outputs")
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

impl Machine {
    /// Takes a snapshot of the machine where it stands. From here on KVM notes which pages the guest
    /// stores to, so that [`Self::restore`] costs what the run since has changed.
    ///
    /// # Errors
    /// [`SnapshotError::Ended`] after the end; otherwise the host's.
    pub fn snapshot(&mut self) -> Result<Snapshot, SnapshotError> {
        if self.phase == RunPhase::Ended {
            return Err(SnapshotError::Ended);
        }
        // What is still missing is not zero.
        self.end_slow_memory();
        self.finish_exit()?;
        let memory = Arc::new(SavedMemory::take(self.memory(), self.tracking.below())?);
        let parts = Parts {
            cpu: self.vcpu.state(&model_specific()?)?,
            devices: DevicesState::take(&mut self.devices),
            run: self.run_state(),
            cpuid: self.cpuid().clone(),
            kernel: self.kernel().clone(),
            settings: self.settings(),
            memory,
        };
        self.track(parts.memory.id())?;
        Ok(Snapshot(Arc::new(parts)))
    }

    /// Makes the machine what it was at a snapshot, its own or another's of the same make, wherever it
    /// stands now: also after its end. The time limit starts anew. What was passed on of its outputs is
    /// not taken back.
    ///
    /// # Errors
    /// [`SnapshotError::OtherMachine`] if the snapshot is of a machine of another make; otherwise the
    /// host's. The machine has then ended, until a restore succeeds.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<Restored, SnapshotError> {
        let parts = &*snapshot.0;
        if !parts.memory.fits(self.memory()) || self.cpuid() != &parts.cpuid {
            return Err(SnapshotError::OtherMachine);
        }
        let pages = Pages::of(&parts.memory);
        self.put_back(
            pages,
            parts.memory.id(),
            &parts.cpu,
            &parts.devices,
            parts.run,
        )
    }

    fn put_back(
        &mut self,
        pages: Pages<'_>,
        moment: MemoryId,
        cpu: &CpuState,
        devices: &DevicesState,
        run: RunState,
    ) -> Result<Restored, SnapshotError> {
        self.latency = None;
        self.finish_exit()?;
        self.phase = RunPhase::Ended;
        let restored = self.reset_memory(pages, moment)?;
        self.vcpu.restore(cpu, restored.needs_flush)?;
        self.become_as(devices, run)?;
        Ok(restored)
    }

    fn run_state(&self) -> RunState {
        RunState {
            root_pfn: self.root_pfn,
            phase: self.phase,
            rings: self.rings,
            first_line: self.first_line,
        }
    }

    fn become_as(&mut self, devices: &DevicesState, run: RunState) -> Result<(), SnapshotError> {
        devices.restore(&mut self.devices)?;
        self.root_pfn = run.root_pfn;
        self.rings = run.rings;
        self.first_line = run.first_line;
        self.deadline = None;
        self.phase = run.phase;
        Ok(())
    }
}

impl Snapshot {
    /// Makes a machine that goes on from here, apart from all others. Its memory is the snapshot's until
    /// one of them stores to it, so a fork costs no more than an empty machine.
    ///
    /// # Errors
    /// The host's: memory, KVM.
    pub fn fork(&self, outputs: Outputs) -> Result<Machine, SnapshotError> {
        let parts = &*self.0;
        let devices = &parts.devices;
        let fittings = Fittings {
            console: outputs.console,
            program: devices.has_program().then(|| {
                let kept = || ProgramOutput::new(MAX_OUTPUT);
                outputs.program.unwrap_or_else(|| [kept(), kept()])
            }),
            balloon: devices.balloon.is_some(),
            swap: devices.swap_backing()?,
            disk: devices.disk_backing()?,
        };
        let memory = on_file(parts.memory.ranges(), parts.memory.file()?)
            .map_err(super::MachineError::from)?;
        let cpuid = parts.cpuid.clone();
        let kernel = parts.kernel.clone();
        let mut machine = Machine::blank(memory, fittings, cpuid, kernel, parts.settings)?;
        machine.vcpu.restore_new(&parts.cpu)?;
        machine.become_as(&parts.devices, parts.run)?;
        machine.tracking.stand_on(&parts.memory);
        machine.track(parts.memory.id())?;
        Ok(machine)
    }

    /// Bytes of RAM of the machine.
    pub fn memory(&self) -> u64 {
        let ranges = self.0.memory.ranges().iter();
        ranges.map(|range| range.end - range.start).sum()
    }

    /// Bytes of RAM that are not zero, in whole pages: what the snapshot holds.
    pub fn populated(&self) -> u64 {
        self.0.memory.populated_pages() << pagelab_abi::PAGE_SHIFT
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("memory", &self.memory())
            .field("populated", &self.populated())
            .field("run", &self.0.run)
            .finish_non_exhaustive()
    }
}
