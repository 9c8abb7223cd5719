//! What mmap is asked for.

use pagelab_abi::mman::{MapFlags, Prot};

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
}

impl MmapRequest {
    /// Private anonymous memory, wherever there is room.
    pub const fn anonymous(len: u64, prot: Prot) -> Self {
        Self {
            addr: 0,
            len,
            prot,
            flags: MapFlags::PRIVATE.union(MapFlags::ANONYMOUS),
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
