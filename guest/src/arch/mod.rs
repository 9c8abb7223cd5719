//! What is particular to x86-64.
//!
//! * [`boot`]: from the PVH entry to [`crate::kernel_main`].
//! * [`pvh`]: what the loader says about the machine.
//! * [`layout`]: the linker script's view of the kernel.
//! * [`paging`]: the kernel's page tables; [`kmap`]: windows onto frames outside the direct map.
//! * [`segments`]: GDT, TSS and stacks for exceptions; [`trap`]: all 256 vectors.
//! * [`interrupt`]: pending interrupt lines; [`pic`]: the 8259s where there are some;
//!   [`apic`]: the way from there to the CPU.
//! * [`machine_check`]: the CPU says that memory is broken.
//! * [`backtrace`]: who called.
//! * [`probe`]: accesses that may fault.
//! * [`user`]: programs in ring 3.
//! * [`features`]: protection bits of CR4 that not every CPU has.

pub(crate) mod apic;
pub(crate) mod backtrace;
pub(crate) mod boot;
pub(crate) mod features;
pub(crate) mod interrupt;
pub(crate) mod kmap;
pub(crate) mod layout;
pub(crate) mod machine_check;
pub(crate) mod paging;
pub(crate) mod pic;
pub(crate) mod probe;
pub(crate) mod pvh;
pub(crate) mod segments;
pub(crate) mod trap;
pub(crate) mod user;

// Under clippy and in a build of the whole workspace the package is an ordinary program.
#[cfg(pagelab_kernel)]
core::arch::global_asm!(include_str!("boot.s"));
#[cfg(pagelab_kernel)]
core::arch::global_asm!(include_str!("memory.s"));
// Together, as a macro reaches no further than its piece of assembly.
#[cfg(pagelab_kernel)]
core::arch::global_asm!(concat!(
    include_str!("registers.s"),
    include_str!("trap.s"),
    include_str!("user/user.s")
));
#[cfg(pagelab_kernel)]
core::arch::global_asm!(include_str!("probe.s"));

/// The time stamp counter: for the log, and nowhere else.
pub(crate) fn tsc() -> u64 {
    // SAFETY: reads a counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}
