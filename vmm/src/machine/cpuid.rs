//! What the guest's CPU says it is: the host's features, as one CPU without a local APIC.

use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES};
use kvm_ioctls::Kvm;

use super::host::HostError;

/// Leaves of CPUID (Intel SDM vol. 2A, CPUID; AMD APM vol. 3, appendix E).
mod leaf {
    pub(super) const FEATURES: u32 = 1;
    pub(super) const CACHES: u32 = 4;
    pub(super) const TOPOLOGY: u32 = 0xb;
    pub(super) const TOPOLOGY_V2: u32 = 0x1f;
    pub(super) const ADDRESS_SIZES: u32 = 0x8000_0008;
    pub(super) const AMD_CACHES: u32 = 0x8000_001d;
    pub(super) const AMD_TOPOLOGY: u32 = 0x8000_001e;
}

const ECX_X2APIC: u32 = 1 << 21;
const ECX_TSC_DEADLINE: u32 = 1 << 24;
const ECX_HYPERVISOR: u32 = 1 << 31;
const EDX_APIC: u32 = 1 << 9;

/// CPUID for the one vCPU: everything that KVM supports here, less what depends on the host CPU
/// that the process happens to run on.
pub(super) fn supported(kvm: &Kvm) -> Result<CpuId, HostError> {
    let mut cpuid = kvm
        .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
        .map_err(HostError::kvm("read the supported CPU features"))?;
    for entry in cpuid.as_mut_slice() {
        match entry.function {
            leaf::FEATURES => {
                // Keep the cache line size; one logical processor, APIC id 0.
                entry.ebx = entry.ebx & 0xffff | 1 << 16;
                entry.ecx = entry.ecx & !(ECX_X2APIC | ECX_TSC_DEADLINE) | ECX_HYPERVISOR;
                entry.edx &= !EDX_APIC;
            }
            // Cores and threads that share the cache, less one, are in bits 31:14.
            leaf::CACHES | leaf::AMD_CACHES => entry.eax &= 0x3fff,
            leaf::TOPOLOGY | leaf::TOPOLOGY_V2 => entry.edx = 0,
            leaf::ADDRESS_SIZES => entry.ecx &= !0xf0ff,
            leaf::AMD_TOPOLOGY => (entry.eax, entry.ebx, entry.ecx) = (0, 0, 0),
            _ => {}
        }
    }
    Ok(cpuid)
}

/// The CPU's maker, 12 bytes: EBX, EDX, ECX of leaf 0.
pub(super) fn vendor(cpuid: &CpuId) -> Vec<u8> {
    let leaf = cpuid.as_slice().iter().find(|entry| entry.function == 0);
    leaf.map_or_else(Vec::new, |leaf| {
        [leaf.ebx, leaf.edx, leaf.ecx]
            .map(u32::to_le_bytes)
            .concat()
    })
}

/// Bits of a physical address of the CPU that `cpuid` describes.
pub(super) fn physical_address_bits(cpuid: &CpuId) -> u32 {
    let sizes = cpuid
        .as_slice()
        .iter()
        .find(|entry| entry.function == leaf::ADDRESS_SIZES);
    // A CPU without the leaf has 36 (Intel SDM vol. 3, 4.1.4).
    sizes.map_or(36, |entry| entry.eax & 0xff)
}
