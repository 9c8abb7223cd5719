//! Stores behind files: what a file system does for the page cache (Linux include/linux/fs.h:
//! `struct address_space_operations`, and what of `inode_operations` belongs to content).

use super::FileId;
use crate::{AllocError, Mm, Pfn, machine::Machine};
use core::{fmt, sync::atomic::Ordering::Relaxed};
use pagelab_abi::errno::Errno;
use spin::Once;

/// Stores that the table has room for.
pub const MAX_STORES: usize = 4;

/// Why a file did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileError {
    /// There is no memory, or the request makes no sense.
    Memory(AllocError),
    /// The device failed.
    Io,
    /// The memory of the page's frame broke, and no store has it (Linux: `EHWPOISON` inside the kernel).
    HwPoison,
    /// The store is full.
    NoSpace,
    /// What the store says about itself contradicts itself.
    Corrupt,
    /// The store has no room for so large a file.
    TooLarge,
    /// The store cannot be written.
    ReadOnly,
    /// The store cannot do that.
    Unsupported,
}

impl FileError {
    /// The error of a system call that meets it.
    pub const fn errno(self) -> Errno {
        match self {
            Self::Memory(AllocError::BadRequest) | Self::TooLarge => Errno::EFBIG,
            Self::Memory(_) => Errno::ENOMEM,
            Self::Io | Self::HwPoison => Errno::EIO,
            Self::NoSpace => Errno::ENOSPC,
            Self::Corrupt => Errno::EUCLEAN,
            Self::ReadOnly => Errno::EROFS,
            Self::Unsupported => Errno::EOPNOTSUPP,
        }
    }
}

impl From<AllocError> for FileError {
    fn from(error: AllocError) -> Self {
        Self::Memory(error)
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory(error) => return error.fmt(f),
            Self::Io => "I/O error",
            Self::HwPoison => "the page was lost with its memory",
            Self::NoSpace => "no space left in the file store",
            Self::Corrupt => "the file store is corrupt",
            Self::TooLarge => "too large for the file store",
            Self::ReadOnly => "the file store is read-only",
            Self::Unsupported => "the file store cannot do that",
        })
    }
}

impl core::error::Error for FileError {}

/// The operations of a store. `host` is the file's number in it, as [`Mm::file_with_store`] got it.
///
/// They run without any lock of the page cache, and may use it for the store's own blocks.
pub trait AddressSpaceOperations<M: Machine + 'static>: Sync {
    /// A name for logs.
    fn name(&self) -> &'static str;

    /// Fills a frame with page `index` of a file, zeros where the store has nothing. After an error
    /// the frame's content does not matter (Linux: `read_folio`).
    ///
    /// # Errors
    /// [`FileError`].
    fn read_folio(&self, mm: &Mm<M>, host: u64, index: u64, pfn: Pfn) -> Result<(), FileError>;

    /// Fills frames, at most [`READ_BATCH`](super::READ_BATCH), with pages of a file from `first` on,
    /// and says how many of them, counted from the first one, have their content. Nobody needs them
    /// yet, so it ends where it fails (Linux: `readahead`).
    fn readahead(&self, mm: &Mm<M>, host: u64, first: u64, frames: &[Pfn]) -> usize {
        (first..)
            .zip(frames)
            .take_while(|(index, pfn)| self.read_folio(mm, host, *index, **pfn).is_ok())
            .count()
    }

    /// Writes a frame to page `index` of a file, for which [`Self::write_begin`] made room. It may be
    /// called from inside an allocation that reclaims, and must not wait for one itself.
    ///
    /// # Errors
    /// [`FileError`]; `Memory` means that it can be tried again, and that nothing happened.
    fn writepage(&self, mm: &Mm<M>, host: u64, index: u64, pfn: Pfn) -> Result<(), FileError>;

    /// Makes room in the store for page `index`, which is about to be changed: so a full store is
    /// noticed by who stores, and not when the page is written (Linux: `write_begin`,
    /// `page_mkwrite`).
    ///
    /// # Errors
    /// [`FileError`]; the store is as before.
    fn write_begin(&self, mm: &Mm<M>, host: u64, index: u64) -> Result<(), FileError>;

    /// A file gets another size; what the store has behind that is given back (Linux:
    /// `setattr` with `ATTR_SIZE`). The page cache has dropped those pages already.
    ///
    /// # Errors
    /// [`FileError`].
    fn truncate(&self, mm: &Mm<M>, host: u64, size: u64) -> Result<(), FileError>;
}

/// A store that is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreId(u32);

/// The table of stores is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyStores;

impl fmt::Display for TooManyStores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there are {MAX_STORES} file stores already")
    }
}

impl core::error::Error for TooManyStores {}

/// All stores, in the order of registration. Filled from the front and never emptied, so a reader
/// needs no lock. A file in RAM has a number of this table, never an address.
pub(crate) struct StoreTable<M: Machine + 'static> {
    slots: [Once<&'static dyn AddressSpaceOperations<M>>; MAX_STORES],
}

impl<M: Machine + 'static> StoreTable<M> {
    /// No stores.
    pub(crate) const fn new() -> Self {
        Self {
            slots: [const { Once::new() }; MAX_STORES],
        }
    }
}

/// A file's store, and its number there.
pub(super) struct Backed<M: Machine + 'static> {
    pub(super) ops: &'static dyn AddressSpaceOperations<M>,
    pub(super) host: u64,
}

impl<M: Machine + 'static> Mm<M> {
    /// Adds a store to the table, for good. Nobody else may do so at the same time.
    ///
    /// # Errors
    /// [`TooManyStores`].
    pub fn register_store(
        &self,
        ops: &'static dyn AddressSpaceOperations<M>,
    ) -> Result<StoreId, TooManyStores> {
        let mut slots = (1..).zip(&self.stores.slots);
        let (number, slot) = slots
            .find(|(_, slot)| !slot.is_completed())
            .ok_or(TooManyStores)?;
        slot.call_once(|| ops);
        Ok(StoreId(number))
    }

    /// The store of a file, if it has one.
    pub(super) fn store(&self, file: FileId) -> Option<Backed<M>> {
        let space = self.space(file);
        let number = space.a_ops.load(Relaxed).checked_sub(1)?;
        let ops = *self.stores.slots.get(number as usize)?.get()?;
        Some(Backed {
            ops,
            host: space.host.load(Relaxed),
        })
    }

    /// Whether a file has a store.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_has_store(&self, file: FileId) -> bool {
        self.space(file).a_ops.load(Relaxed) != 0
    }
}

impl StoreId {
    /// As [`pagelab_abi::page_cache::AddressSpace::a_ops`] has it.
    pub(super) const fn number(self) -> u32 {
        self.0
    }
}
