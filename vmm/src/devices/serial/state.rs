//! The states of the serial ports.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use vm_superio::serial::{NoEvents, SerialState};
use vm_superio::{Serial, Trigger};

use super::{Capture, OutputPort, SerialConsole};
use crate::devices::lock;
use crate::devices::state::{StateError, Stateful};

/// The registers of a 16550A, as vm-superio keeps them.
#[derive(Serialize, Deserialize)]
#[serde(remote = "SerialState")]
struct UartState {
    baud_divisor_low: u8,
    baud_divisor_high: u8,
    interrupt_enable: u8,
    interrupt_identification: u8,
    line_control: u8,
    line_status: u8,
    modem_control: u8,
    modem_status: u8,
    scratch: u8,
    in_buffer: Vec<u8>,
}

/// The console's state: its registers, and the tail of what was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConsoleState {
    #[serde(with = "UartState")]
    uart: SerialState,
    first_line_seen: bool,
    tail: VecDeque<u8>,
    written: u64,
    has_line: bool,
}

/// The state of a port for a program's output: its registers, and the bytes that were kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutputState {
    #[serde(with = "UartState")]
    uart: SerialState,
    kept: Vec<u8>,
    written: u64,
}

/// A UART with the registers of `state`, which goes on with the line and the writer of `uart`.
fn restored<T, W>(
    state: &SerialState,
    line: T,
    writer: W,
) -> Result<Serial<T, NoEvents, W>, StateError>
where
    T: Trigger,
    W: std::io::Write,
{
    Serial::from_state(state, line, NoEvents, writer)
        .map_err(|_| StateError::Serial(state.in_buffer.len()))
}

impl Stateful for SerialConsole {
    type State = ConsoleState;

    fn state(&mut self) -> ConsoleState {
        let output = lock(&self.output);
        ConsoleState {
            uart: self.uart.state(),
            first_line_seen: self.first_line_seen,
            tail: output.tail.clone(),
            written: output.written,
            has_line: output.has_line,
        }
    }

    /// May raise the line; the lines are restored after the devices.
    fn restore(&mut self, state: &ConsoleState) -> Result<(), StateError> {
        let line = self.uart.interrupt_evt().clone();
        self.uart = restored(&state.uart, line, Capture::new(self.output.clone()))?;
        self.first_line_seen = state.first_line_seen;
        let mut output = lock(&self.output);
        output.tail.clone_from(&state.tail);
        output.written = state.written;
        output.has_line = state.has_line;
        Ok(())
    }
}

impl Stateful for OutputPort {
    type State = OutputState;

    fn state(&mut self) -> OutputState {
        let output = lock(&self.output);
        OutputState {
            uart: self.uart.state(),
            kept: output.kept.clone(),
            written: output.written,
        }
    }

    /// What was passed on is not taken back, and what is written again is passed on again.
    fn restore(&mut self, state: &OutputState) -> Result<(), StateError> {
        self.uart = restored(&state.uart, super::program::NoLine, Vec::new())?;
        let mut output = lock(&self.output);
        let kept = &state.kept[..state.kept.len().min(output.capacity)];
        output.kept.truncate(0);
        output.kept.extend_from_slice(kept);
        output.written = state.written.max(kept.len() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ConsoleOutput, ProgramOutput};
    use super::*;
    use crate::devices::bus::{BusDevice, BusEvent};
    use crate::devices::irq::IrqLines;

    #[test]
    fn a_console_goes_on_where_it_was() {
        let lines = IrqLines::new();
        let new = || SerialConsole::new(lines.line(4).unwrap(), ConsoleOutput::new(8));
        let mut console = new();
        console.write(7, &[0xa5]);
        console.write(0, b"first");
        let state = console.state();
        assert_eq!(console.write(0, b"\nmore"), Some(BusEvent::FirstLine));
        console.write(7, &[1]);
        for console in [&mut console, &mut new()] {
            console.restore(&state).unwrap();
            let mut scratch = [0];
            console.read(7, &mut scratch);
            assert_eq!(scratch, [0xa5]);
            assert_eq!(lock(&console.output()).text(), "first");
            assert_eq!(console.write(0, b"\n"), Some(BusEvent::FirstLine));
            assert_eq!(lock(&console.output()).written(), 6);
        }
    }

    #[test]
    fn a_port_for_output_forgets_what_came_later() {
        let mut port = OutputPort::new(ProgramOutput::new(8));
        port.write(0, b"one");
        let state = port.state();
        port.write(0, b" two three");
        assert_eq!(lock(&port.output()).dropped(), 5);
        port.restore(&state).unwrap();
        assert_eq!(lock(&port.output()).kept(), b"one");
        assert_eq!(lock(&port.output()).dropped(), 0);
        // One with less room keeps what fits.
        let mut small = OutputPort::new(ProgramOutput::new(2));
        small.restore(&state).unwrap();
        small.write(0, b"!");
        assert_eq!(lock(&small.output()).kept(), b"on");
        assert_eq!(lock(&small.output()).dropped(), 2);
    }

    #[test]
    fn input_that_fits_no_fifo_is_refused() {
        let mut port = OutputPort::new(ProgramOutput::new(8));
        let mut state = port.state();
        state.uart.in_buffer = vec![0; 1000];
        assert_eq!(port.restore(&state), Err(StateError::Serial(1000)));
    }
}
