//! Files that are settings: a short text that says what holds now whenever it is read, and takes another
//! one (Linux: kernfs, sysctl).

use super::{cgroup::CgroupFile, iov::Transfer, sysctl::Sysctl, transfer::Stop};
use core::fmt::{self, Write};
use pagelab_abi::errno::Errno;

/// Bytes of a text that go through the kernel's stack at once.
const BOUNCE: usize = 512;

/// Most bytes of a text that is written.
const MAX_TEXT: usize = 128;

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Knob {
    /// Of the machine.
    Sysctl(Sysctl),
    /// Of the memory group with this number.
    Cgroup(u32, CgroupFile),
}

/// A decimal number with nothing but spaces around it.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = text.trim();
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { digits.parse().ok() } else { None }
}

impl Knob {
    /// Reads its text from a position on.
    ///
    /// # Errors
    /// EFAULT, ENODEV.
    pub(super) fn read(self, transfer: &mut Transfer<'_>, at: u64) -> Result<usize, Stop> {
        let mut done = 0;
        while transfer.left() > 0 {
            let mut part = Part {
                skip: usize::try_from(at)
                    .unwrap_or(usize::MAX)
                    .saturating_add(done),
                bytes: [0; BOUNCE],
                len: 0,
                room: transfer.left().min(BOUNCE),
            };
            match self {
                Self::Sysctl(setting) => setting.show(&mut part),
                Self::Cgroup(group, file) => file.show(group, &mut part),
            }
            .map_err(|_| Errno::EINVAL)?;
            if part.len == 0 {
                break;
            }
            match transfer.give(&part.bytes[..part.len]) {
                Ok(given) => done += given,
                Err(_) if done > 0 => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(done)
    }

    /// Takes a text.
    ///
    /// # Errors
    /// EINVAL for what it does not take; EFAULT, and what the setting says.
    pub(super) fn write(self, transfer: &mut Transfer<'_>) -> Result<usize, Stop> {
        let mut bytes = [0; MAX_TEXT];
        let len = transfer.peek(&mut bytes)?;
        if len < transfer.total() {
            return Err(Errno::EINVAL.into());
        }
        let text = core::str::from_utf8(&bytes[..len]).map_err(|_| Errno::EINVAL)?;
        match self {
            Self::Sysctl(setting) => setting.store(text)?,
            Self::Cgroup(group, file) => file.store(group, text)?,
        }
        transfer.skip(len);
        Ok(len)
    }
}

/// The part of a text from a position on, as much as there is room for.
struct Part {
    skip: usize,
    bytes: [u8; BOUNCE],
    len: usize,
    room: usize,
}

impl Write for Part {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let skipped = self.skip.min(text.len());
        self.skip -= skipped;
        let rest = &text.as_bytes()[skipped..];
        let taken = rest.len().min(self.room - self.len);
        self.bytes[self.len..self.len + taken].copy_from_slice(&rest[..taken]);
        self.len += taken;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_text_is_what_stands_there() {
        for (skip, room, expected) in [
            (0, 100, "one two three"),
            (2, 3, "e t"),
            (4, 100, "two three"),
            (13, 9, ""),
            (99, 9, ""),
        ] {
            let (bytes, len) = ([0; BOUNCE], 0);
            let mut part = Part {
                skip,
                bytes,
                len,
                room,
            };
            let (second, third) = ("two", "three");
            write!(part, "one {second} {third}").unwrap();
            assert_eq!(&part.bytes[..part.len], expected.as_bytes());
        }
    }

    #[test]
    fn numbers_are_decimal_and_alone() {
        assert_eq!(number(" 60\n"), Some(60));
        for text in ["", "-1", "+1", "0x10", "1 2", "99999999999999999999"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
