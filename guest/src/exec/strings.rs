//! Arguments and environment, on their way from the old program's memory to the new one's.

use crate::{syscall::user, task::Space};
use pagelab_abi::errno::Errno;

/// Bytes of the longest string, its NUL included (Linux: `MAX_ARG_STRLEN`).
const MAX_ARG_STRLEN: u64 = 128 << 10;

/// Bytes that are copied at once.
const CHUNK: usize = 512;

/// A list of strings.
#[derive(Clone, Copy)]
pub(super) enum List<'a> {
    /// One after the other, each ended by a NUL.
    Kernel(&'a [u8]),
    /// In the old program's memory, behind an array of pointers at this address, which a 0 ends. No
    /// array is an empty one.
    User(u64),
}

/// Strings, the first of which may be replaced by others.
#[derive(Clone, Copy)]
pub(super) struct Strings<'a> {
    /// In place of the first one.
    front: Option<&'a [u8]>,
    list: List<'a>,
}

/// How much that is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Measure {
    pub(super) count: u64,
    /// Of all strings with their NULs.
    pub(super) bytes: u64,
}

impl<'a> Strings<'a> {
    /// All of a list.
    pub(super) fn new(list: List<'a>) -> Self {
        Self { front: None, list }
    }

    /// The same with other strings, each ended by a NUL, in place of the first one, if there is one.
    pub(super) fn behind(self, front: &'a [u8]) -> Self {
        let front = Some(front);
        Self { front, ..self }
    }

    /// Measures the strings.
    ///
    /// # Errors
    /// EFAULT; E2BIG if they have more than `limit` bytes, pointers included.
    pub(super) fn measure(&self, old: Option<&mut Space>, limit: u64) -> Result<Measure, Errno> {
        let mut measure = Measure::default();
        self.each(old, |len, _, _| {
            measure.count += 1;
            measure.bytes += len;
            if len > MAX_ARG_STRLEN || measure.bytes + 8 * measure.count > limit {
                return Err(Errno::E2BIG);
            }
            Ok(())
        })?;
        Ok(measure)
    }

    /// Copies the strings to `at`, one after the other, and their addresses to `table`.
    ///
    /// # Errors
    /// EFAULT; ENOMEM.
    pub(super) fn copy(
        &self,
        old: Option<&mut Space>,
        new: &mut Space,
        mut at: u64,
        mut table: u64,
    ) -> Result<(), Errno> {
        self.each(old, |len, from, source| {
            store(new, table, &at.to_le_bytes())?;
            table += 8;
            let mut done = 0;
            while done < len {
                let mut buffer = [0; CHUNK];
                let part = &mut buffer[..(len - done).min(CHUNK as u64) as usize];
                source.read(from + done, part)?;
                store(new, at + done, part)?;
                done += part.len() as u64;
            }
            at += len;
            Ok(())
        })
    }

    /// Calls `each` with the length of each string, its NUL included, where it is, and what it can
    /// be read from.
    fn each(
        &self,
        old: Option<&mut Space>,
        mut each: impl FnMut(u64, u64, &mut Source<'_>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let Some(front) = self.front else {
            return self.list.each(old, each);
        };
        List::Kernel(front).each(None, &mut each)?;
        let mut is_first = true;
        self.list.each(old, |len, at, source| {
            if core::mem::take(&mut is_first) {
                return Ok(());
            }
            each(len, at, source)
        })
    }
}

impl List<'_> {
    /// As [`Strings::each`].
    fn each(
        &self,
        old: Option<&mut Space>,
        mut each: impl FnMut(u64, u64, &mut Source<'_>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        match *self {
            List::Kernel(bytes) => {
                let mut at = 0;
                for text in bytes.split_inclusive(|&byte| byte == 0) {
                    let len = text.len() as u64;
                    // What has no NUL at the end is no string.
                    if text.last() == Some(&0) {
                        each(len, at, &mut Source::Kernel(bytes))?;
                    }
                    at += len;
                }
                Ok(())
            }
            List::User(0) => Ok(()),
            List::User(mut array) => {
                let space = old.ok_or(Errno::EFAULT)?;
                loop {
                    let at: u64 = user::load(space, array)?;
                    if at == 0 {
                        return Ok(());
                    }
                    let len = string_len(space, at)?;
                    each(len, at, &mut Source::User(space))?;
                    array = array.checked_add(8).ok_or(Errno::EFAULT)?;
                }
            }
        }
    }
}

/// What strings are read from.
enum Source<'a> {
    Kernel(&'a [u8]),
    User(&'a mut Space),
}

impl Source<'_> {
    fn read(&mut self, at: u64, buf: &mut [u8]) -> Result<(), Errno> {
        match self {
            Self::Kernel(bytes) => {
                let from = bytes.get(at as usize..).unwrap_or(&[]);
                let from = from.get(..buf.len()).ok_or(Errno::EFAULT)?;
                buf.copy_from_slice(from);
                Ok(())
            }
            Self::User(space) => space.read(at, buf).map_err(|_| Errno::EFAULT),
        }
    }
}

/// Bytes of a string, its NUL included; more than [`MAX_ARG_STRLEN`] if there is no NUL up to there.
fn string_len(space: &mut Space, at: u64) -> Result<u64, Errno> {
    let mut len = 0;
    while len <= MAX_ARG_STRLEN {
        let from = at.checked_add(len).ok_or(Errno::EFAULT)?;
        let mut buffer = [0; CHUNK];
        let bytes = CHUNK - from as usize % CHUNK;
        let part = &mut buffer[..bytes];
        space.read(from, part).map_err(|_| Errno::EFAULT)?;
        if let Some(end) = find_nul(part) {
            return Ok(len + end as u64 + 1);
        }
        len += bytes as u64;
    }
    Ok(len)
}

/// Where the first NUL is: eight bytes at a time, as strings can be long.
fn find_nul(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    let (words, rest) = bytes.as_chunks::<8>();
    let has_nul = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        word.wrapping_sub(ONES) & !word & HIGH != 0
    };
    let before = 8 * words.iter().position(has_nul).unwrap_or(words.len());
    let tail = if before == 8 * words.len() {
        rest
    } else {
        &bytes[before..]
    };
    let at = tail.iter().position(|&byte| byte == 0)?;
    Some(before + at)
}

/// Stores to the new program's memory.
pub(super) fn store(new: &mut Space, at: u64, bytes: &[u8]) -> Result<(), Errno> {
    new.write(at, bytes).map_err(|_| Errno::ENOMEM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_nul_is_found_wherever_it_is() {
        for len in 0..40 {
            let mut bytes = vec![0x80; len];
            assert_eq!(find_nul(&bytes), None);
            for at in (0..len).rev() {
                bytes[at] = 0;
                assert_eq!(find_nul(&bytes), Some(at), "{len}");
            }
        }
    }
}
