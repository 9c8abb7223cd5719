//! Interrupt lines.
//!
//! A device raises a line, which sets one bit; the run loop collects the bits between two entries
//! of the guest and injects vector `IRQ_BASE + line` for each. A raised line stays pending until
//! the loop takes it or the device lowers it, so no interrupt is lost while the guest has
//! interrupts disabled, and raising a line twice delivers once, as a level-triggered line would.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use thiserror::Error;
use vm_superio::Trigger;

/// Number of interrupt lines.
pub const LINES: u32 = 32;

/// There is no such interrupt line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("interrupt line {0} does not exist; lines are 0 to 31")]
pub struct NoSuchLine(pub u32);

/// All interrupt lines of a machine.
#[derive(Clone, Debug, Default)]
pub struct IrqLines {
    pending: Arc<AtomicU32>,
}

impl IrqLines {
    /// Lines of which none is raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// One line, 0 to 31, for a device to raise.
    ///
    /// # Errors
    /// [`NoSuchLine`] if `number` is not below [`LINES`].
    pub fn line(&self, number: u32) -> Result<IrqLine, NoSuchLine> {
        if number >= LINES {
            return Err(NoSuchLine(number));
        }
        Ok(IrqLine {
            number,
            pending: Arc::clone(&self.pending),
        })
    }

    /// The raised lines, bit `n` for line `n`.
    pub fn pending(&self) -> u32 {
        self.pending.load(Ordering::Acquire)
    }

    /// Takes the lowest raised line, which is then no longer pending: the caller injects it.
    pub fn take(&self) -> Option<u32> {
        let pending = self.pending();
        if pending == 0 {
            return None;
        }
        let number = pending.trailing_zeros();
        self.pending.fetch_and(!(1 << number), Ordering::AcqRel);
        Some(number)
    }

    /// Makes exactly these lines raised, bit `n` for line `n`.
    pub fn set_pending(&self, pending: u32) {
        self.pending.store(pending, Ordering::Release);
    }

    /// Forgets all raised lines, as a reset of the machine does.
    pub fn clear(&self) {
        self.pending.store(0, Ordering::Release);
    }
}

/// One interrupt line, as its device holds it.
#[derive(Clone)]
pub struct IrqLine {
    number: u32,
    pending: Arc<AtomicU32>,
}

impl IrqLine {
    /// The line's number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Raises the line.
    pub fn raise(&self) {
        self.pending.fetch_or(1 << self.number, Ordering::AcqRel);
    }

    /// Takes the line back, if it has not been delivered yet.
    pub fn lower(&self) {
        self.pending
            .fetch_and(!(1 << self.number), Ordering::AcqRel);
    }

    /// True while the line is raised and not yet delivered.
    pub fn is_raised(&self) -> bool {
        self.pending.load(Ordering::Acquire) & (1 << self.number) != 0
    }
}

impl fmt::Debug for IrqLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IrqLine({}, raised: {})", self.number, self.is_raised())
    }
}

impl Trigger for IrqLine {
    type E = Infallible;

    fn trigger(&self) -> Result<(), Infallible> {
        self.raise();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_lowest_first_and_once() {
        let lines = IrqLines::new();
        let serial = lines.line(4).unwrap();
        let balloon = lines.line(5).unwrap();
        balloon.raise();
        serial.raise();
        serial.raise();
        assert_eq!(lines.pending(), 0b11_0000);
        assert_eq!(lines.take(), Some(4));
        assert!(!serial.is_raised());
        assert_eq!(lines.take(), Some(5));
        assert_eq!(lines.take(), None);
    }

    #[test]
    fn a_lowered_line_is_not_delivered() {
        let lines = IrqLines::new();
        let line = lines.line(31).unwrap();
        line.trigger().unwrap();
        line.lower();
        assert_eq!(lines.take(), None);
    }

    #[test]
    fn line_32_does_not_exist() {
        let error = IrqLines::new().line(32).unwrap_err();
        assert_eq!(error, NoSuchLine(32));
        assert!(error.to_string().contains("32"));
    }
}
