//! Memory as ranges of one buffer or one mapped file.

use std::ops::{Deref, Range};

use super::{ImageError, PAGE_BYTES, PhysMem};

/// Guest-physical ranges that lie in `data`: a `Vec<u8>`, or a file mapped read-only.
#[derive(Debug)]
pub struct SegmentedMemory<D> {
    data: D,
    /// Ascending, page-aligned, without overlap.
    ranges: Vec<Range<u64>>,
    /// Where in `data` the range of the same index starts.
    offsets: Vec<usize>,
}

/// One piece of guest-physical memory in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// First guest-physical address.
    pub(super) gpa: u64,
    /// Bytes.
    pub(super) len: u64,
    /// Where in the file the first byte is.
    pub(super) offset: u64,
}

impl<D: Deref<Target = [u8]>> SegmentedMemory<D> {
    /// Flat memory: guest-physical address 0 is the first byte of `data`. With a `hole`, what
    /// follows its start in the data lies above its end in the guest, as with RAM that gives way
    /// to the device window below 4 GiB.
    ///
    /// # Errors
    /// The data is empty or not page-sized, or the hole is not page-aligned.
    pub fn flat(data: D, hole: Option<Range<u64>>) -> Result<Self, ImageError> {
        let size = data.len() as u64;
        if size == 0 || !size.is_multiple_of(PAGE_BYTES as u64) {
            return Err(ImageError::NotPageSized { size });
        }
        let whole = Segment {
            gpa: 0,
            len: size,
            offset: 0,
        };
        let Some(hole) = hole.filter(|hole| hole.start < size) else {
            return Ok(Self::from_segments(data, vec![whole]));
        };
        if hole.is_empty()
            || !hole.start.is_multiple_of(PAGE_BYTES as u64)
            || !hole.end.is_multiple_of(PAGE_BYTES as u64)
        {
            return Err(ImageError::BadHole {
                start: hole.start,
                end: hole.end,
            });
        }
        let low = Segment {
            len: hole.start,
            ..whole
        };
        let high = Segment {
            gpa: hole.end,
            len: size - hole.start,
            offset: hole.start,
        };
        Ok(Self::from_segments(data, vec![low, high]))
    }

    /// Takes segments in any order. Where two overlap the one that starts lower wins; bytes that
    /// do not fill a page, or that lie outside the data, are left out.
    pub(super) fn from_segments(data: D, mut segments: Vec<Segment>) -> Self {
        segments.sort_by_key(|segment| (segment.gpa, segment.offset));
        let mut memory = Self {
            data,
            ranges: Vec::new(),
            offsets: Vec::new(),
        };
        for segment in segments {
            memory.push(segment);
        }
        memory
    }

    /// Adds a segment that starts at or above the start of all others.
    fn push(&mut self, segment: Segment) {
        const PAGE: u64 = PAGE_BYTES as u64;
        let taken = self.end();
        let in_data = (self.data.len() as u64).saturating_sub(segment.offset);
        let end = segment.gpa.saturating_add(segment.len.min(in_data)) / PAGE * PAGE;
        let start = segment.gpa.max(taken).next_multiple_of(PAGE);
        if start >= end {
            return;
        }
        // Within the data, because `start` lies below `end`.
        let offset = (segment.offset + (start - segment.gpa)) as usize;
        if let (Some(last), Some(&last_offset)) = (self.ranges.last_mut(), self.offsets.last())
            && last.end == start
            && last_offset + (last.end - last.start) as usize == offset
        {
            last.end = end;
            return;
        }
        self.ranges.push(start..end);
        self.offsets.push(offset);
    }

    /// The data behind all ranges.
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

impl<D: Deref<Target = [u8]> + std::ops::DerefMut> SegmentedMemory<D> {
    /// The bytes at `gpa`, to build an image in memory; `None` as with [`PhysMem::slice`].
    pub fn slice_mut(&mut self, gpa: u64, len: usize) -> Option<&mut [u8]> {
        let offset = self.offset(gpa, len)?;
        self.data.get_mut(offset..offset + len)
    }
}

impl<D: Deref<Target = [u8]>> SegmentedMemory<D> {
    /// Where the `len` bytes at `gpa` start in the data.
    #[inline]
    fn offset(&self, gpa: u64, len: usize) -> Option<usize> {
        let index = self.ranges.partition_point(|range| range.end <= gpa);
        let range = self.ranges.get(index)?;
        let into = gpa.checked_sub(range.start)?;
        if (range.end - gpa) < len as u64 {
            return None;
        }
        Some(self.offsets[index] + into as usize)
    }
}

impl<D: Deref<Target = [u8]>> PhysMem for SegmentedMemory<D> {
    fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    #[inline]
    fn slice(&self, gpa: u64, len: usize) -> Option<&[u8]> {
        let offset = self.offset(gpa, len)?;
        self.data.get(offset..offset + len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_moves_what_follows_it() {
        let mut data = vec![0u8; 4 * PAGE_BYTES];
        data[2 * PAGE_BYTES] = 7;
        let memory = SegmentedMemory::flat(data, Some(0x2000..0x10_0000)).unwrap();
        assert_eq!(memory.ranges(), [0..0x2000, 0x10_0000..0x10_2000]);
        assert_eq!(memory.slice(0x10_0000, 1), Some(&[7u8][..]));
        assert_eq!(memory.slice(0x2000, 1), None);
        assert_eq!(memory.slice(0x1fff, 2), None);
        assert!(memory.contains(&(0x1000..0x2000)));
        assert!(!memory.contains(&(0x1000..0x3000)));
        let mut buf = [0u8; 2];
        assert_eq!(
            memory.read(0x1fff, &mut buf),
            Err(super::super::OutsideRam(0x2000))
        );
    }

    #[test]
    fn odd_sizes_and_holes_are_refused() {
        assert!(matches!(
            SegmentedMemory::flat(vec![0u8; 5000], None),
            Err(ImageError::NotPageSized { size: 5000 })
        ));
        assert!(matches!(
            SegmentedMemory::flat(vec![0u8; 8192], Some(0x1001..0x2000)),
            Err(ImageError::BadHole { start: 0x1001, .. })
        ));
    }

    #[test]
    fn overlapping_and_partial_segments_leave_whole_pages() {
        let data = vec![1u8; 5 * PAGE_BYTES];
        let memory = SegmentedMemory::from_segments(
            data,
            vec![
                Segment {
                    gpa: 0x2000,
                    len: 0x2000,
                    offset: 0x2010,
                },
                Segment {
                    gpa: 0x0800,
                    len: 0x2800,
                    offset: 0,
                },
                Segment {
                    gpa: 0x9000,
                    len: u64::MAX,
                    offset: 0x4000,
                },
            ],
        );
        // The first takes 0x1000..0x3000; the second has 0x3000..0x4000 left; the third ends with
        // the data.
        assert_eq!(
            memory.ranges(),
            [0x1000..0x3000, 0x3000..0x4000, 0x9000..0xa000]
        );
        assert_eq!(memory.size(), 0x4000);
        assert!(memory.page(0x3000).is_some());
        assert!(memory.page(0x3008).is_none());
    }
}
