//! The serial ports that a program's output goes to: 16550As that only transmit.

use std::convert::Infallible;
use std::fmt;
use std::io::Write;

use log::warn;
use vm_superio::serial::NoEvents;
use vm_superio::{Serial, Trigger};

use super::uart;
use crate::devices::bus::{BusDevice, BusEvent};
use crate::devices::{Shared, lock, shared};

/// What a program has written: the first bytes, and a writer that gets all of them as they come.
pub struct ProgramOutput {
    pub(super) kept: Vec<u8>,
    pub(super) capacity: usize,
    pub(super) written: u64,
    forward: Option<Box<dyn Write + Send>>,
}

impl ProgramOutput {
    /// Keeps the first `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        Self {
            kept: Vec::new(),
            capacity,
            written: 0,
            forward: None,
        }
    }

    /// Hands everything to `writer` as well, unchanged and at once. The first error of the writer
    /// is logged, and ends that; the guest does not notice.
    #[must_use]
    pub fn with_forward(mut self, writer: Box<dyn Write + Send>) -> Self {
        self.forward = Some(writer);
        self
    }

    /// The first bytes that were written.
    pub fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// Bytes that were written and not kept.
    pub fn dropped(&self) -> u64 {
        self.written - self.kept.len() as u64
    }

    fn push(&mut self, bytes: &[u8]) {
        self.written += bytes.len() as u64;
        let room = self.capacity - self.kept.len();
        self.kept.extend_from_slice(&bytes[..room.min(bytes.len())]);
        let Some(writer) = &mut self.forward else {
            return;
        };
        if let Err(error) = writer.write_all(bytes).and_then(|()| writer.flush()) {
            warn!("the program's output is no longer passed on: {error}");
            self.forward = None;
        }
    }
}

impl fmt::Debug for ProgramOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgramOutput")
            .field("written", &self.written)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

/// No interrupt line: who only transmits to a port that is always ready waits for nothing.
#[derive(Debug)]
pub(super) struct NoLine;

impl Trigger for NoLine {
    type E = Infallible;

    fn trigger(&self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The port. What is transmitted in one access stays together: `rep outsb` carries many bytes.
pub struct OutputPort {
    pub(super) uart: Serial<NoLine, NoEvents, Vec<u8>>,
    pub(super) output: Shared<ProgramOutput>,
}

impl OutputPort {
    /// A port that transmits to `output`.
    pub fn new(output: ProgramOutput) -> Self {
        Self {
            uart: Serial::new(NoLine, Vec::new()),
            output: shared(output),
        }
    }

    /// What was transmitted; stays valid after the port is gone.
    pub fn output(&self) -> Shared<ProgramOutput> {
        self.output.clone()
    }
}

impl BusDevice for OutputPort {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        uart::read(&mut self.uart, offset, data);
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Option<BusEvent> {
        // Neither the missing line nor the buffer can fail.
        uart::write(&mut self.uart, offset, data);
        let transmitted = self.uart.writer_mut();
        if !transmitted.is_empty() {
            lock(&self.output).push(transmitted);
            transmitted.clear();
        }
        None
    }
}

impl fmt::Debug for OutputPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputPort")
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io;

    /// Records each call, and refuses from the third on.
    struct Calls(Shared<Vec<Vec<u8>>>);

    impl Write for Calls {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut calls = lock(&self.0);
            if calls.len() == 2 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            calls.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_one_access_carries_is_handed_on_in_one_piece() {
        let calls = shared(Vec::new());
        let output = ProgramOutput::new(8).with_forward(Box::new(Calls(calls.clone())));
        let mut port = OutputPort::new(output);
        for bytes in [&b"hello"[..], b"\0\xff world", b"gone", b"!"] {
            assert_eq!(port.write(0, bytes), None);
        }
        assert_eq!(*lock(&calls), [b"hello".to_vec(), b"\0\xff world".to_vec()]);
        let output = port.output();
        assert_eq!(lock(&output).kept(), b"hello\0\xff ");
        assert_eq!(lock(&output).dropped(), 10);
    }

    #[test]
    fn the_transmitter_is_always_ready() {
        let mut port = OutputPort::new(ProgramOutput::new(8));
        let mut lsr = [0];
        port.read(5, &mut lsr);
        assert_eq!(lsr[0] & 0x60, 0x60);
        // The divisor latch is not the data register.
        port.write(3, &[0x83]);
        port.write(0, &[1]);
        assert_eq!(lock(&port.output()).kept(), b"");
    }

    proptest! {
        #[test]
        fn random_accesses_never_panic(
            accesses in prop::collection::vec(
                (any::<bool>(), 0u64..300, prop::collection::vec(any::<u8>(), 0..9)), 0..200)
        ) {
            let mut port = OutputPort::new(ProgramOutput::new(16));
            for (write, offset, mut data) in accesses {
                if write {
                    port.write(offset, &data);
                } else {
                    port.read(offset, &mut data);
                }
            }
            prop_assert!(lock(&port.output()).kept().len() <= 16);
        }
    }
}
