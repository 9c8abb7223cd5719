//! /proc/PID/pagemap (Linux Documentation/admin-guide/mm/pagemap.rst).

use super::UserMm;
use crate::{machine::Machine, pgtable::Pte, swap::SwapEntry};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    PAGE_SHIFT,
    page::MAPPING_ANON,
    pte::{PTE_PRESENT, USER_END},
    swap::{SWP_HWPOISON, hwpoison_of_pte},
};

/// The page is mapped once.
const EXCLUSIVE: u64 = 1 << 56;
/// It is a file's, or shared memory's.
const FILE: u64 = 1 << 61;
/// It is on the swap device: device in bits 0 to 4, slot in 5 to 54.
const SWAP: u64 = 1 << 62;
/// It is there: frame in bits 0 to 54.
const PRESENT: u64 = 1 << 63;

/// Device number of a page that is lost with its frame (Linux: the type of `SWP_HWPOISON`), whose slot is
/// the frame.
const HWPOISON_DEVICE: u64 = SWP_HWPOISON;

/// First bit of the slot.
const SLOT_SHIFT: u32 = 5;

impl<M: Machine + 'static> UserMm<M> {
    /// The word of a page, by the number of its address; 0 if nothing is there.
    pub fn pagemap_word(&self, page: u64) -> u64 {
        if page >= USER_END >> PAGE_SHIFT {
            return 0;
        }
        let pte = self.tables().get(page << PAGE_SHIFT);
        if pte.is_none() {
            return 0;
        }
        if let Some(entry) = SwapEntry::of_pte(pte.0) {
            return entry.slot() << SLOT_SHIFT | SWAP;
        }
        if let Some(pfn) = hwpoison_of_pte(pte.0) {
            return pfn << SLOT_SHIFT | HWPOISON_DEVICE | SWAP;
        }
        self.present_word(pte)
    }

    fn present_word(&self, pte: Pte) -> u64 {
        let pfn = pte.pfn();
        let page = self.mm.map.page(pfn.0);
        let is_anonymous = pte.is_special() || page.mapping.load(Relaxed) & MAPPING_ANON != 0;
        let present = if pte.0 & PTE_PRESENT != 0 { PRESENT } else { 0 };
        let file = if is_anonymous { 0 } else { FILE };
        let exclusive = if !pte.is_special() && page.mapcount.load(Relaxed) == 1 {
            EXCLUSIVE
        } else {
            0
        };
        u64::from(pfn.0) | present | file | exclusive
    }

    /// Pages that addresses of programs have numbers for.
    pub const fn pagemap_pages() -> u64 {
        USER_END >> PAGE_SHIFT
    }
}
