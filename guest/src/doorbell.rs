//! The doorbell and the exit port.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use pagelab_abi::platform::{DOORBELL_PORT, Doorbell, EXIT_PORT, ExitCode};
use x86_64::instructions::{hlt, interrupts, port::Port};

static PRESENT: AtomicBool = AtomicBool::new(false);

/// There is a host that hears the bell.
pub(crate) fn connect() {
    PRESENT.store(true, Relaxed);
}

/// Whether there is a host that hears the bell.
pub(crate) fn is_connected() -> bool {
    PRESENT.load(Relaxed)
}

/// Hands control to the host, if it listens. When this returns, interrupts that the host raised
/// have arrived.
pub(crate) fn ring(reason: Doorbell) {
    if is_connected() {
        // SAFETY: pagelab's own port: the host may look at all memory and write `Control`.
        unsafe { Port::new(DOORBELL_PORT).write(reason as u32) };
    }
}

/// Ends the machine.
pub(crate) fn exit(code: ExitCode) -> ! {
    // SAFETY: the exit port; where there is none, nothing happens.
    unsafe { Port::new(EXIT_PORT).write(code as u32) };
    interrupts::disable();
    loop {
        hlt();
    }
}
