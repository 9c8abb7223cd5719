//! /dev/kvm: opening it, and every way in which a host can be unfit.

use std::path::PathBuf;
use std::sync::OnceLock;

use kvm_bindings::KVM_API_VERSION;
use kvm_ioctls::{Cap, Kvm, VmFd};
use thiserror::Error;
use vmm_sys_util::errno;

/// Where KVM is.
pub const KVM_PATH: &str = "/dev/kvm";

/// Why this host cannot run the machine.
#[derive(Debug, Error)]
pub enum HostError {
    /// There is no KVM device.
    #[error(
        "{0} does not exist: load the module (`modprobe kvm_intel` or `modprobe kvm_amd`), enable \
         virtualisation in the firmware, pass the device into the container (`--device /dev/kvm`), \
         or use scripts/nested-kvm"
    )]
    Missing(PathBuf),
    /// The user may not use it.
    #[error(
        "no permission to open {0}: join the group (`sudo usermod -aG kvm $USER`, then log in \
         again), or `sudo setfacl -m u:$USER:rw {0}`"
    )]
    Permission(PathBuf),
    /// The device is there, but no driver answers.
    #[error(
        "{0} has no driver behind it: load the module (`modprobe kvm_intel` or \
         `modprobe kvm_amd`), or use scripts/nested-kvm"
    )]
    NoDriver(PathBuf),
    /// It cannot be opened for another reason.
    #[error("cannot open {path}: {source}; see `pagelab doctor`")]
    Open {
        /// The device.
        path: PathBuf,
        /// What the host said.
        source: errno::Error,
    },
    /// What was opened is not KVM, or not one this program knows.
    #[error(
        "{path} speaks KVM API version {version}, not {KVM_API_VERSION}; it is not KVM, or a \
         kernel before Linux 2.6.22"
    )]
    ApiVersion {
        /// The device.
        path: PathBuf,
        /// What it answered.
        version: i32,
    },
    /// Another hypervisor holds the CPU.
    #[error(
        "KVM cannot use the CPU's virtualisation: it is busy; end the other hypervisor (such as \
         VirtualBox or VMware)"
    )]
    Busy,
    /// Something that the machine needs is not there.
    #[error("KVM here lacks {name} ({what}); use a host kernel of {since} or newer")]
    Capability {
        /// Name in the KVM API.
        name: &'static str,
        /// What it is needed for.
        what: &'static str,
        /// First kernel that has it.
        since: &'static str,
    },
    /// The host has not enough memory or descriptors for a virtual machine.
    #[error("the host is out of {what} ({step}): {remedy}")]
    Resources {
        /// What there is too little of.
        what: &'static str,
        /// What was being done.
        step: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A KVM call failed.
    #[error("KVM failed to {step}: {source}; see `pagelab doctor`")]
    Kvm {
        /// What was being done, as a verb.
        step: &'static str,
        /// What the host said.
        source: errno::Error,
    },
}

impl HostError {
    /// The error for a failed KVM call; `step` says what was being done, as a verb.
    pub(super) fn kvm(step: &'static str) -> impl FnOnce(errno::Error) -> Self {
        move |source| {
            let (what, remedy) = match source.errno() {
                libc::EBUSY => return Self::Busy,
                libc::ENOMEM => (
                    "memory",
                    "end other programs, or give the machine less memory",
                ),
                libc::EMFILE => ("file descriptors", "raise `ulimit -n`"),
                libc::ENFILE => ("file descriptors", "raise the sysctl fs.file-max"),
                _ => return Self::Kvm { step, source },
            };
            Self::Resources { what, step, remedy }
        }
    }
}

/// Opens KVM and checks that it can run the machine.
///
/// # Errors
/// [`HostError`], which names the remedy.
pub fn open() -> Result<Kvm, HostError> {
    open_at(KVM_PATH)
}

pub(super) fn open_at(path: &str) -> Result<Kvm, HostError> {
    let name = || PathBuf::from(path);
    let c_path = std::ffi::CString::new(path).map_err(|_| HostError::Missing(name()))?;
    let kvm = Kvm::new_with_path(c_path).map_err(|source| match source.errno() {
        libc::ENOENT => HostError::Missing(name()),
        libc::EACCES | libc::EPERM => HostError::Permission(name()),
        libc::ENODEV | libc::ENXIO => HostError::NoDriver(name()),
        libc::EMFILE | libc::ENFILE => HostError::kvm("open /dev/kvm")(source),
        _ => HostError::Open {
            path: name(),
            source,
        },
    })?;
    let version = kvm.get_api_version();
    if i64::from(version) != i64::from(KVM_API_VERSION) {
        let path = name();
        return Err(HostError::ApiVersion { path, version });
    }
    Ok(kvm)
}

/// Creates an empty virtual machine.
pub(super) fn create_vm(kvm: &Kvm) -> Result<VmFd, HostError> {
    if !kvm.check_extension(Cap::ImmediateExit) {
        return Err(HostError::Capability {
            name: "KVM_CAP_IMMEDIATE_EXIT",
            what: "the watchdog",
            since: "Linux 4.13",
        });
    }
    loop {
        match kvm.create_vm() {
            // A signal arrived while KVM started up.
            Err(error) if error.errno() == libc::EINTR => {}
            result => return result.map_err(HostError::kvm("create a virtual machine")),
        }
    }
}

/// Whether KVM translates guest physical addresses by hardware (EPT, NPT), and not by shadows of the
/// guest's page tables. The module's parameter says so (Linux, Documentation/admin-guide/
/// kernel-parameters.txt: kvm-intel.ept, kvm-amd.npt); where there is none, it is taken not to.
pub(super) fn has_nested_paging() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        ["kvm_intel/parameters/ept", "kvm_amd/parameters/npt"]
            .into_iter()
            .filter_map(|name| std::fs::read_to_string(format!("/sys/module/{name}")).ok())
            .any(|value| matches!(value.trim(), "Y" | "1"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_at(path: &str) -> HostError {
        open_at(path).map(drop).unwrap_err()
    }

    #[test]
    fn a_missing_device_has_a_remedy() {
        let error = error_at("/dev/kvm-that-is-not-there");
        assert!(matches!(error, HostError::Missing(_)));
        assert!(error.to_string().contains("modprobe kvm_intel"));
    }

    #[test]
    fn something_else_is_not_kvm() {
        let error = error_at("/dev/null");
        assert!(
            matches!(error, HostError::ApiVersion { version: -1, .. }),
            "{error}"
        );
    }

    #[test]
    fn errors_of_the_host_are_told_apart() {
        let error = |number| HostError::kvm("test")(errno::Error::new(number));
        assert!(matches!(error(libc::EBUSY), HostError::Busy));
        assert!(error(libc::EMFILE).to_string().contains("ulimit -n"));
        assert!(error(libc::ENOMEM).to_string().contains("out of memory"));
        assert!(error(libc::EINVAL).to_string().contains("failed to test"));
    }
}
