//! Pages of files come before they are asked for: which, and how many (Linux mm/readahead.c).
//!
//! Who reads a file has a window, the pages that were read ahead last ([`FileRa`]). A read that goes on
//! where the last one ended opens one of a few pages; when the reader gets to its marker, the next
//! window is read, twice as large, up to [`Reader::ra_pages`]. So a sequential reader always has pages
//! before it, and one that jumps about reads what it asks for.
//!
//! In Linux the marker is a flag of a page (`PG_readahead`). Here it is computed from the window: a
//! reader that comes to a page that another one's window marks does not extend its own, but finds by
//! the pages in the cache before it that it reads sequentially as soon as one is missing.
//!
//! Reading ahead fails in silence: the page that is really asked for is then read alone, and tells of
//! its own error.

use super::FileId;
use crate::{Mm, machine::Machine};
use core::{ops::Range, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{page_cache::FileRa, vma::VmFlags};

/// Most pages that are read ahead at once, unless the program says otherwise (Linux:
/// `VM_READAHEAD_PAGES`, 128 KiB).
pub const RA_PAGES: u32 = 32;

/// Most pages that one piece of advice reads ahead (Linux: `bdi->io_pages`, which for a virtio-blk disk
/// is `BLK_DEF_MAX_SECTORS_CAP`, 1280 KiB).
const IO_PAGES: u64 = 320;

/// Misses of a mapping, less its hits, above which reading around them is of no use (Linux:
/// `MMAP_LOTSAMISS`).
const MMAP_LOTSAMISS: u32 = 100;

/// How somebody reads a file.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// What was read ahead for it.
    pub ra: &'a FileRa,
    /// Most pages that are read ahead at once, below 65,536; 0 for none (Linux: `ra_pages`).
    pub ra_pages: u32,
    /// It reads here and there, and only what it asks for (Linux: `FMODE_RANDOM`).
    pub random: bool,
    /// What it reads counts as not used (Linux: `FMODE_NOREUSE`).
    pub noreuse: bool,
}

/// Pages to be read: the first, how many, and how many of them are behind the marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    start: u64,
    size: u32,
    async_size: u32,
}

impl Window {
    fn of(ra: &FileRa) -> Self {
        Self {
            start: ra.start.load(Relaxed).into(),
            size: ra.size.load(Relaxed).into(),
            async_size: ra.async_size.load(Relaxed).into(),
        }
    }

    fn store(self, ra: &FileRa) {
        ra.start.store(self.start as u32, Relaxed);
        ra.size.store(self.size as u16, Relaxed);
        ra.async_size.store(self.async_size as u16, Relaxed);
    }

    /// The page at which the next window is read.
    fn marker(self) -> Option<u64> {
        (self.async_size > 0).then(|| self.end() - u64::from(self.async_size))
    }

    /// The page behind the last one.
    fn end(self) -> u64 {
        self.start + u64::from(self.size)
    }

    /// The one that follows, of at most `max` pages.
    fn following(self, max: u32) -> Self {
        let size = next_size(self.size, max);
        Self {
            start: self.end(),
            size,
            async_size: size,
        }
    }

    /// If the page that is wanted now is the first one and the marker as well, the next window is read
    /// with it: it would be asked for at once.
    fn for_reading(mut self, index: u64, max: u32) -> Self {
        if index == self.start && self.size == self.async_size {
            let more = next_size(self.size, max);
            if self.size + more <= max {
                (self.size, self.async_size) = (self.size + more, more);
            } else {
                (self.size, self.async_size) = (max, max / 2);
            }
        }
        self
    }
}

/// Size of the first window of a reader that asks for so many pages (Linux: `get_init_ra_size`).
fn first_size(wanted: u64, max: u32) -> u32 {
    let size = wanted.min(max.into()).next_power_of_two() as u32;
    if size <= max / 32 {
        size * 4
    } else if size <= max / 4 {
        size * 2
    } else {
        max
    }
}

/// Size of the window after one of `size` pages (Linux: `get_next_ra_size`).
const fn next_size(size: u32, max: u32) -> u32 {
    if size < max / 16 {
        4 * size
    } else if size <= max / 2 {
        2 * size
    } else {
        max
    }
}

/// The page at which the next window of the mappings of a file is read.
fn marker(ra: &FileRa) -> Option<u64> {
    Window::of(ra).marker()
}

impl<M: Machine + 'static> Mm<M> {
    /// A reader is about to read page `index` of a file, and so many pages in all.
    pub(super) fn read_ahead(&self, file: FileId, reader: &Reader<'_>, index: u64, wanted: u64) {
        let is_there = self.is_cached(file, index);
        if is_there && marker(reader.ra) != Some(index) || reader.ra_pages == 0 {
            return;
        }
        if reader.random {
            if !is_there {
                self.read_pages(file, index..index + wanted.min(IO_PAGES));
            }
            return;
        }
        self.ondemand_readahead(file, reader.ra, reader.ra_pages, index, wanted);
    }

    /// Linux: `ondemand_readahead`.
    fn ondemand_readahead(&self, file: FileId, ra: &FileRa, max: u32, index: u64, wanted: u64) {
        let last = Window::of(ra);
        let goes_on = last.size > 0 && (last.marker() == Some(index) || index == last.end());
        let prev = ra.prev_index.load(Relaxed);
        let is_next = index.wrapping_sub(prev.into()) <= 1 && prev != u32::MAX;
        let window = if index > 0 && goes_on {
            last.following(max)
        } else if index == 0 || is_next || wanted > max.into() {
            let size = first_size(wanted, max);
            let ahead = u64::from(size).saturating_sub(wanted) as u32;
            Window {
                start: index,
                size,
                async_size: if ahead > 0 { ahead } else { size },
            }
        } else if let Some(window) = self.window_from_history(file, index, wanted, max) {
            window
        } else {
            // A small read somewhere: that alone.
            self.read_pages(file, index..index + wanted);
            return;
        };
        let window = window.for_reading(index, max);
        window.store(ra);
        self.read_pages(file, window.start..window.end());
    }

    /// The window of one of several readers that take turns: the pages before it are in the cache
    /// (Linux: `try_context_readahead`).
    fn window_from_history(
        &self,
        file: FileId,
        index: u64,
        wanted: u64,
        max: u32,
    ) -> Option<Window> {
        let before = (index.saturating_sub(max.into())..index).rev();
        let mut seen = before
            .take_while(|page| self.is_cached(file, *page))
            .count() as u64;
        if seen <= wanted {
            return None;
        }
        if seen >= index {
            // From the file's beginning on: it is likely that it goes on to the end.
            seen *= 2;
        }
        Some(Window {
            start: index,
            size: (seen + wanted).min(max.into()) as u32,
            async_size: 1,
        })
    }

    /// A fault asks for page `index` of a file, which is not in the cache, in an area with these flags
    /// (Linux: `do_sync_mmap_readahead`).
    pub(crate) fn mmap_miss(&self, file: FileId, index: u64, flags: VmFlags) {
        if flags.contains(VmFlags::RAND_READ) || !self.file_has_store(file) {
            return;
        }
        let ra = &self.space(file).ra;
        if flags.contains(VmFlags::SEQ_READ) {
            self.ondemand_readahead(file, ra, RA_PAGES, index, RA_PAGES.into());
            return;
        }
        let misses = ra.mmap_miss.load(Relaxed);
        if misses < 10 * MMAP_LOTSAMISS {
            ra.mmap_miss.store(misses + 1, Relaxed);
        }
        if misses >= MMAP_LOTSAMISS {
            return;
        }
        let window = Window {
            start: index.saturating_sub(u64::from(RA_PAGES / 2)),
            size: RA_PAGES,
            async_size: RA_PAGES / 4,
        };
        window.store(ra);
        self.read_pages(file, window.start..window.end());
    }

    /// A fault has found page `index` of a file in the cache, in an area with these flags (Linux:
    /// `do_async_mmap_readahead`).
    pub(crate) fn mmap_hit(&self, file: FileId, index: u64, flags: VmFlags) {
        let ra = &self.space(file).ra;
        if flags.contains(VmFlags::RAND_READ) {
            return;
        }
        let misses = ra.mmap_miss.load(Relaxed);
        ra.mmap_miss.store(misses.saturating_sub(1), Relaxed);
        if marker(ra) == Some(index) {
            self.ondemand_readahead(file, ra, RA_PAGES, index, RA_PAGES.into());
        }
    }

    /// The page of a file at which a fault reads ahead, so that it has to have one of its own.
    pub(crate) fn mmap_marker(&self, file: FileId) -> Option<u64> {
        marker(&self.space(file).ra)
    }

    /// A program will need so many pages of a file from page `first` on (Linux:
    /// `force_page_cache_readahead`). What cannot be read is left to those who ask for it.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_willneed(&self, file: FileId, first: u64, pages: u64) {
        let end = first.saturating_add(pages.min(IO_PAGES));
        self.read_pages(file, first..end);
    }

    /// A program does not need pages of a file any more: those in `written` that are dirty are written
    /// to the store, and those in `dropped` leave the cache, unless they could not be written, are
    /// mapped, or are used otherwise (Linux mm/fadvise.c: `POSIX_FADV_DONTNEED`). Nothing happens to a
    /// file without a store. As for [`Mm::filemap_write`], no address space may be in the middle of a
    /// change.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn file_dontneed(&'static self, file: FileId, written: Range<u64>, dropped: Range<u64>) {
        if self.file_has_store(file) {
            // What fails is noted in the file.
            let _ = self.filemap_write(file, written);
            self.invalidate_pages(file, dropped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_begin_small_and_double() {
        assert_eq!(
            [1, 2, 8, 9, 32, 1000].map(|wanted| first_size(wanted, 32)),
            [4, 4, 16, 32, 32, 32]
        );
        let mut sizes = std::vec![first_size(1, 32)];
        for _ in 0..4 {
            sizes.push(next_size(*sizes.last().unwrap(), 32));
        }
        assert_eq!(sizes, [4, 8, 16, 32, 32]);
        assert_eq!([0, 1, 2].map(|size| next_size(size, 32)), [0, 4, 4]);
        assert_eq!(next_size(64, 64), 64);
    }
}
