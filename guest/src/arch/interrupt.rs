//! Interrupt lines. A handler only notes that its line was raised; the kernel looks at the notes at
//! its safe points, never inside the memory manager.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use pagelab_abi::platform::IRQ_BASE;

/// Lines that can be told apart: those of two cascaded 8259s.
pub(crate) const LINES: u32 = 16;

/// Bit `n` is set while line `n` was raised and not yet served.
static PENDING: AtomicU32 = AtomicU32::new(0);

/// Notes the interrupt that arrived at a vector. False if the vector belongs to no line.
pub(crate) fn note(vector: u64) -> bool {
    let line = vector.wrapping_sub(u64::from(IRQ_BASE));
    if line >= u64::from(LINES) {
        return false;
    }
    PENDING.fetch_or(1 << line, Relaxed);
    super::pic::acknowledge(line as u8);
    true
}

/// Not a line, but waits as one: a machine check was noted.
const MACHINE_CHECK: u32 = 1 << LINES;

/// Notes that a machine check was.
pub(crate) fn note_machine_check() {
    PENDING.fetch_or(MACHINE_CHECK, Relaxed);
}

/// Whether a machine check is among what [`take`] took.
pub(crate) fn has_machine_check(taken: u32) -> bool {
    taken & MACHINE_CHECK != 0
}

/// Whether any line waits to be served.
#[inline]
pub(crate) fn is_pending() -> bool {
    PENDING.load(Relaxed) != 0
}

/// Takes all notes: bit `n` for line `n`, and what [`has_machine_check`] looks at.
pub(crate) fn take() -> u32 {
    PENDING.swap(0, Relaxed)
}

/// From here on interrupts can arrive.
pub(crate) fn enable() {
    x86_64::instructions::interrupts::enable();
}

/// Sleeps until an interrupt is pending; returns at once if one is.
pub(crate) fn wait() {
    x86_64::instructions::interrupts::disable();
    if !is_pending() {
        x86_64::instructions::interrupts::enable_and_hlt();
    }
    x86_64::instructions::interrupts::enable();
}
