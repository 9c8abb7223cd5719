//! Guest-physical memory, wherever it is.
//!
//! [`PhysMem`] is all that a reader of guest memory knows about it. Behind it stand
//!
//! * [`LiveMemory`]: the memory of a virtual machine whose vCPUs are stopped,
//! * [`SegmentedMemory`]: ranges of a buffer or of a mapped file,
//! * [`SavedImage`]: a file opened as what it is: a raw image or an ELF core, such as [`save`] or
//!   QEMU's `dump-guest-memory` writes.

mod core;
mod cpu;
mod error;
mod live;
mod open;
mod root;
mod segments;
#[cfg(test)]
mod tests;

use std::ops::Range;

use zerocopy::{FromBytes, little_endian::U64};

pub use self::core::{SaveReport, VirtualView, save};
pub use cpu::{CpuRegisters, SegmentRegister};
pub use error::ImageError;
pub use live::LiveMemory;
pub use open::{ImageKind, OpenError, OpenOptions, SavedImage};
pub use root::{find_root, read_root};
pub use segments::SegmentedMemory;

/// Bytes in a page, as a host-side length.
pub const PAGE_BYTES: usize = pagelab_abi::PAGE_SIZE as usize;

/// A page as 512 table entries. An entry has no alignment, because the segments of an ELF core
/// start at any byte of the file; on x86-64 an unaligned load costs the same.
pub type Page = [U64; 512];

/// Guest-physical memory that can be read without being changed.
///
/// An implementation promises that [`ranges`](Self::ranges) is ascending, page-aligned and without
/// overlap, and that every page within it can be read.
pub trait PhysMem {
    /// The parts of the guest-physical address space that hold RAM, in bytes.
    fn ranges(&self) -> &[Range<u64>];

    /// The `len` bytes at `gpa`, if they lie in one piece within one range.
    fn slice(&self, gpa: u64, len: usize) -> Option<&[u8]>;

    /// The page that starts at `gpa`; `None` if there is no RAM or `gpa` is not page-aligned.
    #[inline]
    fn page(&self, gpa: u64) -> Option<&Page> {
        if !gpa.is_multiple_of(pagelab_abi::PAGE_SIZE) {
            return None;
        }
        Page::ref_from_bytes(self.slice(gpa, PAGE_BYTES)?).ok()
    }

    /// Fills `buf` from the bytes at `gpa`, which may cross from one range into the next.
    ///
    /// # Errors
    /// The first address that is not RAM.
    fn read(&self, gpa: u64, buf: &mut [u8]) -> Result<(), OutsideRam> {
        let mut at = gpa;
        let mut rest = buf;
        while !rest.is_empty() {
            let in_page = PAGE_BYTES - (at % pagelab_abi::PAGE_SIZE) as usize;
            let (now, later) = rest.split_at_mut(in_page.min(rest.len()));
            now.copy_from_slice(self.slice(at, now.len()).ok_or(OutsideRam(at))?);
            at = at.wrapping_add(now.len() as u64);
            rest = later;
        }
        Ok(())
    }

    /// Bytes of RAM in all ranges.
    fn size(&self) -> u64 {
        self.ranges()
            .iter()
            .map(|range| range.end - range.start)
            .sum()
    }

    /// End of the highest range; 0 without RAM.
    fn end(&self) -> u64 {
        self.ranges().last().map_or(0, |range| range.end)
    }

    /// Whether all of `gpas` is RAM.
    fn contains(&self, gpas: &Range<u64>) -> bool {
        let mut at = gpas.start;
        while at < gpas.end {
            match self.ranges().iter().find(|range| range.contains(&at)) {
                Some(range) => at = range.end,
                None => return false,
            }
        }
        true
    }
}

/// An address that is not RAM in this image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("guest-physical address {0:#x} is not RAM in this image")]
pub struct OutsideRam(pub u64);

/// A copy of the structure at `gpa`.
///
/// # Errors
/// The first address of it that is not RAM.
pub fn read_object<T: FromBytes + zerocopy::IntoBytes>(
    mem: &(impl PhysMem + ?Sized),
    gpa: u64,
) -> Result<T, OutsideRam> {
    let mut object = T::new_zeroed();
    mem.read(gpa, object.as_mut_bytes())?;
    Ok(object)
}
