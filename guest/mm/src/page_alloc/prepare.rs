//! What a block needs before its owner gets it (Linux: `prep_new_page`).

use super::AllocError;
use crate::{Mm, Order, Pfn, machine::Machine, memmap::MemMap, window::Window};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    PAGE_SIZE,
    gfp::Gfp,
    page::{ORDER_SHIFT, PAGEBLOCK_PAGES, PageFlags},
};

/// Fills a frame with zeros, through a window if it is not in the direct map.
pub(crate) fn zero_frame<M: Machine>(machine: &M, pfn: u32) -> Result<(), AllocError> {
    let window = Window::open(machine, pfn)?;
    // SAFETY: the window maps one whole frame, and the frame is allocated and not yet its
    // owner's, so nobody else refers to it.
    unsafe { window.base().write_bytes(0, PAGE_SIZE as usize) }
    Ok(())
}

impl<M: Machine + 'static> Mm<M> {
    /// Does to a newly allocated block what the flags say. On an error the block is still the
    /// caller's.
    pub(super) fn prepare(&self, pfn: u32, gfp: Gfp, order: Order) -> Result<(), AllocError> {
        if gfp.contains(Gfp::ZERO) {
            for frame in pfn..pfn + order.pages() {
                zero_frame(&self.machine, frame)?;
            }
        }
        if gfp.contains(Gfp::COMP) && order > Order::ZERO {
            make_compound(&self.map, pfn, order);
        }
        Ok(())
    }

    /// The head of the compound page that a frame is in, in constant time; the frame itself if it
    /// is not in one. The frame must be part of an allocated block.
    #[inline]
    pub fn compound_head(&self, pfn: Pfn) -> Pfn {
        let Some(page) = self.map.get(pfn.0) else {
            return pfn;
        };
        let word = page.flags.load(Relaxed);
        if word & PageFlags::TAIL.bits() == 0 {
            return pfn;
        }
        Pfn(pfn.0 & !(pagelab_abi::page::block_pages(word) - 1))
    }
}

/// Marks head and tails, so that each tail leads to the head (Linux: `prep_compound_page`).
fn make_compound(map: &MemMap, pfn: u32, order: Order) {
    // All descriptors are about to be valid.
    for block in (pfn..pfn + order.pages()).step_by(PAGEBLOCK_PAGES as usize) {
        map.touch(block);
    }
    let tail = PageFlags::TAIL.bits() | order.get() << ORDER_SHIFT;
    for frame in pfn + 1..pfn + order.pages() {
        map.page(frame).flags.store(tail, Relaxed);
    }
    let head = &map.page(pfn).flags;
    head.store(head.load(Relaxed) | PageFlags::HEAD.bits(), Relaxed);
}

/// Undoes [`make_compound`] in all but the head.
pub(super) fn clear_tails(map: &MemMap, pfn: u32, order: Order) {
    for frame in pfn + 1..pfn + order.pages() {
        map.page(frame).flags.store(0, Relaxed);
    }
}
