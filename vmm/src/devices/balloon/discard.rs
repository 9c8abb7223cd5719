//! Gives the host memory behind page frames back to the host's kernel.

use std::io;
use std::ops::Range;

use vm_memory::bitmap::Bitmap;
use vm_memory::{
    Address, GuestMemoryBackend, GuestMemoryRegion, GuestMemoryResult, MemoryRegionAddress,
};

use super::PAGE_SIZE;

/// A range of page frames within one region of RAM.
pub(super) struct RamRange<'a, R> {
    region: &'a R,
    /// The frames.
    pub(super) pfns: Range<u64>,
}

/// The parts of a range of page frames that are RAM, in order.
pub(super) fn in_ram<M: GuestMemoryBackend>(
    ram: &M,
    pfns: Range<u64>,
) -> impl Iterator<Item = RamRange<'_, M::R>> {
    ram.iter().filter_map(move |region| {
        let first = region.start_addr().raw_value();
        let start = pfns.start.max(first.div_ceil(PAGE_SIZE));
        let end = pfns.end.min((first + region.len()) / PAGE_SIZE);
        (start < end).then_some(RamRange {
            region,
            pfns: start..end,
        })
    })
}

impl<R: GuestMemoryRegion> RamRange<'_, R> {
    /// Discards the content: the frames read as zero when they are touched again. The region's
    /// dirty bitmap gets them, because their content changed.
    pub(super) fn discard(&self) -> io::Result<()> {
        let offset = self.pfns.start * PAGE_SIZE - self.region.start_addr().raw_value();
        let len = ((self.pfns.end - self.pfns.start) * PAGE_SIZE) as usize;
        // Memory of a file (memfd) is freed only by a hole in the file.
        let advice = match self.region.file_offset() {
            Some(_) => libc::MADV_REMOVE,
            None => libc::MADV_DONTNEED,
        };
        let offset = MemoryRegionAddress(offset);
        match advise(self.region, offset, len, advice) {
            // Memory that only shows a file, as that of a fork of a snapshot (madvise(2): EACCES), or of which
            // a part no longer does (EINVAL): the file stays, and what covers it goes.
            Err(error) if self.region.file_offset().is_some() && is_private(&error) => {
                cover(self.region, offset, len)
            }
            result => result,
        }
    }
}

fn is_private(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EACCES | libc::EINVAL))
}

/// Maps anonymous memory over a part of a region.
fn cover<R: GuestMemoryRegion>(
    region: &R,
    offset: MemoryRegionAddress,
    len: usize,
) -> io::Result<()> {
    let slice: GuestMemoryResult<_> = region.get_slice(offset, len);
    let slice = slice.map_err(io::Error::other)?;
    let guard = slice.ptr_guard_mut();
    // SAFETY: the slice is a live part of the region's mapping, whole pages of it, which is replaced by a
    // mapping of the same size and rights. As in `advise`, no Rust reference relies on its content.
    let mapped = unsafe {
        libc::mmap(
            guard.as_ptr().cast(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    slice.bitmap().mark_dirty(0, len);
    Ok(())
}

fn advise<R: GuestMemoryRegion>(
    region: &R,
    offset: MemoryRegionAddress,
    len: usize,
    advice: libc::c_int,
) -> io::Result<()> {
    let slice: GuestMemoryResult<_> = region.get_slice(offset, len);
    let slice = slice.map_err(io::Error::other)?;
    let guard = slice.ptr_guard_mut();
    // SAFETY: the slice is a live part of the region's mapping, which `region` keeps mapped. Guest
    // memory is only ever accessed as volatile memory that the guest may change at any time, so no
    // Rust reference relies on its content.
    let result = unsafe { libc::madvise(guard.as_ptr().cast(), len, advice) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    slice.bitmap().mark_dirty(0, len);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use vm_memory::bitmap::AtomicBitmap;
    use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryMmap};

    const RAM: [(GuestAddress, usize); 2] =
        [(GuestAddress(0), 0x4000), (GuestAddress(0x1_0000), 0x4000)];

    fn ranges<M: GuestMemoryBackend>(ram: &M, pfns: Range<u64>) -> Vec<Range<u64>> {
        in_ram(ram, pfns).map(|range| range.pfns).collect()
    }

    #[test]
    fn holes_are_left_out() {
        let ram = GuestMemoryMmap::<()>::from_ranges(&RAM).unwrap();
        assert_eq!(ranges(&ram, 0..100), [0..4, 16..20]);
        assert_eq!(ranges(&ram, 3..17), [3..4, 16..17]);
        assert!(ranges(&ram, 4..16).is_empty());
        assert!(ranges(&ram, 1 << 51..1 << 52).is_empty());
    }

    #[test]
    fn discarded_pages_read_zero_and_are_dirty_and_others_are_not() {
        let ram = GuestMemoryMmap::<AtomicBitmap>::from_ranges(&RAM).unwrap();
        for page in 16..20_u64 {
            ram.write_obj(page, GuestAddress(page * PAGE_SIZE)).unwrap();
        }
        let region = ram.find_region(GuestAddress(0x1_0000)).unwrap();
        vm_memory::MmapRegion::bitmap(region).reset();
        for range in in_ram(&ram, 17..19) {
            range.discard().unwrap();
        }
        for page in 16..20_u64 {
            let discarded = page == 17 || page == 18;
            let value: u64 = ram.read_obj(GuestAddress(page * PAGE_SIZE)).unwrap();
            assert_eq!(value, if discarded { 0 } else { page });
            let offset = ((page - 16) * PAGE_SIZE) as usize;
            assert_eq!(region.bitmap().dirty_at(offset), discarded);
        }
    }

    #[test]
    fn private_memory_over_a_file_reads_zero_and_the_file_stays() {
        let file = tempfile::tempfile().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[5; 0x4000], 0).unwrap();
        let region = vm_memory::mmap::MmapRegionBuilder::<()>::new(0x4000)
            .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
            .with_mmap_flags(libc::MAP_PRIVATE)
            .with_file_offset(FileOffset::new(file.try_clone().unwrap(), 0))
            .build()
            .unwrap();
        let region = vm_memory::GuestRegionMmap::new(region, GuestAddress(0)).unwrap();
        let ram = GuestMemoryMmap::from_regions(vec![region]).unwrap();
        ram.write_slice(&[6; 0x1000], GuestAddress(0x1000)).unwrap();
        // The second time a part of it shows the file no longer.
        for pfns in [1..2, 1..3] {
            for range in in_ram(&ram, pfns) {
                range.discard().unwrap();
            }
        }
        let mut bytes = [0; 0x4000];
        ram.read_slice(&mut bytes, GuestAddress(0)).unwrap();
        assert!(bytes[0x1000..0x3000].iter().all(|byte| *byte == 0));
        assert!(bytes[..0x1000].iter().all(|byte| *byte == 5));
        assert!(bytes[0x3000..].iter().all(|byte| *byte == 5));
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0).unwrap();
        assert_eq!(bytes, [5; 0x4000]);
    }

    #[test]
    fn shared_file_memory_is_freed_as_well() {
        // SAFETY: the name is a valid C string; the result is checked by the conversion below.
        let fd = unsafe { libc::memfd_create(c"ram".as_ptr(), libc::MFD_CLOEXEC) };
        assert!(fd >= 0);
        // SAFETY: `fd` was just created and nobody else owns it.
        let file: File = unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) };
        file.set_len(0x4000).unwrap();
        let blocks = || std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap());
        let offset = FileOffset::new(file.try_clone().unwrap(), 0);
        let range = (GuestAddress(0), 0x4000, Some(offset));
        let ram = GuestMemoryMmap::<()>::from_ranges_with_files([range]).unwrap();
        ram.write_slice(&[1; 0x4000], GuestAddress(0)).unwrap();
        assert_eq!(blocks(), 32);
        for range in in_ram(&ram, 1..3) {
            range.discard().unwrap();
        }
        assert_eq!(blocks(), 16);
        let value: u8 = ram.read_obj(GuestAddress(0x1000)).unwrap();
        assert_eq!(value, 0);
    }
}
