//! /proc/self/fail-nth and /proc/self/make-it-fail: a process's own part in fault injection (Linux
//! Documentation/fault-injection/fault-injection.rst; fs/proc/base.c: `proc_fail_nth_write`). Other
//! than the texts of /proc they are live: a read says what holds now.

use super::{iov::Transfer, memory::mm, task, transfer::Stop};
use core::{
    fmt::Write,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};
use pagelab_abi::errno::Errno;
use pagelab_mm::machine::Machine;

/// One of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailFile {
    /// Which of the process's next allocations fails; 0 for none, and once it has failed.
    FailNth,
    /// Whether injectors with `task-filter` look at the process: 0 or 1.
    MakeItFail,
}

/// Most bytes of a number that is written (Linux: `PROC_NUMBUF`, and what kstrtouint takes).
const MAX_TEXT: usize = 16;

/// A number and a newline.
struct Line {
    bytes: [u8; MAX_TEXT],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let to = self.bytes.get_mut(self.len..self.len + text.len());
        to.ok_or(core::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

impl FailFile {
    /// All of them, with their names.
    pub(super) const ALL: [(&'static [u8], Self); 2] = [
        (b"fail-nth", Self::FailNth),
        (b"make-it-fail", Self::MakeItFail),
    ];

    /// Where it stands for the process with this number, which makes the call.
    ///
    /// # Errors
    /// ESRCH if another one makes it, with a file that it has inherited.
    fn word(self, pid: u32) -> Result<&'static AtomicU32, Errno> {
        let caller = &mm().machine().control().caller;
        if caller.pid.load(Relaxed) != pid {
            return Err(Errno::ESRCH);
        }
        Ok(match self {
            Self::FailNth => &caller.fail_nth,
            Self::MakeItFail => &caller.make_it_fail,
        })
    }

    /// Highest value.
    const fn max(self) -> u32 {
        match self {
            Self::FailNth => u32::MAX,
            Self::MakeItFail => 1,
        }
    }

    /// Reads its text from a position on.
    ///
    /// # Errors
    /// ESRCH, EFAULT.
    pub(super) fn read(
        self,
        pid: u32,
        transfer: &mut Transfer<'_>,
        at: u64,
    ) -> Result<usize, Stop> {
        let mut line = Line {
            bytes: [0; MAX_TEXT],
            len: 0,
        };
        // Ten digits and a newline have room.
        let _ = writeln!(line, "{}", self.word(pid)?.load(Relaxed));
        let from = usize::try_from(at).unwrap_or(usize::MAX).min(line.len);
        Ok(transfer.give(&line.bytes[from..line.len])?)
    }

    /// Takes a number. One that was written to fail-nth before is forgotten.
    ///
    /// # Errors
    /// EINVAL for what is no number that it takes; ESRCH, EFAULT; EPERM for make-it-fail but for root.
    pub(super) fn write(self, pid: u32, transfer: &mut Transfer<'_>) -> Result<usize, Stop> {
        let mut text = [0; MAX_TEXT];
        let len = transfer.peek(&mut text)?;
        let number = core::str::from_utf8(&text[..len])
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .filter(|number| *number <= self.max() && len == transfer.total());
        if self == Self::MakeItFail && !task::current_is_capable() {
            return Err(Errno::EPERM.into());
        }
        self.word(pid)?.store(number.ok_or(Errno::EINVAL)?, Relaxed);
        transfer.skip(len);
        Ok(len)
    }
}
