//! What mmap is asked for.

use crate::page_cache::FileId;
use pagelab_abi::mman::{MapFlags, Prot};

/// A part of a file to map, as the descriptor through which it is mapped allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMapping {
    /// The file. The mapping takes a reference of its own.
    pub file: FileId,
    /// First page.
    pub pgoff: u64,
    /// The descriptor is open for reading.
    pub may_read: bool,
    /// The descriptor is open for writing.
    pub may_write: bool,
}

/// Arguments of mmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MmapRequest {
    /// Where, or a hint.
    pub addr: u64,
    /// Bytes.
    pub len: u64,
    /// Rights.
    pub prot: Prot,
    /// Linux's bits, unknown ones included.
    pub flags: MapFlags,
    /// What to map. Without it, memory of zeros, whatever `ANONYMOUS` says.
    pub file: Option<FileMapping>,
}

impl MmapRequest {
    /// Private anonymous memory, wherever there is room.
    pub const fn anonymous(len: u64, prot: Prot) -> Self {
        Self {
            addr: 0,
            len,
            prot,
            flags: MapFlags::PRIVATE.union(MapFlags::ANONYMOUS),
            file: None,
        }
    }

    /// A file's pages from `pgoff` on, wherever there is room: `SHARED`, or a `PRIVATE` copy.
    pub const fn of_file(len: u64, prot: Prot, kind: MapFlags, file: FileId, pgoff: u64) -> Self {
        Self {
            addr: 0,
            len,
            prot,
            flags: kind,
            file: Some(FileMapping {
                file,
                pgoff,
                may_read: true,
                may_write: true,
            }),
        }
    }

    /// The same at an address, whatever is there.
    #[must_use]
    pub const fn fixed(self, addr: u64) -> Self {
        Self {
            addr,
            flags: self.flags.union(MapFlags::FIXED),
            ..self
        }
    }
}
