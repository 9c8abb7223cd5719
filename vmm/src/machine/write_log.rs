//! Which pages of the guest's memory this process itself stores to: devices, the root page, bits that
//! are turned over. KVM's dirty log does not know of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use pagelab_abi::PAGE_SHIFT;
use vm_memory::bitmap::{Bitmap, NewBitmap, RefSlice, WithBitmapSlice};

/// The log of one region. Costs a load and a branch for each store until it is started.
#[derive(Debug, Default)]
pub struct WriteLog {
    started: AtomicBool,
    pages: Mutex<Pages>,
}

/// Pages by their number in the region: each once, in the order in which they were first stored to.
#[derive(Debug, Default)]
struct Pages {
    is_in: Vec<u64>,
    order: Vec<u64>,
}

impl Pages {
    fn insert(&mut self, page: u64) {
        let (word, bit) = ((page / 64) as usize, 1 << (page % 64));
        if self.is_in.len() <= word {
            self.is_in.resize(word + 1, 0);
        }
        if self.is_in[word] & bit == 0 {
            self.is_in[word] |= bit;
            self.order.push(page);
        }
    }
}

impl WriteLog {
    /// Forgets all, and notes what is stored from now on.
    pub(super) fn start(&self) {
        self.take();
        self.started.store(true, Ordering::Relaxed);
    }

    /// The pages stored to since the start, or since this was last asked.
    pub(super) fn take(&self) -> Vec<u64> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let order = std::mem::take(&mut pages.order);
        for page in &order {
            pages.is_in[(page / 64) as usize] = 0;
        }
        order
    }
}

impl<'a> WithBitmapSlice<'a> for WriteLog {
    type S = RefSlice<'a, Self>;
}

impl Bitmap for WriteLog {
    #[inline]
    fn mark_dirty(&self, offset: usize, len: usize) {
        if len == 0 || !self.started.load(Ordering::Relaxed) {
            return;
        }
        let last = offset.saturating_add(len - 1) as u64 >> PAGE_SHIFT;
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        for page in offset as u64 >> PAGE_SHIFT..=last {
            pages.insert(page);
        }
    }

    fn dirty_at(&self, offset: usize) -> bool {
        let page = offset as u64 >> PAGE_SHIFT;
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let word = pages.is_in.get((page / 64) as usize);
        word.is_some_and(|word| word >> (page % 64) & 1 != 0)
    }

    fn slice_at(&self, offset: usize) -> RefSlice<'_, Self> {
        RefSlice::new(self, offset)
    }
}

impl NewBitmap for WriteLog {
    fn with_len(_: usize) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

    #[test]
    fn each_page_is_noted_once_and_only_after_the_start() {
        let ram = GuestMemoryMmap::<WriteLog>::from_ranges(&[
            (GuestAddress(0), 0x4000),
            (GuestAddress(0x10_0000), 0x10_0000),
        ])
        .unwrap();
        let region = ram.find_region(GuestAddress(0x10_0000)).unwrap();
        let log = vm_memory::MmapRegion::bitmap(region);
        ram.write_obj(1_u8, GuestAddress(0x10_0000)).unwrap();
        assert!(log.take().is_empty());
        log.start();
        ram.write_slice(&[1; 0x1800], GuestAddress(0x10_0ff0))
            .unwrap();
        ram.store(7_u32, GuestAddress(0x10_1000), Ordering::Release)
            .unwrap();
        ram.write_obj(1_u8, GuestAddress(0x1f_ffff)).unwrap();
        assert!(log.dirty_at(0xff_000) && !log.dirty_at(0x5000));
        assert_eq!(log.take(), [0, 1, 2, 0xff]);
        assert!(log.take().is_empty() && !log.dirty_at(0x1000));
        let mut bytes = [0; 8];
        ram.read_slice(&mut bytes, GuestAddress(0x10_0ff0)).unwrap();
        assert!(log.take().is_empty(), "reading is no storing");
    }
}
