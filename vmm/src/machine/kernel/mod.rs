//! The guest's kernel file: checked whole before any of it is loaded.
//!
//! `linux-loader` copies the segments; the checks are made here because its errors do not say
//! which value is wrong, and because it takes only the last note segment for the PVH note.

mod check;
mod problem;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek};
use std::ops::Range;
use std::path::{Path, PathBuf};

use linux_loader::loader::KernelLoader;
use linux_loader::loader::elf::Elf;
use object::ReadCache;
use vm_memory::ReadVolatile;

pub use problem::{KernelError, KernelProblem};

use serde::{Deserialize, Serialize};

use super::embedded;
use super::memory::GuestMemory;

/// Where the kernel comes from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kernel {
    /// pagelab's own guest, which the program carries.
    Embedded,
    /// A file.
    Path(PathBuf),
    /// An ELF in memory.
    Bytes(Vec<u8>),
}

/// Largest kernel file that is searched for symbols.
const MAX_FILE: u64 = 1 << 30;

impl Kernel {
    /// The whole file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn contents(&self) -> io::Result<Cow<'_, [u8]>> {
        Ok(match self {
            Self::Embedded => Cow::Borrowed(embedded::kernel()),
            Self::Bytes(bytes) => Cow::Borrowed(bytes),
            Self::Path(path) => {
                let mut bytes = Vec::new();
                File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
                Cow::Owned(bytes)
            }
        })
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Embedded => f.write_str("(built in)"),
            Self::Bytes(_) => f.write_str("(in memory)"),
        }
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({self})")
    }
}

/// A kernel that has passed the checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KernelLayout {
    /// Physical address of the first instruction.
    pub(super) entry: u64,
    /// Physical end of the highest segment.
    pub(super) end: u64,
}

/// Where a kernel may lie.
#[derive(Clone, Debug)]
pub(super) struct Room<'a> {
    /// RAM, ascending.
    pub(super) ram: &'a [Range<u64>],
    /// Taken by the boot information.
    pub(super) boot_area: Range<u64>,
}

/// Checks a kernel and copies it into guest memory.
pub(super) fn load(
    kernel: &Kernel,
    room: &Room<'_>,
    memory: &GuestMemory,
) -> Result<KernelLayout, KernelError> {
    let result = match kernel {
        Kernel::Path(path) => open(path).and_then(|file| check_and_load(file, room, memory)),
        Kernel::Embedded => check_and_load(Cursor::new(embedded::kernel()), room, memory),
        Kernel::Bytes(bytes) => check_and_load(Cursor::new(bytes), room, memory),
    };
    result.map_err(|problem| KernelError {
        name: kernel.to_string(),
        problem,
    })
}

fn open(path: &Path) -> Result<File, KernelProblem> {
    // A pipe would block the open, so look first.
    if !std::fs::metadata(path)?.is_file() {
        return Err(KernelProblem::NotAFile);
    }
    Ok(File::open(path)?)
}

fn check_and_load<F: Read + Seek + ReadVolatile>(
    file: F,
    room: &Room<'_>,
    memory: &GuestMemory,
) -> Result<KernelLayout, KernelProblem> {
    let cache = ReadCache::new(file);
    let layout = check::check(&cache, room)?;
    Elf::load(memory, None, &mut cache.into_inner(), None)?;
    Ok(layout)
}
