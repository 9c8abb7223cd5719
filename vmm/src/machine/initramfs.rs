//! The initial ramfs: where it comes from, and where it goes.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use linux_loader::loader::elf::start_info::hvm_modlist_entry;
use pagelab_abi::PAGE_SIZE;
use vm_memory::{Bytes, GuestAddress};

use super::boot::{BOOT_AREA, BootError};
use super::kernel::KernelLayout;
use super::memory::GuestMemory;

/// It ends below this address, unless the configuration says otherwise: the end of the direct map
/// in the classic zone model.
pub(super) const INITRAMFS_LIMIT: u64 = 896 << 20;

/// An initial ramfs.
#[derive(Clone)]
pub enum Initramfs {
    /// A file, read when the machine is made.
    Path(PathBuf),
    /// An archive in memory.
    Bytes(Arc<[u8]>),
}

impl fmt::Debug for Initramfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
        }
    }
}

impl Initramfs {
    /// Copies it to the end of low memory, below `limit`.
    pub(super) fn write(
        &self,
        memory: &GuestMemory,
        ram: &[Range<u64>],
        kernel: &KernelLayout,
        limit: u64,
    ) -> Result<hvm_modlist_entry, BootError> {
        let low_end = ram.first().map_or(0, |range| range.end).min(limit);
        let place = |size, name: &dyn Fn() -> String| {
            start(low_end, kernel.end, size).map_err(|room| {
                let name = name();
                BootError::InitramfsTooLarge { name, size, room }
            })
        };
        let (paddr, size) = match self {
            Self::Path(path) => {
                let (mut file, size) = open(path)?;
                let start = place(size, &|| path.display().to_string())?;
                memory
                    .read_exact_volatile_from(GuestAddress(start), &mut file, size as usize)
                    .map_err(|error| failed(path)(io::Error::other(error)))?;
                (start, size)
            }
            Self::Bytes(bytes) => {
                let size = bytes.len() as u64;
                let start = place(size, &|| "of the program".to_owned())?;
                memory
                    .write_slice(bytes, GuestAddress(start))
                    .map_err(|error| BootError::Configure(error.to_string()))?;
                (start, size)
            }
        };
        Ok(hvm_modlist_entry {
            paddr,
            size,
            ..Default::default()
        })
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> BootError {
    move |source| BootError::InitramfsRead {
        path: path.to_owned(),
        source,
    }
}

/// A regular file and its size.
fn open(path: &Path) -> Result<(File, u64), BootError> {
    let about = std::fs::metadata(path).map_err(failed(path))?;
    if !about.is_file() {
        return Err(failed(path)(io::Error::other("is not a regular file")));
    }
    Ok((File::open(path).map_err(failed(path))?, about.len()))
}

/// Where it starts, or the bytes that are free for it.
fn start(low_end: u64, kernel_end: u64, size: u64) -> Result<u64, u64> {
    let floor = kernel_end.max(BOOT_AREA.end).next_multiple_of(PAGE_SIZE);
    let start = low_end
        .checked_sub(size)
        .map(|start| start / PAGE_SIZE * PAGE_SIZE);
    start
        .filter(|start| *start >= floor)
        .ok_or(low_end.saturating_sub(floor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_overlaps_nothing(
            low_end in (16_u64 << 20)..(4 << 30), kernel_end in 0_u64..(64 << 20), size in 0_u64..(2 << 30)
        ) {
            match start(low_end, kernel_end, size) {
                Ok(start) => {
                    prop_assert!(start >= kernel_end && start >= BOOT_AREA.end);
                    prop_assert!(start + size <= low_end);
                    prop_assert_eq!(start % PAGE_SIZE, 0);
                }
                Err(room) => prop_assert!(size + PAGE_SIZE > room),
            }
        }
    }
}
