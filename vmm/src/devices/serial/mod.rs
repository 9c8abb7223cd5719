//! The 16550A serial console, and the ports for a program's output.
//!
//! The registers are `vm-superio`'s; what the guest writes is captured in a bounded buffer that
//! keeps the tail, and can be copied to a writer as well. What a guest's program writes goes to
//! ports of its own ([`OutputPort`]).

mod capture;
mod program;
mod state;
mod uart;

pub use capture::{Capture, ConsoleOutput};
pub use program::{OutputPort, ProgramOutput};
pub use state::{ConsoleState, OutputState};

use vm_superio::Serial;
use vm_superio::serial::NoEvents;

use super::bus::{BusDevice, BusEvent};
use super::irq::IrqLine;
use super::{Shared, lock};

/// Ports that the device takes.
pub const SERIAL_PORTS: u64 = 8;

/// The console. Hand it to the bus, and keep [`SerialConsole::output`] to read what was written.
pub struct SerialConsole {
    uart: Serial<IrqLine, NoEvents, Capture>,
    output: Shared<ConsoleOutput>,
    first_line_seen: bool,
}

impl SerialConsole {
    /// A console that raises `irq` and writes to `output`.
    pub fn new(irq: IrqLine, output: ConsoleOutput) -> Self {
        let output = super::shared(output);
        Self {
            uart: Serial::new(irq, Capture::new(output.clone())),
            output,
            first_line_seen: false,
        }
    }

    /// What the guest has written; stays valid after the console is gone.
    pub fn output(&self) -> Shared<ConsoleOutput> {
        self.output.clone()
    }
}

impl BusDevice for SerialConsole {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        uart::read(&mut self.uart, offset, data);
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Option<BusEvent> {
        // Neither the interrupt line nor the capture can fail.
        uart::write(&mut self.uart, offset, data);
        if self.first_line_seen || !lock(&self.output).has_line() {
            return None;
        }
        self.first_line_seen = true;
        Some(BusEvent::FirstLine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::irq::IrqLines;
    use proptest::prelude::*;

    const DATA: u64 = 0;
    const IER: u64 = 1;
    const MCR: u64 = 4;
    const LSR: u64 = 5;
    const SCR: u64 = 7;

    fn console() -> (SerialConsole, IrqLines) {
        let lines = IrqLines::new();
        let irq = lines.line(4).unwrap();
        (SerialConsole::new(irq, ConsoleOutput::new(64)), lines)
    }

    fn read(console: &mut SerialConsole, offset: u64) -> u8 {
        let mut byte = [0xff];
        console.read(offset, &mut byte);
        byte[0]
    }

    #[test]
    fn output_is_captured_and_the_first_line_reported_once() {
        let (mut console, _lines) = console();
        let output = console.output();
        assert_eq!(console.write(DATA, b"h"), None);
        assert_eq!(console.write(DATA, b"i\n"), Some(BusEvent::FirstLine));
        assert_eq!(console.write(DATA, b"two\n"), None);
        assert_eq!(lock(&output).text(), "hi\ntwo\n");
        assert_eq!(read(&mut console, LSR) & 0x60, 0x60);
    }

    #[test]
    fn transmit_and_loopback_raise_the_line() {
        let (mut console, lines) = console();
        console.write(IER, &[0x02]);
        assert_eq!(lines.take(), Some(4));
        console.write(IER, &[0x01]);
        console.write(MCR, &[0x10]);
        console.write(DATA, b"x");
        assert_eq!(lines.take(), Some(4));
        assert_eq!(read(&mut console, DATA), b'x');
    }

    #[test]
    fn the_scratch_register_holds() {
        let (mut console, _lines) = console();
        console.write(SCR, &[0xa5]);
        assert_eq!(read(&mut console, SCR), 0xa5);
    }

    proptest! {
        #[test]
        fn random_accesses_never_panic(
            accesses in prop::collection::vec(
                (any::<bool>(), 0u64..300, prop::collection::vec(any::<u8>(), 0..9)), 0..200)
        ) {
            let (mut console, _lines) = console();
            for (write, offset, mut data) in accesses {
                if write {
                    console.write(offset, &data);
                } else {
                    console.read(offset, &mut data);
                }
            }
            prop_assert!(lock(&console.output()).tail().len() <= 64);
        }
    }
}
