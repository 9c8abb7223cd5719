//! The one virtual CPU: its registers and what it takes to enter it.

use kvm_bindings::{CpuId, KVMIO, kvm_interrupt, kvm_regs, kvm_sregs};
use kvm_ioctls::{VcpuExit, VcpuFd, VmFd};
use vmm_sys_util::ioctl::ioctl_with_ref;
use vmm_sys_util::{errno, ioctl_iow_nr};

use super::boot;
use super::host::HostError;
use super::host_tsc::DeniedTsc;
use super::registers::{CR4_PKE, ControlRegisters, Registers};
use crate::inspect::image::CpuRegisters;

ioctl_iow_nr!(KVM_INTERRUPT, KVMIO, 0x86, kvm_interrupt);

/// Offset of PKRU in the standard XSAVE area. It is the same on every CPU that has protection
/// keys in the layout that KVM uses (Intel SDM vol. 1, 13.4.3; CPUID leaf 0xD, sub-leaf 9 is the
/// authority, and is asked).
const XSAVE_PKRU_LEAF: (u32, u32) = (0xd, 9);

/// A vCPU at its first instruction, or wherever it has run to.
pub(super) struct Vcpu {
    /// The run loop enters the guest through this.
    pub(super) fd: VcpuFd,
    /// Offset of PKRU in the XSAVE area, if the CPU has protection keys.
    pkru_offset: Option<usize>,
    /// See [`super::MachineConfig::denies_tsc`].
    denies_tsc: bool,
    /// Whether KVM can raise machine checks whose recovery is up to the guest.
    pub(super) has_machine_checks: bool,
}

impl Vcpu {
    /// Creates the vCPU, as it is after a reset.
    pub(super) fn new(vm: &VmFd, cpuid: &CpuId, denies_tsc: bool) -> Result<Self, HostError> {
        let fd = vm
            .create_vcpu(0)
            .map_err(HostError::kvm("create a virtual CPU"))?;
        fd.set_cpuid2(cpuid)
            .map_err(HostError::kvm("set the CPU features"))?;
        let pkru_offset = cpuid
            .as_slice()
            .iter()
            .find(|leaf| (leaf.function, leaf.index) == XSAVE_PKRU_LEAF && leaf.eax >= 4)
            .map(|leaf| leaf.ebx as usize);
        Ok(Self {
            fd,
            pkru_offset,
            denies_tsc,
            has_machine_checks: false,
        })
    }

    /// Whether ring 3 does not read the host's time-stamp counter.
    pub(super) fn denies_tsc(&self) -> bool {
        self.denies_tsc
    }

    /// Enters the guest until it exits.
    pub(super) fn run(&mut self) -> Result<VcpuExit<'_>, errno::Error> {
        let _denied = self.denies_tsc.then(DeniedTsc::new);
        self.fd.run()
    }

    /// Makes it ready to start a PVH kernel at `entry`.
    pub(super) fn prepare_boot(&self, entry: u64) -> Result<(), HostError> {
        let mut sregs = self.system_registers()?;
        boot::set_system_registers(&mut sregs);
        self.fd
            .set_sregs(&sregs)
            .map_err(HostError::kvm("set the system registers"))?;
        self.fd
            .set_regs(&boot::registers(entry))
            .map_err(HostError::kvm("set the registers"))
    }

    /// Injects an external interrupt. The caller has seen that the vCPU is ready for it.
    pub(super) fn interrupt(&self, vector: u8) -> Result<(), HostError> {
        let interrupt = kvm_interrupt { irq: vector.into() };
        // SAFETY: the descriptor is a vCPU, and KVM_INTERRUPT only reads the structure.
        let result = unsafe { ioctl_with_ref(&self.fd, KVM_INTERRUPT(), &interrupt) };
        if result < 0 {
            return Err(HostError::kvm("inject an interrupt")(errno::Error::last()));
        }
        Ok(())
    }

    pub(super) fn registers(&self) -> Result<Registers, HostError> {
        let regs = self.general_registers()?;
        let sregs = self.system_registers()?;
        Ok(Registers::new(&regs, &sregs, self.pkru(&sregs)?))
    }

    pub(super) fn control_registers(&self) -> Result<ControlRegisters, HostError> {
        let sregs = self.system_registers()?;
        Ok(ControlRegisters::new(&sregs, self.pkru(&sregs)?))
    }

    /// Whether CR4 takes `bits` besides those it has; it has the same afterwards.
    pub(super) fn accepts_cr4(&self, bits: u64) -> Result<bool, HostError> {
        let before = self.system_registers()?;
        let mut with = before;
        with.cr4 |= bits;
        let accepted =
            self.fd.set_sregs(&with).is_ok() && self.system_registers()?.cr4 & bits == bits;
        self.fd
            .set_sregs(&before)
            .map_err(HostError::kvm("set the system registers"))?;
        Ok(accepted)
    }

    /// The registers in the form of a core file; EFER and PKRU among them.
    pub(super) fn core_registers(&self) -> Result<CpuRegisters, HostError> {
        let sregs = self.system_registers()?;
        Ok(CpuRegisters {
            pkru: Some(self.pkru(&sregs)?),
            ..CpuRegisters::from_kvm(&self.general_registers()?, &sregs)
        })
    }

    pub(super) fn general_registers(&self) -> Result<kvm_regs, HostError> {
        self.fd
            .get_regs()
            .map_err(HostError::kvm("read the registers"))
    }

    pub(super) fn system_registers(&self) -> Result<kvm_sregs, HostError> {
        self.fd
            .get_sregs()
            .map_err(HostError::kvm("read the system registers"))
    }

    fn pkru(&self, sregs: &kvm_sregs) -> Result<u32, HostError> {
        let Some(offset) = self.pkru_offset.filter(|_| sregs.cr4 & CR4_PKE != 0) else {
            return Ok(0);
        };
        let area = self
            .fd
            .get_xsave()
            .map_err(HostError::kvm("read the extended state"))?;
        // The area is an array of 32-bit words; PKRU is outside it only if CPUID lies.
        Ok(area.region.get(offset / 4).copied().unwrap_or(0))
    }
}
