//! Missing pages of a file are read from its store, several at once
//! (Linux mm/readahead.c: `page_cache_ra_unbounded`, `read_pages`).

use super::{FILE_GFP, FileId, node::Nodes, store::Backed};
use crate::{Mm, Order, Pfn, machine::Machine};
use core::ops::Range;
use pagelab_abi::{PAGE_SIZE, event::EventKind, gfp::Gfp, page_cache::MAX_PAGES, vmstat::VmEvent};

/// Most pages that a store is asked for at once, 128 KiB.
pub const READ_BATCH: usize = 32;

/// Where pages come from that nobody has asked for: if there is none to be had easily, it can wait
/// (Linux: `readahead_gfp_mask`).
const READAHEAD_GFP: Gfp = FILE_GFP.union(Gfp::NORETRY).union(Gfp::NOWARN);

/// Frames that have no place yet.
struct Frames {
    pfns: [Pfn; READ_BATCH],
    count: usize,
}

impl<M: Machine + 'static> Mm<M> {
    /// Whether a page is in the cache.
    pub(super) fn is_cached(&self, file: FileId, index: u64) -> bool {
        self.tree(file).find(index).is_some()
    }

    /// Reads the pages of a range, up to the file's end, that are not in the cache. It ends in silence
    /// at the first one for which there is no memory, or that the store does not give. Nothing happens
    /// to a file without a store.
    pub(super) fn read_pages(&self, file: FileId, pages: Range<u64>) {
        let Some(store) = self.store(file) else {
            return;
        };
        let size = self.file_size(file).div_ceil(PAGE_SIZE);
        let end = pages.end.min(size).min(MAX_PAGES);
        let mut next = pages.start;
        while let Some(first) = (next..end).find(|index| !self.is_cached(file, *index)) {
            let most = (end - first).min(READ_BATCH as u64);
            let missing = (first..first + most).take_while(|index| !self.is_cached(file, *index));
            let wanted = missing.count();
            let frames = self.frames_for(wanted);
            let read = self.read_into(file, &store, first, &frames);
            if read < wanted {
                return;
            }
            next = first + read as u64;
        }
    }

    /// Frames for so many pages, or as many as there are.
    fn frames_for(&self, wanted: usize) -> Frames {
        let mut frames = Frames {
            pfns: [Pfn(0); READ_BATCH],
            count: 0,
        };
        for place in &mut frames.pfns[..wanted] {
            let Ok(pfn) = self.alloc_charged(READAHEAD_GFP) else {
                break;
            };
            *place = pfn;
            frames.count += 1;
        }
        frames
    }

    /// Reads pages from `first` on into frames, and puts those into the cache that could be read.
    /// Says how many that are; the other frames are freed.
    fn read_into(&self, file: FileId, store: &Backed<M>, first: u64, frames: &Frames) -> usize {
        let frames = &frames.pfns[..frames.count];
        let read = if frames.is_empty() {
            0
        } else {
            store.ops.readahead(self, store.host, first, frames)
        };
        let (good, bad) = frames.split_at(read.min(frames.len()));
        let mut added = 0;
        for (index, &pfn) in (first..).zip(good) {
            added += usize::from(self.add_read(file, index, pfn));
        }
        for &pfn in bad {
            self.free_pages(pfn, Order::ZERO);
        }
        // Not before all frames have a place: anything may happen at an event.
        for (index, pfn) in (first..).zip(good) {
            self.count_event(VmEvent::Pgpgin, PAGE_SIZE >> 10);
            let what = store.host << 32 | index;
            self.machine.event(EventKind::FileRead, what, pfn.0.into());
        }
        added
    }

    /// Puts a page that has been read into the cache. False, and it is freed, if there is no memory for
    /// that, or another one is there.
    fn add_read(&self, file: FileId, index: u64, pfn: Pfn) -> bool {
        let mut nodes = Nodes::new();
        let added = self.add_allocated(file, index, pfn, READAHEAD_GFP, &mut nodes);
        self.free_nodes(nodes);
        match added {
            Ok(there) if there == pfn => {
                self.lru_add(pfn, false);
                self.put_page(pfn);
                true
            }
            other => {
                if let Ok(there) = other {
                    self.put_page(there);
                }
                self.free_pages(pfn, Order::ZERO);
                false
            }
        }
    }
}
