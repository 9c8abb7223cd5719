//! The pair of 8259 interrupt controllers. pagelab's own host has none and delivers vectors itself;
//! other VMMs (QEMU's microvm) have them.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use pagelab_abi::platform::IRQ_BASE;
use x86_64::instructions::port::Port;

/// Command and data port of the primary and the secondary controller.
const PRIMARY: (u16, u16) = (0x20, 0x21);
const SECONDARY: (u16, u16) = (0xa0, 0xa1);

/// Initialisation words (Intel 8259A data sheet): ICW1 with ICW4 to follow, edge triggered,
/// cascaded; the secondary is on line 2; 8086 mode.
const ICW1: u8 = 0x11;
const CASCADE_LINE: u8 = 2;
const ICW4: u8 = 0x01;

/// Non-specific end of interrupt.
const EOI: u8 = 0x20;

static PRESENT: AtomicBool = AtomicBool::new(false);

/// Sets the controllers up so that line `n` arrives at `IRQ_BASE + n`, all lines masked but those in
/// `lines` (bit `n` for line `n`).
pub(crate) fn init(lines: u32) {
    let lines = if lines >> 8 == 0 {
        lines
    } else {
        lines | 1 << CASCADE_LINE
    };
    let words: [(u16, u8); 10] = [
        (PRIMARY.0, ICW1),
        (SECONDARY.0, ICW1),
        (PRIMARY.1, IRQ_BASE),
        (SECONDARY.1, IRQ_BASE + 8),
        (PRIMARY.1, 1 << CASCADE_LINE),
        (SECONDARY.1, CASCADE_LINE),
        (PRIMARY.1, ICW4),
        (SECONDARY.1, ICW4),
        (PRIMARY.1, !(lines as u8)),
        (SECONDARY.1, !((lines >> 8) as u8)),
    ];
    for (port, word) in words {
        write(port, word);
    }
    super::apic::pass_8259_through();
    PRESENT.store(true, Relaxed);
}

/// Ends the interrupt of a line, if there is a controller to tell.
pub(crate) fn acknowledge(line: u8) {
    if PRESENT.load(Relaxed) {
        if line >= 8 {
            write(SECONDARY.0, EOI);
        }
        write(PRIMARY.0, EOI);
    }
}

fn write(port: u16, value: u8) {
    // SAFETY: the ports of the 8259s, which no other code touches.
    unsafe { Port::new(port).write(value) }
}
