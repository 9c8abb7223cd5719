//! The initial ramfs's archive: cpio in the format `newc` (Linux
//! Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! Read here, because the crate for it that can do without std cannot tell a broken archive from
//! the end of a good one, and adds up all bytes of each file, which takes seconds where ring 0 is
//! interpreted.

use core::fmt;

/// Bytes of a header: a magic number and 13 fields of eight hexadecimal digits.
const HEADER: usize = 6 + 13 * 8;

/// Name of the entry after the last.
const TRAILER: &[u8] = b"TRAILER!!!";

/// What is wrong with an archive, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CpioError {
    /// No entry begins where one should.
    Magic(usize),
    /// A field is not a number.
    Field(usize),
    /// The archive ends in the middle of an entry, or without a last one.
    Truncated(usize),
    /// A name is empty or has no NUL at its end.
    Name(usize),
}

impl fmt::Display for CpioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, at) = match self {
            Self::Magic(at) => ("no entry in the format newc begins", at),
            Self::Field(at) => ("a header's field is not hexadecimal", at),
            Self::Truncated(at) => ("the archive ends inside an entry", at),
            Self::Name(at) => ("an entry has no proper name", at),
        };
        write!(
            f,
            "the initial ramfs is corrupt: {what} at byte {at}; make it with `cpio -H newc`"
        )
    }
}

impl core::error::Error for CpioError {}

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) ino: u32,
    /// Type and permissions, as `st_mode` has them.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) nlink: u32,
    /// Seconds since 1970.
    pub(super) mtime: u32,
    /// Major and minor number, of a device.
    pub(super) rdev: (u32, u32),
    pub(super) name: &'a [u8],
    pub(super) content: &'a [u8],
}

/// The entries of an archive; after an error comes nothing more.
pub(super) struct Entries<'a> {
    archive: &'a [u8],
    at: usize,
    is_done: bool,
}

impl<'a> Entries<'a> {
    pub(super) const fn of(archive: &'a [u8]) -> Self {
        Self {
            archive,
            at: 0,
            is_done: false,
        }
    }

    /// Takes bytes, and what is between them and the next multiple of four.
    fn take(&mut self, len: usize) -> Result<&'a [u8], CpioError> {
        let truncated = CpioError::Truncated(self.at);
        let end = self.at.checked_add(len).ok_or(truncated)?;
        let bytes = self.archive.get(self.at..end).ok_or(truncated)?;
        self.at = end.next_multiple_of(4);
        Ok(bytes)
    }

    fn entry(&mut self) -> Result<Option<Entry<'a>>, CpioError> {
        let start = self.at;
        // Name and header are one run of bytes before the padding.
        let header = self
            .archive
            .get(start..)
            .and_then(|rest| rest.get(..HEADER))
            .ok_or(CpioError::Truncated(start))?;
        if !matches!(&header[..6], b"070701" | b"070702") {
            return Err(CpioError::Magic(start));
        }
        let mut fields = [0; 13];
        for (index, field) in fields.iter_mut().enumerate() {
            let at = 6 + index * 8;
            *field = hex(&header[at..at + 8]).ok_or(CpioError::Field(start + at))?;
        }
        let [
            ino,
            mode,
            uid,
            gid,
            nlink,
            mtime,
            size,
            _,
            _,
            major,
            minor,
            name_len,
            _,
        ] = fields;
        let with_name = self.take(HEADER.saturating_add(name_len as usize))?;
        let Some((0, name)) = with_name[HEADER..].split_last() else {
            return Err(CpioError::Name(start));
        };
        if name.is_empty() || name.contains(&0) {
            return Err(CpioError::Name(start));
        }
        if name == TRAILER {
            return Ok(None);
        }
        let content = self.take(size as usize)?;
        Ok(Some(Entry {
            ino,
            mode,
            uid,
            gid,
            nlink,
            mtime,
            rdev: (major, minor),
            name,
            content,
        }))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, CpioError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let entry = self.entry().transpose();
        self.is_done = !matches!(entry, Some(Ok(_)));
        entry
    }
}

/// A number of eight hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, &digit| {
        Some(number << 4 | char::from(digit).to_digit(16)?)
    })
}
