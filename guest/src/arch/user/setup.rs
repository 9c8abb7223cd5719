//! What the CPU must be told once before ring 3 runs programs.

use x86_64::{
    VirtAddr,
    registers::{
        control::{Cr4, Cr4Flags},
        model_specific::{Efer, EferFlags, LStar, Msr, SFMask},
        rflags::RFlags,
    },
};

/// IA32_STAR: the kernel's code selector in bits 32 to 47, as `syscall` loads it. `sysret` is not
/// used.
const IA32_STAR: u32 = 0xc000_0081;
const STAR: u64 = 8 << 32;

/// Turns on `syscall` and SSE, and, if `fixed_cpu`, has the kernel answer CPUID and RDTSC, and see
/// page faults as all CPUs but those in software report them. Interrupts are off.
///
/// OSXSAVE stays off: programs see SSE2 and nothing newer, the same on every host.
pub(crate) fn init(fixed_cpu: bool) {
    let mut flags = RFlags::INTERRUPT_FLAG | RFlags::TRAP_FLAG | RFlags::DIRECTION_FLAG;
    flags |= RFlags::NESTED_TASK | RFlags::ALIGNMENT_CHECK | RFlags::IOPL_HIGH | RFlags::IOPL_LOW;
    SFMask::write(flags);
    LStar::write(VirtAddr::new_truncate(super::lstar()));
    // SAFETY: registers that only ring 3's instructions look at.
    unsafe {
        Msr::new(IA32_STAR).write(STAR);
        Efer::write(Efer::read() | EferFlags::SYSTEM_CALL_EXTENSIONS);
        Cr4::write(Cr4::read() | Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE);
    }
    if fixed_cpu {
        super::cpuid::init();
        super::tsc::init();
        super::rmw::init();
    }
}

/// Loads null selectors into the data segment registers, so that no program sees another's.
pub(super) fn load_null_selectors() {
    // SAFETY: in long mode the kernel uses none of them.
    unsafe {
        core::arch::asm!(
            "mov ds, {0:e}", "mov es, {0:e}", "mov fs, {0:e}", "mov gs, {0:e}",
            in(reg) 0, options(nomem, nostack, preserves_flags)
        );
    }
}
