//! The 16550A serial console, and the logger on top of it.
//!
//! Each character can cost a VM exit, so the log is short, and the state of the transmitter is
//! looked at once for each FIFO of 16 characters.

use core::fmt::{self, Write};
use log::{LevelFilter, Log, Metadata, Record};
use pagelab_abi::platform::SERIAL_PORT;
use x86_64::instructions::port::Port;

/// Characters that the transmitter's FIFO holds.
const FIFO: usize = 16;

/// Registers, as offsets from the first port (National Semiconductor PC16550D, table II).
mod register {
    pub(super) const DATA: u16 = 0;
    pub(super) const INTERRUPT_ENABLE: u16 = 1;
    pub(super) const FIFO_CONTROL: u16 = 2;
    pub(super) const LINE_CONTROL: u16 = 3;
    pub(super) const LINE_STATUS: u16 = 5;
}

/// FIFO control: on, both FIFOs cleared.
const FIFO_ON: u8 = 0x07;
/// Line control: 8 data bits, no parity, 1 stop bit.
const LINE_8N1: u8 = 0x03;
/// Line status: the transmitter's FIFO is empty.
const EMPTY: u8 = 0x20;

/// Looks at the line status before the console is believed dead.
const PATIENCE: u32 = 10_000;

/// Sets the port up. The speed stays as it is: no host that this runs on has a line.
pub(crate) fn init() {
    for (register, value) in [
        (register::INTERRUPT_ENABLE, 0),
        (register::LINE_CONTROL, LINE_8N1),
        (register::FIFO_CONTROL, FIFO_ON),
    ] {
        // SAFETY: the serial port's registers, which only this module touches.
        unsafe { Port::new(SERIAL_PORT + register).write(value) };
    }
}

/// Writes to the console.
pub(crate) struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for chunk in text.as_bytes().chunks(FIFO) {
            let mut status = Port::<u8>::new(SERIAL_PORT + register::LINE_STATUS);
            // SAFETY: reading the line status has no effect on what this module does.
            let empty = (0..PATIENCE).any(|_| unsafe { status.read() } & EMPTY != 0);
            if !empty {
                return Err(fmt::Error);
            }
            for byte in chunk {
                // SAFETY: a character for the transmitter, which has room.
                unsafe { Port::new(SERIAL_PORT + register::DATA).write(*byte) };
            }
        }
        Ok(())
    }
}

/// A buffer of one FIFO in front of the console: a log line is made of many short pieces.
struct Buffered {
    bytes: [u8; FIFO],
    len: usize,
}

impl Buffered {
    const fn new() -> Self {
        Self {
            bytes: [0; FIFO],
            len: 0,
        }
    }

    fn flush(&mut self) -> fmt::Result {
        let text = core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("?");
        self.len = 0;
        Console.write_str(text)
    }
}

impl Write for Buffered {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // Only ASCII: a character cut in two would be none.
            self.bytes[self.len] = if byte.is_ascii() { byte } else { b'?' };
            self.len += 1;
            if self.len == FIFO {
                self.flush()?;
            }
        }
        Ok(())
    }
}

/// Writes a text of many lines into the log, as it is.
pub(crate) fn log_text(write: impl FnOnce(&mut dyn Write) -> fmt::Result) {
    if log::max_level() < LevelFilter::Warn {
        return;
    }
    let mut out = Buffered::new();
    // A console that does not take the text is nobody's fault here.
    let _ = write(&mut out).and_then(|()| out.flush());
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut out = Buffered::new();
        let prefix = match record.level() {
            log::Level::Error => "error: ",
            log::Level::Warn => "warning: ",
            _ => "",
        };
        // A console that does not take the text is nobody's fault here.
        let _ = writeln!(out, "{prefix}{}", record.args()).and_then(|()| out.flush());
    }

    fn flush(&self) {}
}

/// Sends the log to the console. Once, at boot.
pub(crate) fn init_log(level: LevelFilter) {
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(level);
    }
}
