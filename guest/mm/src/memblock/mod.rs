//! The boot allocator, which hands out physical memory before there is a page allocator
//! (Linux: mm/memblock.c).

use core::fmt;
use pagelab_abi::memblock::{MAX_REGIONS, Region, RegionTable};

/// Two tables: what is RAM, and what of it is taken.
#[derive(Clone, Debug)]
pub struct Memblock {
    memory: RegionTable,
    reserved: RegionTable,
}

/// Why the boot allocator could not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemblockError {
    /// A table has no room for another region.
    TableFull(Region),
    /// A region that goes beyond the 2^64th byte.
    Overflow(Region),
    /// No free RAM of this size and alignment below the limit.
    NoMemory {
        /// Bytes asked for.
        size: u64,
        /// Alignment asked for.
        align: u64,
        /// The end of the memory it could be in.
        limit: u64,
    },
}

impl fmt::Display for MemblockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TableFull(region) => write!(
                f,
                "no room for region {:#x}+{:#x}: the table holds {MAX_REGIONS} separate regions",
                region.base, region.size
            ),
            Self::Overflow(region) => write!(
                f,
                "region {:#x}+{:#x} goes beyond the address space",
                region.base, region.size
            ),
            Self::NoMemory { size, align, limit } => write!(
                f,
                "no {size} bytes of free memory aligned to {align} below {limit:#x}: the machine \
                 needs more memory there"
            ),
        }
    }
}

impl core::error::Error for MemblockError {}

impl Default for Memblock {
    fn default() -> Self {
        Self::new()
    }
}

impl Memblock {
    /// No memory.
    pub const fn new() -> Self {
        Self {
            memory: RegionTable::new(),
            reserved: RegionTable::new(),
        }
    }

    /// All RAM.
    pub const fn memory(&self) -> &RegionTable {
        &self.memory
    }

    /// What is taken.
    pub const fn reserved(&self) -> &RegionTable {
        &self.reserved
    }

    /// Adds RAM. It may overlap what is there.
    ///
    /// # Errors
    /// [`MemblockError::TableFull`] and [`MemblockError::Overflow`].
    pub fn add(&mut self, base: u64, size: u64) -> Result<(), MemblockError> {
        insert(&mut self.memory, Region { base, size })
    }

    /// Takes memory, RAM or not. It may overlap what is taken.
    ///
    /// # Errors
    /// [`MemblockError::TableFull`] and [`MemblockError::Overflow`].
    pub fn reserve(&mut self, base: u64, size: u64) -> Result<(), MemblockError> {
        insert(&mut self.reserved, Region { base, size })
    }

    /// Takes `size` bytes of free RAM below `limit`, as high as possible, so that low memory stays
    /// for those who need it. `align` is a power of two. The content is whatever is there.
    ///
    /// # Errors
    /// [`MemblockError::NoMemory`] and [`MemblockError::TableFull`].
    pub fn alloc(&mut self, size: u64, align: u64, limit: u64) -> Result<u64, MemblockError> {
        let none = MemblockError::NoMemory { size, align, limit };
        if size == 0 || !align.is_power_of_two() {
            return Err(none);
        }
        for memory in self.memory.as_slice().iter().rev() {
            let mut end = memory.end().min(limit);
            while let Some(base) = end.checked_sub(size).map(|base| base & !(align - 1)) {
                if base < memory.base {
                    break;
                }
                let obstacle = self
                    .reserved
                    .as_slice()
                    .iter()
                    .rev()
                    .find(|taken| taken.base < base + size && base < taken.end());
                match obstacle {
                    Some(taken) => end = taken.base,
                    None => {
                        self.reserve(base, size)?;
                        return Ok(base);
                    }
                }
            }
        }
        Err(none)
    }
}

/// Adds a region to a table, joined with all that it overlaps or touches.
fn insert(table: &mut RegionTable, region: Region) -> Result<(), MemblockError> {
    if region.size == 0 {
        return Ok(());
    }
    let Some(end) = region.base.checked_add(region.size) else {
        return Err(MemblockError::Overflow(region));
    };
    let count = table.as_slice().len();
    let regions = &mut table.regions;
    let first = regions[..count].partition_point(|r| r.end() < region.base);
    let last = regions[..count].partition_point(|r| r.base <= end);
    if first == last {
        if count == MAX_REGIONS {
            return Err(MemblockError::TableFull(region));
        }
        regions.copy_within(first..count, first + 1);
        regions[first] = region;
        table.count = count as u64 + 1;
    } else {
        let base = region.base.min(regions[first].base);
        let end = end.max(regions[last - 1].end());
        regions[first] = Region {
            base,
            size: end - base,
        };
        regions.copy_within(last..count, first + 1);
        table.count = (count - (last - first - 1)) as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
