//! What the guest wrote to its console.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};

use log::warn;

use crate::devices::{Shared, lock};

/// Longest line that is copied in one piece.
const MAX_LINE: usize = 1024;

/// The tail of the console's output, and optionally a writer that gets all of it, line by line.
pub struct ConsoleOutput {
    pub(super) tail: VecDeque<u8>,
    capacity: usize,
    pub(super) written: u64,
    pub(super) has_line: bool,
    tee: Option<Tee>,
}

struct Tee {
    writer: Box<dyn Write + Send>,
    line: Vec<u8>,
}

impl ConsoleOutput {
    /// Keeps the last `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        Self {
            tail: VecDeque::new(),
            capacity,
            written: 0,
            has_line: false,
            tee: None,
        }
    }

    /// Copies everything to `writer` as well, in whole lines. The first error of the writer is
    /// logged, and ends the copying; the guest does not notice.
    #[must_use]
    pub fn with_tee(mut self, writer: Box<dyn Write + Send>) -> Self {
        self.tee = Some(Tee {
            writer,
            line: Vec::new(),
        });
        self
    }

    /// Bytes written in all; the tail holds the last of them.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The last bytes, oldest first.
    pub fn tail(&self) -> Vec<u8> {
        self.tail.iter().copied().collect()
    }

    /// The last bytes as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.tail()).into_owned()
    }

    /// True once a whole line has been written.
    pub fn has_line(&self) -> bool {
        self.has_line
    }

    /// Hands an unfinished line to the tee.
    pub fn flush(&mut self) {
        let failed = self.tee.as_mut().and_then(|tee| tee.flush().err());
        self.drop_tee_after(failed);
    }

    fn push(&mut self, bytes: &[u8]) {
        self.written += bytes.len() as u64;
        self.has_line |= bytes.contains(&b'\n');
        let kept = &bytes[bytes.len().saturating_sub(self.capacity)..];
        let excess = (self.tail.len() + kept.len()).saturating_sub(self.capacity);
        self.tail.drain(..excess);
        self.tail.extend(kept);
        let failed = self.tee.as_mut().and_then(|tee| tee.push(bytes).err());
        self.drop_tee_after(failed);
    }

    fn drop_tee_after(&mut self, failed: Option<io::Error>) {
        if let Some(error) = failed {
            warn!("console output is no longer copied: {error}");
            self.tee = None;
        }
    }
}

impl Tee {
    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        for &byte in bytes {
            self.line.push(byte);
            if byte == b'\n' || self.line.len() >= MAX_LINE {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.write_all(&self.line)?;
        self.line.clear();
        self.writer.flush()
    }
}

impl fmt::Debug for ConsoleOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleOutput")
            .field("written", &self.written)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl Drop for ConsoleOutput {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The UART's end of a [`ConsoleOutput`].
#[derive(Debug)]
pub struct Capture {
    output: Shared<ConsoleOutput>,
}

impl Capture {
    pub(super) fn new(output: Shared<ConsoleOutput>) -> Self {
        Self { output }
    }
}

impl Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.output).push(bytes);
        Ok(bytes.len())
    }

    /// Does nothing: the UART flushes after each byte, and the tee works by lines.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::shared;
    use proptest::prelude::*;

    /// A writer that accepts `room` bytes, then fails.
    struct Limited {
        to: Shared<Vec<u8>>,
        room: usize,
    }

    impl Write for Limited {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes.len() > self.room {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.room -= bytes.len();
            lock(&self.to).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_tee_gets_lines_and_the_rest_at_the_end() {
        let to = shared(Vec::new());
        let writer = Limited {
            to: to.clone(),
            room: 100,
        };
        let mut output = ConsoleOutput::new(4).with_tee(Box::new(writer));
        output.push(b"one\ntw");
        assert_eq!(*lock(&to), b"one\n");
        drop(output);
        assert_eq!(*lock(&to), b"one\ntw");
    }

    #[test]
    fn a_failing_tee_does_not_stop_the_capture() {
        let to = shared(Vec::new());
        let writer = Limited {
            to: to.clone(),
            room: 4,
        };
        let mut output = ConsoleOutput::new(100).with_tee(Box::new(writer));
        output.push(b"one\ntwo\nthree\n");
        assert_eq!(*lock(&to), b"one\n");
        assert_eq!(output.text(), "one\ntwo\nthree\n");
        assert_eq!(output.written(), 14);
    }

    #[test]
    fn bytes_that_are_not_text_are_replaced() {
        let mut output = ConsoleOutput::new(8);
        output.push(b"a\xffb");
        assert_eq!(output.text(), "a\u{fffd}b");
    }

    proptest! {
        #[test]
        fn the_tail_is_the_end_of_all_bytes(
            capacity in 0usize..20,
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..10),
        ) {
            let mut output = ConsoleOutput::new(capacity);
            let all: Vec<u8> = chunks.concat();
            for chunk in &chunks {
                output.push(chunk);
            }
            prop_assert_eq!(output.written(), all.len() as u64);
            prop_assert_eq!(output.tail(), &all[all.len().saturating_sub(capacity)..]);
        }
    }
}
