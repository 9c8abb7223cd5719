//! The machine: everything that belongs to one guest, in one place.

use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use kvm_bindings::CpuId;
use kvm_ioctls::{Kvm, VmFd};
use pagelab_abi::platform::{CMDLINE_DOORBELL, MMIO_END};
use pagelab_abi::root::Root;
use serde::{Deserialize, Serialize};

use super::config::MachineConfig;
use super::devices::{Devices, Fittings, MachineBalloon, MachineDisk};
use super::disk::DiskSource;
use super::error::MachineError;
use super::host::{self, HostError};
use super::kernel::{self, Kernel, Room};
use super::latency::Latency;
use super::memory::{self, GuestMemory, ram_ranges};
use super::registers::{ControlRegisters, Registers};
use super::root::{RootError, RootPage};
use super::slots::Slots;
use super::snapshot::Tracking;
use super::vcpu::Vcpu;
use super::watchdog::Watchdog;
use super::{boot, cpuid};
use crate::devices::serial::{ConsoleOutput, ProgramOutput};
use crate::devices::{Shared, lock};
use crate::inspect::image::CpuRegisters;

/// Where VT-x keeps the task state segment of real mode if it needs one: three pages in the hole
/// below 4 GiB, below the identity map that KVM places by itself.
const TSS_ADDRESS: usize = 0xfffb_d000;
const _: () = assert!((TSS_ADDRESS as u64) < MMIO_END);

/// When the guest first completed a line on its console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstLine {
    /// Since [`Machine::new`] was called.
    pub elapsed: Duration,
    /// Guest events so far; 0 if the guest had not yet named its root page.
    pub events: u64,
}

/// One guest with its memory, its vCPU and its devices.
pub struct Machine {
    // It fills memory up when it goes, so it goes first.
    pub(super) latency: Option<Latency>,
    // The vCPU and the VM go before the memory that they use.
    pub(super) vcpu: Vcpu,
    vm: VmFd,
    cpuid: CpuId,
    memory: GuestMemory,
    pub(super) devices: Devices,
    pub(super) watchdog: Watchdog,
    pub(super) time_limit: Option<Duration>,
    /// When the time limit ends; set by the first run.
    pub(super) deadline: Option<Instant>,
    kernel: Kernel,
    /// The vCPU has not yet done with the exit that the machine stands at.
    pub(super) unfinished: bool,
    /// Since which snapshot stores are noted.
    pub(super) tracking: Tracking,
    pub(super) slots: Slots,
    pub(super) root_pfn: Option<u64>,
    pub(super) phase: RunPhase,
    pub(super) rings: RingCount,
    created: Instant,
    pub(super) first_line: Option<FirstLine>,
}

/// What a machine is made with beside its parts; as [`MachineConfig`] has it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Settings {
    /// How long the guest may take without a sign of life.
    pub(super) watchdog: Duration,
    /// How long it may take in all.
    pub(super) time_limit: Option<Duration>,
    /// Whether its ring 3 does not read the host's time-stamp counter.
    pub(super) denies_tsc: bool,
}

/// Whether the guest can be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum RunPhase {
    /// It runs when entered.
    Running,
    /// It waits for an interrupt.
    Halted,
    /// It has ended.
    Ended,
}

/// Doorbells since the last guest event.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
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
        let mut cmdline = format!("{} {CMDLINE_DOORBELL}", config.cmdline);
        let swap = config.swap.as_ref().map(DiskSource::open).transpose()?;
        let disk = config.disk.as_ref().map(crate::store::open).transpose()?;
        let fittings = Fittings {
            console: config.console,
            program: config.program,
            balloon: config.balloon,
            swap,
            disk,
        };
        let devices = Devices::new(&memory, fittings, &mut cmdline)?;
        let initramfs = config.initramfs.as_ref();
        let initramfs = initramfs.map(|initramfs| (initramfs, config.initramfs_limit));
        boot::write(&memory, &ram, &layout, initramfs, &cmdline)?;

        let kvm = host::open()?;
        let cpuid = cpuid::supported(&kvm)?;
        memory::check_address_bits(&ram, cpuid::physical_address_bits(&cpuid))?;
        let settings = Settings {
            watchdog: config.watchdog,
            time_limit: config.time_limit,
            denies_tsc: config.denies_tsc,
        };
        let machine = Self::assemble(&kvm, memory, devices, cpuid, config.kernel, settings)?;
        machine.vcpu.prepare_boot(layout.entry)?;
        Ok(Self { created, ..machine })
    }

    /// A machine with the memory, the devices and the CPU features of a snapshot; its vCPU is as made.
    pub(super) fn blank(
        memory: GuestMemory,
        fittings: Fittings,
        cpuid: CpuId,
        kernel: Kernel,
        settings: Settings,
    ) -> Result<Self, MachineError> {
        // The guest has read its command line long ago.
        let devices = Devices::new(&memory, fittings, &mut String::new())?;
        Self::assemble(&host::open()?, memory, devices, cpuid, kernel, settings)
    }

    /// Puts a machine together; its vCPU is as made.
    fn assemble(
        kvm: &Kvm,
        memory: GuestMemory,
        devices: Devices,
        cpuid: CpuId,
        kernel: Kernel,
        settings: Settings,
    ) -> Result<Self, MachineError> {
        let slots = Slots::whole(&memory);
        let vm = create_vm(kvm, &memory, &slots)?;
        let mut vcpu = Vcpu::new(&vm, &cpuid, settings.denies_tsc)?;
        vcpu.set_up_machine_checks(kvm)?;
        Ok(Self {
            vcpu,
            vm,
            cpuid,
            memory,
            devices,
            watchdog: Watchdog::new(settings.watchdog),
            time_limit: settings.time_limit,
            deadline: None,
            kernel,
            unfinished: false,
            tracking: Tracking::default(),
            slots,
            latency: None,
            root_pfn: None,
            phase: RunPhase::Running,
            rings: RingCount::default(),
            created: Instant::now(),
            first_line: None,
        })
    }

    /// What the machine was made with.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            watchdog: self.watchdog.limit(),
            time_limit: self.time_limit,
            denies_tsc: self.vcpu.denies_tsc(),
        }
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
        self.devices.console.clone()
    }

    /// What the guest's program has written to its standard output and standard error; none if the
    /// machine was made without a program.
    pub fn program(&self) -> Option<[Shared<ProgramOutput>; 2]> {
        let ports = self.devices.outputs.as_ref()?;
        Some(ports.each_ref().map(|port| lock(port).output()))
    }

    /// The balloon, to set its target and read its statistics; a new target reaches the guest
    /// when it next runs. Locked for no longer than the host looks at it.
    pub fn balloon(&self) -> Option<MutexGuard<'_, MachineBalloon>> {
        self.devices.balloon.as_ref().map(|balloon| lock(balloon))
    }

    /// The disk for swap. Locked for no longer than the host looks at it.
    pub fn swap(&self) -> Option<MutexGuard<'_, MachineDisk>> {
        self.devices.swap.as_ref().map(|disk| lock(disk))
    }

    /// The disk for files. Locked for no longer than the host looks at it.
    pub fn disk(&self) -> Option<MutexGuard<'_, MachineDisk>> {
        self.devices.disk.as_ref().map(|disk| lock(disk))
    }

    /// When the guest completed its first line, if it has.
    pub fn first_line(&self) -> Option<FirstLine> {
        self.first_line
    }

    /// Port and memory-mapped accesses that no device claimed.
    pub fn unclaimed_accesses(&self) -> u64 {
        let devices = &self.devices;
        let ports = devices.ports.unclaimed();
        ports.saturating_add(devices.mmio.unclaimed())
    }

    /// The virtual machine, for what only KVM can do: dirty log, memory slots.
    pub fn vm(&self) -> &VmFd {
        &self.vm
    }

    /// The kernel that was loaded.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Makes the machine's CPU another one, as far as a snapshot can tell.
    #[cfg(test)]
    pub(super) fn change_cpuid_for_tests(&mut self) {
        let entries = self.cpuid.as_mut_slice();
        if let Some(features) = entries.iter_mut().find(|entry| entry.function == 1) {
            features.ecx ^= 1;
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.created.elapsed()
    }

    /// Events so far, or 0 while there is no root page.
    pub(super) fn events(&self) -> u64 {
        self.root_page().and_then(|page| page.events()).unwrap_or(0)
    }

    pub(super) fn console_text(&self) -> String {
        lock(&self.devices.console).text()
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

fn create_vm(kvm: &Kvm, memory: &GuestMemory, slots: &Slots) -> Result<VmFd, MachineError> {
    let vm = host::create_vm(kvm)?;
    vm.set_tss_address(TSS_ADDRESS)
        .map_err(HostError::kvm("place the task state segment"))?;
    slots.set(&vm, memory, false)?;
    Ok(vm)
}
