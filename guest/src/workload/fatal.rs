//! Ways to die, for the tests of those who watch.

use pagelab_abi::gfp::Gfp;
use pagelab_mm::Order;
use x86_64::{VirtAddr, instructions::tables::lidt, structures::DescriptorTablePointer};

/// Never an event again: what a watchdog is for.
pub(super) fn spin() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// An exception with an empty IDT.
pub(super) fn triple_fault() -> ! {
    let empty = DescriptorTablePointer {
        limit: 0,
        base: VirtAddr::zero(),
    };
    // SAFETY: nothing is left to be safe for: the next instruction ends the machine.
    unsafe { lidt(&empty) };
    bad_opcode()
}

/// An undefined instruction.
pub(super) fn bad_opcode() -> ! {
    // SAFETY: raises #UD, which ends the kernel.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}

/// Recursion without end.
pub(super) fn stack_overflow() -> ! {
    deeper(0);
    panic!("the stack has no end")
}

#[inline(never)]
#[expect(unconditional_recursion, reason = "that is what it is for")]
fn deeper(depth: u64) -> u64 {
    let frame = core::hint::black_box([depth; 16]);
    deeper(depth + 1) + frame[0]
}

/// A page freed twice.
pub(super) fn double_free(mm: &crate::memory::Memory) -> ! {
    let page = mm.alloc_pages(Gfp::KERNEL, Order::ZERO);
    let page = page.expect("there is memory after boot");
    mm.free_pages(page, Order::ZERO);
    mm.free_pages(page, Order::ZERO);
    panic!("a page could be freed twice")
}
