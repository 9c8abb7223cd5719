//! The kernel's last words: the panic record, a few lines on the console, the exit port.

use crate::{
    arch::trap::{Cause, TrapFrame},
    doorbell, root,
    serial::Console,
};
use core::{
    fmt::{self, Write},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};
use pagelab_abi::{
    panic::{MESSAGE_LEN, NO_VECTOR, PanicRecord},
    platform::ExitCode,
};

static PANICKING: AtomicBool = AtomicBool::new(false);

/// Where the kernel was.
struct Place {
    vector: u32,
    error_code: u64,
    rip: u64,
    rsp: u64,
    rbp: u64,
    cr2: u64,
}

/// Ends the kernel after an exception that nothing expects.
pub(crate) fn exception(frame: &TrapFrame, cr2: u64, cause: &Cause) -> ! {
    let place = Place {
        vector: frame.vector as u32,
        error_code: frame.error_code,
        rip: frame.rip,
        rsp: frame.rsp,
        rbp: frame.rbp,
        cr2,
    };
    let Cause { name, overflow } = cause;
    let (rip, code) = (frame.rip, frame.error_code);
    if let Some(stack) = overflow {
        die(
            &place,
            format_args!("stack overflow: {} stack, {name} at {rip:#x}", stack.name()),
        );
    }
    if frame.vector == crate::arch::trap::vector::PAGE_FAULT {
        die(
            &place,
            format_args!("{name} at {rip:#x}: address {cr2:#x}, error code {code:#x}"),
        );
    }
    die(
        &place,
        format_args!(
            "{name} (vector {}) at {rip:#x}, error code {code:#x}",
            frame.vector
        ),
    )
}

/// Ends the kernel after a Rust panic.
#[cfg(pagelab_kernel)]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let (rip, rsp, rbp): (u64, u64, u64);
    // SAFETY: reads registers.
    unsafe {
        core::arch::asm!(
            "lea {}, [rip]", "mov {}, rsp", "mov {}, rbp",
            out(reg) rip, out(reg) rsp, out(reg) rbp, options(nomem, nostack)
        );
    }
    let place = Place {
        vector: NO_VECTOR,
        error_code: 0,
        rip,
        rsp,
        rbp,
        cr2: 0,
    };
    match info.location() {
        Some(at) => die(
            &place,
            format_args!("{} ({}:{})", info.message(), at.file(), at.line()),
        ),
        None => die(&place, format_args!("{}", info.message())),
    }
}

/// Writes the record once: a panic inside a panic only ends the machine.
fn die(place: &Place, message: fmt::Arguments<'_>) -> ! {
    x86_64::instructions::interrupts::disable();
    if PANICKING.swap(true, Relaxed) {
        doorbell::exit(ExitCode::Panic);
    }
    let record = root::panic_record();
    // SAFETY: the one CPU writes it, once, and the host reads it after the exit port.
    unsafe {
        let text = &mut (*record).message;
        let mut text = Cut { text, len: 0 };
        let _ = text.write_fmt(message);
        let len = text.len as u32;
        let PanicRecord {
            len: _,
            vector,
            error_code,
            rip,
            rsp,
            rbp,
            cr2,
            message: _,
        } = &mut *record;
        *vector = place.vector;
        *error_code = place.error_code;
        *rip = place.rip;
        *rsp = place.rsp;
        *rbp = place.rbp;
        *cr2 = place.cr2;
        (*record).len = len.max(1);
    }
    // A console that does not take the text is nobody's fault here.
    let _ = writeln!(
        Console,
        "kernel panic: {message}\nrip {:#x} rsp {:#x} rbp {:#x} cr2 {:#x}",
        place.rip, place.rsp, place.rbp, place.cr2
    );
    doorbell::exit(ExitCode::Panic)
}

/// Takes as much text as there is room for.
struct Cut<'a> {
    text: &'a mut [u8; MESSAGE_LEN],
    len: usize,
}

impl Write for Cut<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let Some(slot) = self.text.get_mut(self.len) else {
                return Err(fmt::Error);
            };
            *slot = byte;
            self.len += 1;
        }
        Ok(())
    }
}
