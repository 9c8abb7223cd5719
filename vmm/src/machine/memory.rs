//! The guest's physical memory: where it is, and its backing on the host.
//!
//! ```text
//!  0           boot area (see `boot`), kernel image, RAM
//!  MMIO_BASE   hole: devices, then nothing; RAM below 4 GiB ends here at the latest
//!  MMIO_END    RAM above 4 GiB: what did not fit below
//! ```
//!
//! The backing is anonymous and reserved without commitment, so a page costs nothing until the
//! guest or the boot loader touches it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use pagelab_abi::PAGE_SIZE;
use pagelab_abi::platform::{MMIO_BASE, MMIO_END};
use thiserror::Error;
use vm_memory::mmap::{MmapRegionBuilder, MmapRegionError};
use vm_memory::{FileOffset, GuestAddress, GuestMemoryMmap, GuestMemoryRegion, GuestRegionMmap};

pub(super) use super::write_log::WriteLog;
use crate::size::ByteSize;

/// The guest's memory as the host reads and writes it. Cloning it shares the same pages.
pub type GuestMemory = GuestMemoryMmap<WriteLog>;

/// One range of it.
pub(super) type Region = GuestRegionMmap<WriteLog>;

/// Least memory of a machine, in bytes.
pub const MIN_MEMORY: u64 = 16 << 20;

/// Most memory of a machine, in bytes.
pub const MAX_MEMORY: u64 = 64 << 30;

/// Why the machine cannot have the memory that was asked for.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// No memory at all.
    #[error("memory of 0 bytes: a machine needs at least {}", ByteSize(MIN_MEMORY))]
    Zero,
    /// Not a whole number of pages.
    #[error(
        "memory of {memory} bytes is not a multiple of the page size of {PAGE_SIZE}; the next one is {}",
        memory.next_multiple_of(PAGE_SIZE)
    )]
    NotPageMultiple {
        /// The memory asked for, in bytes.
        memory: u64,
    },
    /// Less than [`MIN_MEMORY`].
    #[error("memory of {} is too small; give at least {}", ByteSize(*.0), ByteSize(MIN_MEMORY))]
    TooSmall(u64),
    /// More than [`MAX_MEMORY`].
    #[error("memory of {} is too large; give at most {}", ByteSize(*.0), ByteSize(MAX_MEMORY))]
    TooLarge(u64),
    /// More than the CPU can address.
    #[error(
        "memory of {} ends at {end:#x}, beyond the {bits} physical address bits of this CPU; \
         give less memory",
        ByteSize(*.memory)
    )]
    BeyondPhysicalAddresses {
        /// The memory asked for, in bytes.
        memory: u64,
        /// Its end in the guest's physical address space.
        end: u64,
        /// Width of a physical address.
        bits: u32,
    },
    /// The host refused the mapping.
    #[error(
        "cannot map {} of guest memory: {source}; give less memory, or raise the limits \
         `ulimit -v` and vm.overcommit_memory",
        ByteSize(*.memory)
    )]
    Map {
        /// The memory asked for, in bytes.
        memory: u64,
        /// What the host said.
        source: io::Error,
    },
}

/// Physical address ranges of the RAM of a machine with `memory` bytes, in ascending order: one, or
/// two if the hole below 4 GiB splits it.
///
/// # Errors
/// [`MemoryError`] unless `memory` is a page multiple in [`MIN_MEMORY`]..=[`MAX_MEMORY`].
pub fn ram_ranges(memory: u64) -> Result<Vec<Range<u64>>, MemoryError> {
    if memory == 0 {
        return Err(MemoryError::Zero);
    }
    if memory > MAX_MEMORY {
        return Err(MemoryError::TooLarge(memory));
    }
    if memory < MIN_MEMORY {
        return Err(MemoryError::TooSmall(memory));
    }
    if !memory.is_multiple_of(PAGE_SIZE) {
        return Err(MemoryError::NotPageMultiple { memory });
    }
    let low = 0..memory.min(MMIO_BASE);
    let above = memory - low.end;
    let high = MMIO_END..MMIO_END + above;
    Ok(if above == 0 {
        vec![low]
    } else {
        vec![low, high]
    })
}

/// Reserves the memory. Pages appear, zeroed, as they are touched.
pub(super) fn allocate(ranges: &[Range<u64>]) -> Result<GuestMemory, MemoryError> {
    let memory = ranges.iter().map(|range| range.end - range.start).sum();
    let mut regions = Vec::with_capacity(ranges.len());
    for range in ranges {
        let region = MmapRegionBuilder::<WriteLog>::new((range.end - range.start) as usize)
            .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
            .with_mmap_flags(libc::MAP_ANONYMOUS | libc::MAP_PRIVATE | libc::MAP_NORESERVE)
            .build()
            .map_err(|error| MemoryError::Map {
                memory,
                source: match error {
                    MmapRegionError::Mmap(source) => source,
                    other => io::Error::other(other),
                },
            })?;
        // `None` only if the range wraps, which `ram_ranges` excludes.
        regions.extend(GuestRegionMmap::new(region, GuestAddress(range.start)));
    }
    GuestMemory::from_regions(regions).map_err(|error| MemoryError::Map {
        memory,
        source: io::Error::other(error),
    })
}

/// Maps memory at `ranges` from a file in which the ranges follow each other. What is stored stays in this
/// memory and does not reach the file, which must be sealed.
pub(super) fn on_file(ranges: &[Range<u64>], file: File) -> Result<GuestMemory, MemoryError> {
    let memory = ranges.iter().map(|range| range.end - range.start).sum();
    let error = |source| MemoryError::Map { memory, source };
    let file = Arc::new(file);
    let mut regions = Vec::with_capacity(ranges.len());
    let mut offset = 0;
    for range in ranges {
        let size = range.end - range.start;
        let region = MmapRegionBuilder::<WriteLog>::new(size as usize)
            .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
            .with_mmap_flags(libc::MAP_PRIVATE | libc::MAP_NORESERVE)
            .with_file_offset(FileOffset::from_arc(file.clone(), offset))
            .build()
            .map_err(|source| error(io::Error::other(source)))?;
        regions.extend(GuestRegionMmap::new(region, GuestAddress(range.start)));
        offset += size;
    }
    GuestMemory::from_regions(regions).map_err(|source| error(io::Error::other(source)))
}

/// Maps a sealed file, from `offset` on, in place of what a region holds; what is stored stays in memory.
pub(super) fn map_over(
    region: &GuestRegionMmap<WriteLog>,
    file: &File,
    offset: u64,
) -> io::Result<()> {
    // SAFETY: the range is all of the region's own mapping, which is replaced by one of the same size and
    // rights; guest memory is only accessed as memory that may change at any time.
    let mapped = unsafe {
        libc::mmap(
            region.as_ptr().cast(),
            region.len() as usize,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_NORESERVE | libc::MAP_FIXED,
            file.as_raw_fd(),
            offset as libc::off_t,
        )
    };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Maps nothing but pages of zeros in place of what a region holds.
pub(super) fn map_nothing_over(region: &Region) -> io::Result<()> {
    // SAFETY: the range is all of the region's own mapping, which is replaced by one of the same size and
    // rights; guest memory is only accessed as memory that may change at any time.
    let mapped = unsafe {
        libc::mmap(
            region.as_ptr().cast(),
            region.len() as usize,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_ANONYMOUS | libc::MAP_PRIVATE | libc::MAP_NORESERVE | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Checks that RAM ends within `bits` bits of physical address.
pub(super) fn check_address_bits(ranges: &[Range<u64>], bits: u32) -> Result<(), MemoryError> {
    let end = ranges.last().map_or(0, |range| range.end);
    if bits < 64 && end > 1 << bits {
        let memory = ranges.iter().map(|range| range.end - range.start).sum();
        return Err(MemoryError::BeyondPhysicalAddresses { memory, end, bits });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use vm_memory::{Bytes, GuestMemoryBackend};

    #[test]
    fn small_memory_is_one_range() {
        for memory in [MIN_MEMORY, 1 << 30, MMIO_BASE] {
            assert_eq!(ram_ranges(memory).unwrap(), vec![0..memory]);
        }
    }

    #[test]
    fn the_hole_splits_large_memory() {
        let ranges = ram_ranges(MMIO_BASE + PAGE_SIZE).unwrap();
        assert_eq!(ranges, [0..MMIO_BASE, MMIO_END..MMIO_END + PAGE_SIZE]);
    }

    #[test]
    fn bad_sizes_are_named() {
        for (size, words) in [
            (0, "0 bytes"),
            (MIN_MEMORY + 1, "16781312"),
            (5000, "at least 16M"),
            (MIN_MEMORY - PAGE_SIZE, "at least 16M"),
            (MAX_MEMORY + PAGE_SIZE, "at most 64G"),
            (u64::MAX, "at most 64G"),
        ] {
            let text = ram_ranges(size).unwrap_err().to_string();
            assert!(text.contains(words), "{size}: {text}");
        }
    }

    #[test]
    fn the_largest_memory_is_sparse_and_whole() {
        let memory = allocate(&ram_ranges(MAX_MEMORY).unwrap()).unwrap();
        let last = memory.last_addr();
        assert_eq!(last.0, MMIO_END + MAX_MEMORY - MMIO_BASE - 1);
        memory.write_obj(7_u8, last).unwrap();
        assert!(memory.write_obj(7_u8, GuestAddress(MMIO_BASE)).is_err());
    }

    #[test]
    fn address_bits_bound_the_end() {
        let ranges = ram_ranges(MAX_MEMORY).unwrap();
        let text = check_address_bits(&ranges, 36).unwrap_err().to_string();
        assert!(text.contains("36 physical address bits"), "{text}");
        check_address_bits(&ranges, 37).unwrap();
    }

    proptest! {
        #[test]
        fn ranges_hold_exactly_the_memory(pages in MIN_MEMORY / PAGE_SIZE..=MAX_MEMORY / PAGE_SIZE) {
            let ranges = ram_ranges(pages * PAGE_SIZE).unwrap();
            let total: u64 = ranges.iter().map(|range| range.end - range.start).sum();
            prop_assert_eq!(total, pages * PAGE_SIZE);
            for range in &ranges {
                prop_assert!(range.start < range.end);
                prop_assert!(range.end <= MMIO_BASE || range.start >= MMIO_END);
            }
        }
    }
}
