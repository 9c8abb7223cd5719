//! The one way in which QEMU's software CPU, which `scripts/nested-kvm` runs on, differs from the
//! manual in page faults.

use std::arch::x86_64::__cpuid;

use pagelab::inspect::pagetable::PageFault;

/// The error code to expect for a fault on this machine. QEMU's software CPU leaves P out where a
/// reserved bit is set (`do_fault_rsvd` in its target/i386/tcg/sysemu/excp_helper.c); SDM volume 3,
/// section 4.7 and real CPUs have both.
pub(crate) fn error_code(fault: PageFault, is_software: bool) -> u32 {
    let lacks_p = is_software && fault.error_code & PageFault::RSVD != 0;
    fault.error_code & if lacks_p { !PageFault::P } else { !0 }
}

/// Whether this process runs on QEMU's software CPU.
pub(crate) fn is_software() -> bool {
    let leaf = __cpuid(0x4000_0000);
    let name = [leaf.ebx, leaf.ecx, leaf.edx].map(u32::to_le_bytes);
    name.as_flattened() == b"TCGTCGTCGTCG"
}
