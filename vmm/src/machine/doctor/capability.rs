//! What KVM and the host's kernel offer, by name.

use std::fs::OpenOptions;

use kvm_bindings::{KVM_CAP_EXIT_ON_EMULATION_FAILURE, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2};
use kvm_ioctls::{Cap, Kvm};
use schemars::JsonSchema;
use serde::Serialize;

/// How much a capability matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// No machine runs without it.
    Required,
    /// Some experiments need it.
    Useful,
    /// Nice to know; the guest does without.
    Optional,
}

/// One capability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Capability {
    /// Its name in the kernel's interface or in the CPU manual.
    pub name: &'static str,
    /// What pagelab uses it for.
    pub used_for: &'static str,
    /// Whether it is there.
    pub present: bool,
    /// How much that matters.
    pub need: Need,
    /// What to do if it is not.
    pub remedy: &'static str,
}

const NEWER_KERNEL: &str = "use a newer host kernel";

pub(super) fn of_kvm(kvm: &Kvm) -> Vec<Capability> {
    use Need::{Optional, Required, Useful};
    let cap = |name, cap: Cap, used_for, need| Capability {
        name,
        used_for,
        present: kvm.check_extension(cap),
        need,
        remedy: NEWER_KERNEL,
    };
    let raw = |name, number: u32, used_for, need| Capability {
        name,
        used_for,
        present: kvm.check_extension_raw(number.into()) > 0,
        need,
        remedy: NEWER_KERNEL,
    };
    vec![
        cap(
            "KVM_CAP_USER_MEMORY",
            Cap::UserMemory,
            "guest memory",
            Required,
        ),
        cap(
            "KVM_CAP_IMMEDIATE_EXIT",
            Cap::ImmediateExit,
            "the watchdog",
            Required,
        ),
        cap(
            "KVM_CAP_EXT_CPUID",
            Cap::ExtCpuid,
            "the guest's CPU",
            Required,
        ),
        cap("KVM_CAP_SYNC_MMU", Cap::SyncMmu, "the balloon", Useful),
        cap(
            "KVM_CAP_READONLY_MEM",
            Cap::ReadonlyMem,
            "read-only memory",
            Useful,
        ),
        cap(
            "KVM_CAP_SET_GUEST_DEBUG",
            Cap::SetGuestDebug,
            "single-step",
            Useful,
        ),
        cap("KVM_CAP_MCE", Cap::Mce, "machine checks", Useful),
        cap(
            "KVM_CAP_SYNC_REGS",
            Cap::SyncRegs,
            "fast register access",
            Optional,
        ),
        cap(
            "KVM_CAP_INTERNAL_ERROR_DATA",
            Cap::InternalErrorData,
            "crash reports",
            Optional,
        ),
        raw(
            "KVM_CAP_EXIT_ON_EMULATION_FAILURE",
            KVM_CAP_EXIT_ON_EMULATION_FAILURE,
            "crash reports",
            Optional,
        ),
        raw(
            "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2",
            KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
            "dirty log",
            Optional,
        ),
    ]
}

/// Whether faults in guest memory can be served by this process. KVM touches guest memory from
/// the host's kernel, so the user-mode-only kind does not do.
pub(super) fn userfaultfd() -> Capability {
    Capability {
        name: "userfaultfd",
        used_for: "memory latency",
        present: syscall_gives_userfaultfd() || device_gives_userfaultfd(),
        need: Need::Useful,
        remedy: "sysctl vm.unprivileged_userfaultfd=1, or setfacl -m u:$USER:rw /dev/userfaultfd",
    }
}

fn syscall_gives_userfaultfd() -> bool {
    // SAFETY: userfaultfd takes flags only and returns a new descriptor or an error.
    let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
    let Ok(fd) = libc::c_int::try_from(fd) else {
        return false;
    };
    if fd >= 0 {
        // SAFETY: the descriptor was just opened here, and nobody else knows it.
        unsafe { libc::close(fd) };
    }
    fd >= 0
}

fn device_gives_userfaultfd() -> bool {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/userfaultfd");
    device.is_ok()
}
