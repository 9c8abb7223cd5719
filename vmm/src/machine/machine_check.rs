//! Machine checks: the host tells the guest that a frame's memory is broken (Intel SDM vol. 3, chapter 15;
//! Documentation/virt/kvm/api.rst: KVM_X86_SETUP_MCE, KVM_X86_SET_MCE).
//!
//! What is raised is an error that memory scrubbing found: uncorrected, its recovery optional (SRAO). It
//! arrives where the guest stands, at an event, so it is as reproducible as anything else.

use kvm_bindings::{KVMIO, kvm_x86_mce};
use kvm_ioctls::{Cap, Kvm};
use pagelab_abi::platform::{
    MCACOD_SCRUB, MCG_STATUS_MCIP, MCG_STATUS_RIPV, MCI_MISC_PHYSICAL_PAGE, MCI_STATUS_ADDRV,
    MCI_STATUS_EN, MCI_STATUS_MISCV, MCI_STATUS_S, MCI_STATUS_UC, MCI_STATUS_VAL,
};
use thiserror::Error;
use vmm_sys_util::{
    errno,
    ioctl::{ioctl_with_mut_ref, ioctl_with_ref},
    ioctl_ior_nr, ioctl_iow_nr,
};

use super::host::HostError;
use super::machine::Machine;
use super::vcpu::Vcpu;

ioctl_iow_nr!(KVM_X86_SETUP_MCE, KVMIO, 0x9c, u64);
ioctl_ior_nr!(KVM_X86_GET_MCE_CAP_SUPPORTED, KVMIO, 0x9d, u64);
ioctl_iow_nr!(KVM_X86_SET_MCE, KVMIO, 0x9e, kvm_x86_mce);

/// Banks of the CPU. The second one reports.
const BANKS: u64 = 2;
const BANK: u8 = 1;

/// MCG_CTL_P and MCG_SER_P in IA32_MCG_CAP (Intel SDM vol. 3, 15.3.1.1): there is MCG_CTL, and errors whose
/// recovery is up to software are reported.
const MCG_CTL_P: u64 = 1 << 8;
const MCG_SER_P: u64 = 1 << 24;

/// CR4.MCE: without it a machine check shuts the CPU down.
const CR4_MCE: u64 = 1 << 6;

const IA32_MCG_STATUS: u32 = 0x17a;

/// Why no machine check was raised.
#[derive(Debug, Error)]
pub enum MachineCheckError {
    /// KVM has none for guests.
    #[error("this host's KVM raises no machine checks: it lacks KVM_CAP_MCE; see `pagelab doctor`")]
    Unsupported,
    /// The guest has not turned them on.
    #[error("the guest takes no machine checks: CR4.MCE is off")]
    NotEnabled,
    /// The guest has not dealt with the last one.
    #[error("the guest is still dealing with another machine check; give a later event")]
    Busy,
    /// KVM failed.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Vcpu {
    /// Gives a new CPU its banks, if KVM has machine checks for it.
    pub(super) fn set_up_machine_checks(&mut self, kvm: &Kvm) -> Result<(), HostError> {
        if !kvm.check_extension(Cap::Mce) {
            return Ok(());
        }
        let mut supported = 0_u64;
        // SAFETY: the descriptor is /dev/kvm, and the call writes the one word.
        let known =
            unsafe { ioctl_with_mut_ref(kvm, KVM_X86_GET_MCE_CAP_SUPPORTED(), &mut supported) };
        let cap = BANKS | supported & (MCG_CTL_P | MCG_SER_P);
        // SAFETY: the descriptor is a vCPU, and the call only reads the word.
        if known < 0 || unsafe { ioctl_with_ref(&self.fd, KVM_X86_SETUP_MCE(), &cap) } < 0 {
            return Err(HostError::kvm("set up machine checks")(errno::Error::last()));
        }
        self.has_machine_checks = supported & MCG_SER_P != 0;
        Ok(())
    }

    fn raise_machine_check(&self, gpa: u64) -> Result<(), HostError> {
        let error = kvm_x86_mce {
            status: MCI_STATUS_VAL
                | MCI_STATUS_UC
                | MCI_STATUS_EN
                | MCI_STATUS_MISCV
                | MCI_STATUS_ADDRV
                | MCI_STATUS_S
                | MCACOD_SCRUB,
            addr: gpa,
            misc: MCI_MISC_PHYSICAL_PAGE,
            mcg_status: MCG_STATUS_MCIP | MCG_STATUS_RIPV,
            bank: BANK,
            ..kvm_x86_mce::default()
        };
        // SAFETY: the descriptor is a vCPU, and the call only reads the structure.
        if unsafe { ioctl_with_ref(&self.fd, KVM_X86_SET_MCE(), &error) } < 0 {
            return Err(HostError::kvm("raise a machine check")(errno::Error::last()));
        }
        Ok(())
    }
}

impl Machine {
    /// Tells the guest, as soon as it goes on, that the memory of the frame at a guest physical address is
    /// broken.
    ///
    /// # Errors
    /// [`MachineCheckError`]; then nothing has happened.
    pub fn raise_machine_check(&self, gpa: u64) -> Result<(), MachineCheckError> {
        if !self.vcpu.has_machine_checks {
            return Err(MachineCheckError::Unsupported);
        }
        // KVM would shut the CPU down in either case.
        if self.vcpu.system_registers()?.cr4 & CR4_MCE == 0 {
            return Err(MachineCheckError::NotEnabled);
        }
        if self.vcpu.msr(IA32_MCG_STATUS)?.unwrap_or(0) & MCG_STATUS_MCIP != 0 {
            return Err(MachineCheckError::Busy);
        }
        Ok(self.vcpu.raise_machine_check(gpa)?)
    }
}
