//! The local APIC in virtual wire mode: it hands on what the 8259s say (Intel MultiProcessor
//! Specification 1.4, 3.6.2.2). Turned off, it should do so by itself (Intel SDM vol. 3, 10.4.3), but
//! QEMU's, out of reset, does not.

use super::{kmap, layout::PAGE_SIZE};
use crate::machine::CPU;
use core::arch::x86_64::__cpuid;
use x86_64::registers::model_specific::{ApicBase, ApicBaseFlags, Msr};

/// Registers, as offsets in the page of the APIC (Intel SDM vol. 3, table 10-1).
mod register {
    pub(super) const SPURIOUS_VECTOR: u16 = 0x0f0;
    pub(super) const LINT0: u16 = 0x350;
}

/// Spurious interrupt vector register: enabled, vector 255.
const ENABLED: u32 = 0x1ff;

/// Local vector table: delivery mode ExtINT, the vector comes from the 8259; not masked.
const EXT_INT: u32 = 0x700;

/// First of the MSRs that are the registers of an APIC in x2APIC mode, 16 bytes of the page each.
const X2APIC_BASE: u32 = 0x800;

/// Lets the 8259s interrupt the CPU. Does nothing where there is no local APIC, or none that is on.
pub(crate) fn pass_8259_through() {
    const HAS_APIC: u32 = 1 << 9;
    if __cpuid(1).edx & HAS_APIC == 0 {
        return;
    }
    let (base, flags) = ApicBase::read();
    if !flags.contains(ApicBaseFlags::LAPIC_ENABLE) {
        return;
    }
    // LINT0 stays masked until the APIC is enabled.
    let settings = [
        (register::SPURIOUS_VECTOR, ENABLED),
        (register::LINT0, EXT_INT),
    ];
    if flags.contains(ApicBaseFlags::X2APIC_ENABLE) {
        for (register, value) in settings {
            let mut msr = Msr::new(X2APIC_BASE + u32::from(register >> 4));
            // SAFETY: a register of this CPU's APIC, which nothing else touches.
            unsafe { msr.write(value.into()) };
        }
        return;
    }
    let pfn = base.start_address().as_u64() / PAGE_SIZE;
    let Some(window) = kmap::open(CPU, pfn as u32) else {
        return;
    };
    for (register, value) in settings {
        // SAFETY: as above; the window is open.
        unsafe {
            window
                .byte_add(register.into())
                .cast::<u32>()
                .write_volatile(value)
        };
    }
    kmap::close(CPU, window);
}
