//! What this host can do for pagelab, and the remedy for what it cannot.
//!
//! Nothing is taken from a name or a version where it can be tried: the backend is told by what a
//! guest of a few instructions does, control register bits by setting them.

mod capability;
mod display;
mod probe;

use schemars::JsonSchema;
use serde::Serialize;

pub use capability::{Capability, Need};
pub use probe::{Backend, Speed};

use super::host;
use super::memory::{MAX_MEMORY, allocate, ram_ranges};

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct HostReport {
    /// Release of the host's kernel.
    pub kernel: String,
    /// Whether a machine can be created and run.
    pub usable: bool,
    /// Why not, and the remedy.
    pub problem: Option<String>,
    /// How KVM runs a guest's ring 0, if it could be tried.
    pub backend: Option<Backend>,
    /// How fast it does.
    pub speed: Option<Speed>,
    /// Width of a guest physical address in bits.
    pub physical_address_bits: Option<u32>,
    /// Most memory slots of a machine.
    pub memory_slots: Option<u64>,
    /// Largest machine that the host could map, in bytes.
    pub largest_memory: u64,
    /// What KVM and the host's kernel offer.
    pub capabilities: Vec<Capability>,
}

/// Examines the host. Creates and runs a few small machines, which takes some 50 ms.
pub fn examine() -> HostReport {
    let mut report = HostReport {
        kernel: kernel_release(),
        usable: false,
        problem: None,
        backend: None,
        speed: None,
        physical_address_bits: None,
        memory_slots: None,
        largest_memory: largest_memory(),
        capabilities: Vec::new(),
    };
    let kvm = match host::open() {
        Ok(kvm) => kvm,
        Err(error) => {
            report.problem = Some(error.to_string());
            return report;
        }
    };
    report.memory_slots = Some(kvm.get_nr_memslots() as u64);
    report.capabilities = capability::of_kvm(&kvm);
    report.capabilities.push(capability::userfaultfd());
    match probe::run(&kvm) {
        Ok(probe) => {
            report.backend = Some(probe.backend);
            report.speed = Some(probe.speed);
            report.physical_address_bits = Some(probe.physical_address_bits);
            report.capabilities.extend(probe.cpu);
        }
        Err(error) => report.problem = Some(error.to_string()),
    }
    let missing = report.missing(Need::Required).next();
    if let (None, Some(missing)) = (&report.problem, missing) {
        report.problem = Some(format!(
            "KVM here lacks {}: {}",
            missing.name, missing.remedy
        ));
    }
    report.usable = report.problem.is_none();
    report
}

impl HostReport {
    /// What is missing of a kind.
    pub fn missing(&self, need: Need) -> impl Iterator<Item = &Capability> {
        self.capabilities
            .iter()
            .filter(move |capability| capability.need == need && !capability.present)
    }
}

fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map(|text| text.trim().to_owned())
        .unwrap_or_else(|_| "unknown".into())
}

/// The largest power-of-two machine that can be mapped, or 0.
fn largest_memory() -> u64 {
    let mut memory = MAX_MEMORY;
    while let Ok(ranges) = ram_ranges(memory) {
        if allocate(&ranges).is_ok() {
            return memory;
        }
        memory /= 2;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::testing::has_kvm;

    #[test]
    fn the_report_agrees_with_what_machines_do() {
        if !has_kvm() {
            return;
        }
        let report = examine();
        assert!(report.usable, "{report}");
        assert!(report.backend.is_some() && report.speed.is_some());
        let bits = report.physical_address_bits.unwrap();
        assert!((32..=52).contains(&bits), "{bits}");
        for line in report.to_string().lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn a_host_without_kvm_is_told_the_remedy() {
        let report = HostReport {
            kernel: "6.1.0".into(),
            usable: false,
            problem: Some(host::HostError::Missing("/dev/kvm".into()).to_string()),
            backend: None,
            speed: None,
            physical_address_bits: None,
            memory_slots: None,
            largest_memory: 0,
            capabilities: Vec::new(),
        };
        let text = report.to_string();
        assert!(text.contains("modprobe kvm_intel"), "{text}");
        assert!(text.contains("no machine can run"), "{text}");
    }
}
