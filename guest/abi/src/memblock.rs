//! The boot allocator's tables, kept for the host after boot.

use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// Regions that a table can hold.
pub const MAX_REGIONS: usize = 64;

/// Bytes of physical memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Region {
    /// First byte.
    pub base: u64,
    /// Number of bytes; never 0 in a table.
    pub size: u64,
}

impl Region {
    /// The byte after the last one.
    #[inline]
    pub const fn end(&self) -> u64 {
        self.base + self.size
    }
}

/// Regions in ascending order that neither overlap nor touch.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct RegionTable {
    /// Regions in use.
    pub count: u64,
    /// The regions; those from `count` on mean nothing.
    pub regions: [Region; MAX_REGIONS],
}

impl RegionTable {
    /// An empty table.
    pub const fn new() -> Self {
        Self {
            count: 0,
            regions: [Region { base: 0, size: 0 }; MAX_REGIONS],
        }
    }

    /// The regions in use.
    pub fn as_slice(&self) -> &[Region] {
        let count = (self.count as usize).min(MAX_REGIONS);
        &self.regions[..count]
    }
}

impl Default for RegionTable {
    fn default() -> Self {
        Self::new()
    }
}
