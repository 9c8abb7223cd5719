//! Protection bits of CR4 that not every CPU has.
//!
//! They change what a stray access does and nothing else: no allocation depends on them, so runs on
//! different CPUs stay equal.

use super::probe::{self, Attempt};
use core::arch::x86_64::{__cpuid, __cpuid_count};
use x86_64::registers::control::{Cr4, Cr4Flags};

/// Those of SMEP, SMAP and UMIP that CPUID offers.
pub(crate) fn offered() -> Cr4Flags {
    let mut offered = Cr4Flags::empty();
    if __cpuid(0).eax >= 7 {
        let leaf = __cpuid_count(7, 0);
        let smep = Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION;
        let smap = Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION;
        offered.set(smep, leaf.ebx & 1 << 7 != 0);
        offered.set(smap, leaf.ebx & 1 << 20 != 0);
        offered.set(
            Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION,
            leaf.ecx & 1 << 2 != 0,
        );
    }
    offered
}

/// Turns on global pages, and SMEP, SMAP and UMIP where CPUID offers them and the CPU takes them.
pub(crate) fn init() {
    for flag in offered() | Cr4Flags::PAGE_GLOBAL {
        let value = Cr4::read_raw() | flag.bits();
        // SAFETY: the bits only restrict what the kernel does not do. A CPU that offers a bit and
        // then refuses it (one that is partly emulated) raises an exception, and stays as it was.
        if unsafe { probe::attempt(Attempt::SetCr4, value, 0, 0) }.is_err() {
            log::debug!("CPU offers CR4 bits {:#x} but refuses them", flag.bits());
        }
    }
}
