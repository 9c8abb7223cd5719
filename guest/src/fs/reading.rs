//! How an open file is read: what was read ahead for it, and what its program has said about that.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use linux_raw_sys::general as linux;
use pagelab_abi::page_cache::FileRa;
use pagelab_mm::page_cache::{RA_PAGES, Reader};

/// One for each open file (Linux: `f_ra`, and of `f_mode` what belongs to it).
pub(super) struct Reading {
    ra: FileRa,
    ra_pages: AtomicU32,
    /// Bits of [`RANDOM`] and [`NOREUSE`].
    mode: AtomicU32,
}

/// Only what is asked for is read (Linux: `FMODE_RANDOM`).
const RANDOM: u32 = 1 << 0;

/// What is read counts as not used (Linux: `FMODE_NOREUSE`).
const NOREUSE: u32 = 1 << 1;

impl Reading {
    /// As a file is read of which nothing is known.
    pub(super) const fn new() -> Self {
        Self {
            ra: FileRa::new(),
            ra_pages: AtomicU32::new(RA_PAGES),
            mode: AtomicU32::new(0),
        }
    }

    /// For the page cache.
    pub(super) fn reader(&self) -> Reader<'_> {
        let mode = self.mode.load(Relaxed);
        Reader {
            ra: &self.ra,
            ra_pages: self.ra_pages.load(Relaxed),
            random: mode & RANDOM != 0,
            noreuse: mode & NOREUSE != 0,
        }
    }

    /// Takes advice about the file as a whole (Linux mm/fadvise.c: `generic_fadvise`). False if it is
    /// none of that kind.
    pub(super) fn advise(&self, advice: u32) -> bool {
        let (ra_pages, clear, set) = match advice {
            linux::POSIX_FADV_NORMAL => (RA_PAGES, RANDOM | NOREUSE, 0),
            linux::POSIX_FADV_SEQUENTIAL => (2 * RA_PAGES, RANDOM, 0),
            linux::POSIX_FADV_RANDOM => (self.ra_pages.load(Relaxed), 0, RANDOM),
            linux::POSIX_FADV_NOREUSE => (self.ra_pages.load(Relaxed), 0, NOREUSE),
            _ => return false,
        };
        self.ra_pages.store(ra_pages, Relaxed);
        let mode = self.mode.load(Relaxed);
        self.mode.store(mode & !clear | set, Relaxed);
        true
    }
}
