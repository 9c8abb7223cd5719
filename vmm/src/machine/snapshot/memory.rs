//! The pages of a snapshot: a sealed memfd that forks map and resets read.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{Mmap, MmapOptions};
use pagelab_abi::{PAGE_SHIFT, PAGE_SIZE};
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};

use super::error::SnapshotError;
use super::pagemap;
use crate::machine::dirty_log::ones;
use crate::machine::memory::GuestMemory;

/// Bytes of a page.
pub(in crate::machine) const PAGE: usize = PAGE_SIZE as usize;

/// Tells the contents of memory at one moment from those at all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemoryId(u64);

impl MemoryId {
    /// One that there has not been.
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The memory of a machine at a moment.
pub(super) struct SavedMemory {
    id: MemoryId,
    file: File,
    /// The whole file; its holes are pages of zeros, and are not looked at.
    bytes: Mmap,
    regions: Vec<SavedRegion>,
    ranges: Vec<Range<u64>>,
    populated: u64,
}

impl fmt::Debug for SavedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedMemory")
            .field("ranges", &self.ranges)
            .field("populated", &self.populated)
            .finish_non_exhaustive()
    }
}

/// One region of it.
pub(super) struct SavedRegion {
    /// The region's first page in the file.
    first: usize,
    /// A bit for each page: it is in the file. The others are zero.
    populated: Vec<u64>,
}

impl SavedMemory {
    /// Copies the memory of a machine that stands still. `below` is the file's memory that it was forked
    /// from, if it was.
    pub(super) fn take(memory: &GuestMemory, below: Option<&Self>) -> Result<Self, SnapshotError> {
        let mut writer = Writer::new(ranges_of(memory))?;
        for (index, region) in memory.iter().enumerate() {
            let pages = region.len() >> PAGE_SHIFT;
            let mut there = bits(pages);
            if let Some(below) = below {
                there.copy_from_slice(&below.regions[index].populated);
            }
            let error = |source| writer_error(memory, source);
            pagemap::present(region.as_ptr() as u64, pages, |page| set(&mut there, page))
                .map_err(error)?;
            for page in ones(&there) {
                // SAFETY: the page is inside the region, which `memory` keeps mapped and readable; the
                // vCPU and the devices stand still, so nobody stores to it meanwhile.
                let bytes = unsafe {
                    region
                        .as_ptr()
                        .add(page as usize * PAGE)
                        .cast::<[u8; PAGE]>()
                };
                // SAFETY: as above.
                writer.put(index, page, unsafe { &*bytes }).map_err(error)?;
            }
        }
        writer.finish()
    }

    /// Which moment's it is.
    pub(super) fn id(&self) -> MemoryId {
        self.id
    }

    /// Where the memory is in the guest, in ascending order.
    pub(super) fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    /// The regions, in the same order.
    pub(super) fn regions(&self) -> &[SavedRegion] {
        &self.regions
    }

    /// Pages that are not zero.
    pub(super) fn populated_pages(&self) -> u64 {
        self.populated
    }

    /// Whether a machine has its memory at the same places.
    pub(super) fn fits(&self, memory: &GuestMemory) -> bool {
        ranges_of(memory) == self.ranges
    }

    /// Another handle to the file, whose regions follow each other.
    pub(super) fn file(&self) -> Result<File, SnapshotError> {
        self.file
            .try_clone()
            .map_err(|source| SnapshotError::Memory {
                bytes: self.bytes.len() as u64,
                source,
            })
    }

    /// Bytes of one region at a guest-physical address.
    pub(super) fn slice(&self, gpa: u64, len: usize) -> Option<&[u8]> {
        let index = self.ranges.partition_point(|range| range.end <= gpa);
        let range = self.ranges.get(index)?;
        let into = gpa.checked_sub(range.start)?;
        if into.checked_add(len as u64)? > range.end - range.start {
            return None;
        }
        let start = self.regions[index].first * PAGE + into as usize;
        self.bytes.get(start..start + len)
    }

    /// A page of a region; none if it is zero.
    pub(super) fn page(&self, region: &SavedRegion, page: u64) -> Option<&[u8; PAGE]> {
        if !region.is_populated(page) {
            return None;
        }
        let start = (region.first + page as usize) * PAGE;
        self.bytes.get(start..)?.first_chunk()
    }
}

impl SavedRegion {
    /// Pages of the region, in words of 64 bits: which of them are not zero.
    pub(super) fn populated(&self) -> &[u64] {
        &self.populated
    }

    /// Byte of the file at which the region begins.
    pub(super) fn offset(&self) -> u64 {
        (self.first * PAGE) as u64
    }

    fn is_populated(&self, page: u64) -> bool {
        let word = self.populated.get((page / 64) as usize);
        word.is_some_and(|word| word >> (page % 64) & 1 != 0)
    }
}

/// Fills a memfd, page by page.
pub(super) struct Writer {
    file: File,
    len: u64,
    regions: Vec<SavedRegion>,
    ranges: Vec<Range<u64>>,
    populated: u64,
}

impl Writer {
    /// An empty one, for memory at these places.
    pub(super) fn new(ranges: Vec<Range<u64>>) -> Result<Self, SnapshotError> {
        let mut first = 0;
        let mut regions = Vec::with_capacity(ranges.len());
        for range in &ranges {
            let pages = (range.end - range.start) >> PAGE_SHIFT;
            regions.push(SavedRegion {
                first,
                populated: bits(pages),
            });
            first += pages as usize;
        }
        let len = (first * PAGE) as u64;
        let error = |source| SnapshotError::Memory { bytes: len, source };
        let file = memfd().map_err(error)?;
        file.set_len(len).map_err(error)?;
        Ok(Self {
            file,
            len,
            regions,
            ranges,
            populated: 0,
        })
    }

    /// Puts a page in its place, unless it is zero.
    pub(super) fn put(&mut self, region: usize, page: u64, bytes: &[u8; PAGE]) -> io::Result<()> {
        if is_zero(bytes) {
            return Ok(());
        }
        let region = &mut self.regions[region];
        let at = region.offset() + page * PAGE_SIZE;
        self.file.write_all_at(bytes, at)?;
        set(&mut region.populated, page);
        self.populated += 1;
        Ok(())
    }

    /// Seals the file and maps it.
    pub(super) fn finish(self) -> Result<SavedMemory, SnapshotError> {
        let error = |source| SnapshotError::Memory {
            bytes: self.len,
            source,
        };
        seal(&self.file).map_err(error)?;
        // SAFETY: the file is sealed: nobody can write it or make it shorter.
        let bytes = unsafe { MmapOptions::new().map_copy_read_only(&self.file) }.map_err(error)?;
        Ok(SavedMemory {
            id: MemoryId::new(),
            file: self.file,
            bytes,
            regions: self.regions,
            ranges: self.ranges,
            populated: self.populated,
        })
    }
}

/// No bits, for so many pages.
fn bits(pages: u64) -> Vec<u64> {
    vec![0; pages.div_ceil(64) as usize]
}

pub(super) fn set(words: &mut [u64], page: u64) {
    if let Some(word) = words.get_mut((page / 64) as usize) {
        *word |= 1 << (page % 64);
    }
}

fn is_zero(bytes: &[u8; PAGE]) -> bool {
    let (words, _rest) = bytes.as_chunks::<8>();
    words.iter().all(|word| u64::from_ne_bytes(*word) == 0)
}

fn ranges_of(memory: &GuestMemory) -> Vec<Range<u64>> {
    let regions = memory.iter();
    regions
        .map(|region| {
            let start = region.start_addr().raw_value();
            start..start + region.len()
        })
        .collect()
}

fn writer_error(memory: &GuestMemory, source: io::Error) -> SnapshotError {
    let bytes = memory.iter().map(GuestMemoryRegion::len).sum();
    SnapshotError::Memory { bytes, source }
}

fn memfd() -> io::Result<File> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a C string; the call touches nothing else of this process.
    let fd = unsafe { libc::memfd_create(c"pagelab-snapshot".as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nothing else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) }.into())
}

fn seal(file: &File) -> io::Result<()> {
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
    // SAFETY: the descriptor is a memfd's; the call changes only its seals.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
