//! The machine: everything that belongs to one guest, in one place.

use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use kvm_bindings::CpuId;
use kvm_ioctls::{Kvm, VmFd};
use pagelab_abi::platform::{CMDLINE_DOORBELL, MMIO_END};
use pagelab_abi::root::Root;

use super::config::MachineConfig;
use super::devices::{self, MachineBalloon, MachineDisk};
use super::error::MachineError;
use super::host::{self, HostError};
use super::kernel::{self, Kernel, Room};
use super::memory::{self, GuestMemory, ram_ranges};
use super::registers::{ControlRegisters, Registers};
use super::root::{RootError, RootPage};
use super::vcpu::Vcpu;
use super::watchdog::Watchdog;
use super::{boot, cpuid, dirty_log};
use crate::devices::bus::Bus;
use crate::devices::irq::IrqLines;
use crate::devices::serial::{ConsoleOutput, ProgramOutput};
use crate::devices::{Shared, lock};
use crate::inspect::image::CpuRegisters;

/// Where VT-x keeps the task state segment of real mode if it needs one: three pages in the hole
/// below 4 GiB, below the identity map that KVM places by itself.
const TSS_ADDRESS: usize = 0xfffb_d000;
const _: () = assert!((TSS_ADDRESS as u64) < MMIO_END);

/// When the guest first completed a line on its console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstLine {
    /// Since [`Machine::new`] was called.
    pub elapsed: Duration,
    /// Guest events so far; 0 if the guest had not yet named its root page.
    pub events: u64,
}

/// One guest with its memory, its vCPU and its devices.
pub struct Machine {
    // The vCPU and the VM go before the memory that they use.
    pub(super) vcpu: Vcpu,
    vm: VmFd,
    cpuid: CpuId,
    memory: GuestMemory,
    pub(super) ports: Bus,
    pub(super) mmio: Bus,
    pub(super) irqs: IrqLines,
    console: Shared<ConsoleOutput>,
    program: Option<[Shared<ProgramOutput>; 2]>,
    balloon: Option<Shared<MachineBalloon>>,
    swap: Option<Shared<MachineDisk>>,
    disk: Option<Shared<MachineDisk>>,
    pub(super) watchdog: Watchdog,
    pub(super) time_limit: Option<Duration>,
    /// When the time limit ends; set by the first run.
    pub(super) deadline: Option<Instant>,
    kernel: Kernel,
    pub(super) root_pfn: Option<u64>,
    pub(super) phase: RunPhase,
    pub(super) rings: RingCount,
    created: Instant,
    pub(super) first_line: Option<FirstLine>,
}

/// Whether the guest can be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunPhase {
    /// It runs when entered.
    Running,
    /// It waits for an interrupt.
    Halted,
    /// It has ended.
    Ended,
}

/// Doorbells since the last guest event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RingCount {
    /// Event at which the count began.
    pub(super) event: u64,
    /// Doorbells since.
    pub(super) count: u64,
}

impl Machine {
    /// Creates the machine, with the kernel loaded and the vCPU at its entry point.
    ///
    /// # Errors
    /// [`MachineError`], which names what is wrong and the remedy; nothing is left behind.
    pub fn new(config: MachineConfig) -> Result<Self, MachineError> {
        let created = Instant::now();
        let ram = ram_ranges(config.memory)?;
        let memory = memory::allocate(&ram)?;
        let room = Room {
            ram: &ram,
            boot_area: boot::BOOT_AREA,
        };
        let layout = kernel::load(&config.kernel, &room, &memory)?;
        let irqs = IrqLines::new();
        let (mut ports, console) = devices::ports(&irqs, config.console)?;
        let program = match config.program {
            Some(outputs) => Some(devices::program(&mut ports, outputs)?),
            None => None,
        };
        let mut mmio = Bus::new();
        let mut cmdline = format!("{} {CMDLINE_DOORBELL}", config.cmdline);
        let balloon = match config.balloon {
            true => Some(devices::balloon(&irqs, &memory, &mut mmio, &mut cmdline)?),
            false => None,
        };
        let mut put_disk =
            |place, backing| devices::disk(place, backing, &irqs, &memory, &mut mmio, &mut cmdline);
        let swap = match &config.swap {
            Some(source) => Some(put_disk(&devices::SWAP, source.open()?)?),
            None => None,
        };
        let disk = match &config.disk {
            Some(source) => Some(put_disk(&devices::DISK, crate::store::open(source)?)?),
            None => None,
        };
        let initramfs = config.initramfs.as_ref();
        let initramfs = initramfs.map(|initramfs| (initramfs, config.initramfs_limit));
        boot::write(&memory, &ram, &layout, initramfs, &cmdline)?;

        let kvm = host::open()?;
        let cpuid = cpuid::supported(&kvm)?;
        memory::check_address_bits(&ram, cpuid::physical_address_bits(&cpuid))?;
        let vm = create_vm(&kvm, &memory)?;
        let vcpu = Vcpu::new(&vm, &cpuid, layout.entry, config.denies_tsc)?;
        Ok(Self {
            vcpu,
            vm,
            cpuid,
            memory,
            ports,
            mmio,
            irqs,
            console,
            program,
            balloon,
            swap,
            disk,
            watchdog: Watchdog::new(config.watchdog),
            time_limit: config.time_limit,
            deadline: None,
            kernel: config.kernel,
            root_pfn: None,
            phase: RunPhase::Running,
            rings: RingCount::default(),
            created,
            first_line: None,
        })
    }

    /// The guest's physical memory.
    pub fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    /// The guest's root page, checked, for reading and writing.
    ///
    /// # Errors
    /// [`RootError`] if the guest has named none, or one that cannot be used.
    pub fn root_page(&self) -> Result<RootPage<'_>, RootError> {
        RootPage::new(&self.memory, self.root_pfn.ok_or(RootError::NotNamed)?)
    }

    /// A copy of the guest's root page, checked.
    ///
    /// # Errors
    /// As [`Machine::root_page`].
    pub fn root(&self) -> Result<Box<Root>, RootError> {
        self.root_page()?.read()
    }

    /// The pfn that the guest named as its root page, if it has; not checked.
    pub fn root_pfn(&self) -> Option<u64> {
        self.root_pfn
    }

    /// The registers that decide how the guest's addresses are translated.
    ///
    /// # Errors
    /// [`HostError`] if KVM does not tell.
    pub fn control_registers(&self) -> Result<ControlRegisters, HostError> {
        self.vcpu.control_registers()
    }

    /// What the guest's CPU says it is.
    pub fn cpuid(&self) -> &CpuId {
        &self.cpuid
    }

    /// All registers. At a doorbell the instruction pointer may still be at the `out`.
    ///
    /// # Errors
    /// [`HostError`] if KVM does not tell.
    pub fn registers(&self) -> Result<Registers, HostError> {
        self.vcpu.registers()
    }

    /// All registers in the form of a core file.
    ///
    /// # Errors
    /// [`HostError`] if KVM does not tell.
    pub fn core_registers(&self) -> Result<CpuRegisters, HostError> {
        self.vcpu.core_registers()
    }

    /// What the guest has written to its console: the last 64 KiB.
    pub fn console(&self) -> Shared<ConsoleOutput> {
        self.console.clone()
    }

    /// What the guest's program has written to its standard output and standard error; none if the
    /// machine was made without a program.
    pub fn program(&self) -> Option<[Shared<ProgramOutput>; 2]> {
        self.program.clone()
    }

    /// The balloon, to set its target and read its statistics; a new target reaches the guest
    /// when it next runs. Locked for no longer than the host looks at it.
    pub fn balloon(&self) -> Option<MutexGuard<'_, MachineBalloon>> {
        self.balloon.as_ref().map(|balloon| lock(balloon))
    }

    /// The disk for swap. Locked for no longer than the host looks at it.
    pub fn swap(&self) -> Option<MutexGuard<'_, MachineDisk>> {
        self.swap.as_ref().map(|disk| lock(disk))
    }

    /// The disk for files. Locked for no longer than the host looks at it.
    pub fn disk(&self) -> Option<MutexGuard<'_, MachineDisk>> {
        self.disk.as_ref().map(|disk| lock(disk))
    }

    /// When the guest completed its first line, if it has.
    pub fn first_line(&self) -> Option<FirstLine> {
        self.first_line
    }

    /// Port and memory-mapped accesses that no device claimed.
    pub fn unclaimed_accesses(&self) -> u64 {
        self.ports.unclaimed().saturating_add(self.mmio.unclaimed())
    }

    /// The virtual machine, for what only KVM can do: dirty log, memory slots.
    pub fn vm(&self) -> &VmFd {
        &self.vm
    }

    /// The kernel that was loaded.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.created.elapsed()
    }

    /// Events so far, or 0 while there is no root page.
    pub(super) fn events(&self) -> u64 {
        self.root_page().and_then(|page| page.events()).unwrap_or(0)
    }

    pub(super) fn console_text(&self) -> String {
        lock(&self.console).text()
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine")
            .field("kernel", &self.kernel)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

fn create_vm(kvm: &Kvm, memory: &GuestMemory) -> Result<VmFd, MachineError> {
    let vm = host::create_vm(kvm)?;
    vm.set_tss_address(TSS_ADDRESS)
        .map_err(HostError::kvm("place the task state segment"))?;
    dirty_log::set_memory(&vm, memory, 0)?;
    Ok(vm)
}
