//! The serial lines that a program's output goes to.

use pagelab_abi::program::{STDERR_PORT, STDOUT_PORT};

/// Which line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Line {
    /// Its data register.
    #[cfg_attr(test, expect(dead_code, reason = "a test has no ports"))]
    const fn port(self) -> u16 {
        match self {
            Self::Stdout => STDOUT_PORT,
            Self::Stderr => STDERR_PORT,
        }
    }
}

/// Sends bytes, many with one exit to the host: the other end takes them as fast as they come.
#[cfg(not(test))]
pub(super) fn write(line: Line, bytes: &[u8]) {
    // SAFETY: `bytes` can be read, the direction flag is clear in the kernel, and what goes to the
    // transmitter has no effect on memory.
    unsafe {
        core::arch::asm!(
            "rep outsb",
            in("dx") line.port(),
            inout("rsi") bytes.as_ptr() => _,
            inout("rcx") bytes.len() => _,
            options(nostack, preserves_flags, readonly),
        );
    }
}

#[cfg(test)]
thread_local! {
    static SENT: std::cell::RefCell<Vec<(Line, Vec<u8>)>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[cfg(test)]
pub(super) fn write(line: Line, bytes: &[u8]) {
    SENT.with_borrow_mut(|sent| sent.push((line, bytes.to_vec())));
}

/// What went to a line.
#[cfg(test)]
pub(super) fn sent(line: Line) -> Vec<u8> {
    SENT.with_borrow(|sent| {
        let of_line = sent.iter().filter(|(to, _)| *to == line);
        of_line.flat_map(|(_, bytes)| bytes.clone()).collect()
    })
}
