//! One entry of a page table.

use super::NODE_ENTRIES;
use crate::{Pfn, swap::SwapEntry};
use pagelab_abi::{
    PAGE_SHIFT,
    pte::{
        PTE_ACCESSED, PTE_ADDRESS, PTE_DIRTY, PTE_LARGE, PTE_NX, PTE_PRESENT, PTE_PROTNONE,
        PTE_SPECIAL, PTE_USER, PTE_WRITE,
    },
    swap::hwpoison_of_pte,
    vma::VmFlags,
};

/// The value of a last-level entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pte(pub(crate) u64);

impl Pte {
    /// A fresh entry for a page of an area: used, not written, and read-only even in a writable
    /// area, unless that is shared.
    #[inline(always)]
    pub(crate) const fn new(pfn: Pfn, flags: VmFlags) -> Self {
        Self(pfn.phys() | PTE_ACCESSED | rights(flags))
    }

    /// Whether there is anything.
    #[inline(always)]
    pub(crate) const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether the CPU has used it.
    #[inline(always)]
    pub(crate) const fn is_used(self) -> bool {
        self.0 & PTE_ACCESSED != 0
    }

    /// Whether it holds a page: present, or kept from everybody. If not, and it is not empty, it
    /// leads to swap or names a broken frame.
    #[inline(always)]
    pub(crate) const fn holds_page(self) -> bool {
        self.0 & (PTE_PRESENT | PTE_PROTNONE) != 0
    }

    /// The slot that it leads to, if it does (Linux: `pte_to_swp_entry`).
    #[inline]
    pub(crate) const fn swap_entry(self) -> Option<SwapEntry> {
        SwapEntry::of_pte(self.0)
    }

    /// Whether it names a broken frame: the page is lost (Linux: `is_hwpoison_entry`).
    #[inline]
    pub(crate) const fn is_hwpoison(self) -> bool {
        hwpoison_of_pte(self.0).is_some()
    }

    /// Whether stores are allowed.
    #[inline(always)]
    pub(crate) const fn is_writable(self) -> bool {
        self.0 & PTE_WRITE != 0
    }

    /// Whether it is the zero page's.
    #[inline(always)]
    pub(crate) const fn is_special(self) -> bool {
        self.0 & PTE_SPECIAL != 0
    }

    /// The frame.
    #[inline(always)]
    pub(crate) const fn pfn(self) -> Pfn {
        Pfn::from_phys(self.0 & PTE_ADDRESS)
    }

    /// Written, and stores are allowed.
    #[inline(always)]
    #[must_use]
    pub(crate) const fn writable(self) -> Self {
        Self(self.0 | PTE_WRITE | PTE_DIRTY)
    }

    /// Stores are not allowed.
    #[inline(always)]
    #[must_use]
    pub(crate) const fn read_only(self) -> Self {
        Self(self.0 & !PTE_WRITE)
    }

    /// The 512 entries that say the same as a large one.
    pub(crate) fn small(self) -> impl Iterator<Item = Self> {
        let first = self.0 & !PTE_LARGE;
        (0..NODE_ENTRIES as u64).map(move |page| Self(first + (page << PAGE_SHIFT)))
    }

    /// Not used since.
    #[inline(always)]
    #[must_use]
    pub(crate) const fn unused(self) -> Self {
        Self(self.0 & !PTE_ACCESSED)
    }

    /// The zero page's.
    #[inline(always)]
    #[must_use]
    pub(crate) const fn special(self) -> Self {
        Self(self.0 | PTE_SPECIAL)
    }

    /// The same page in an area of these flags. A page that could be written stays so only if the
    /// area is writable; none becomes writable that was not, but in a shared area.
    #[must_use]
    pub(crate) const fn with_rights(self, flags: VmFlags) -> Self {
        const KEPT: u64 = PTE_ADDRESS | PTE_ACCESSED | PTE_DIRTY | PTE_SPECIAL | PTE_LARGE;
        let mut rights = rights(flags);
        if self.is_writable() && flags.contains(VmFlags::WRITE) {
            rights |= PTE_WRITE;
        }
        Self((self.0 & KEPT) | rights)
    }
}

/// The rights of a fresh entry in an area (Linux arch/x86/mm/pgprot.c: `protection_map`).
#[inline(always)]
const fn rights(flags: VmFlags) -> u64 {
    let any = VmFlags::READ.union(VmFlags::WRITE).union(VmFlags::EXEC);
    if !flags.intersects(any) {
        return PTE_PROTNONE | PTE_NX;
    }
    let mut bits = PTE_PRESENT | PTE_USER;
    if !flags.contains(VmFlags::EXEC) {
        bits |= PTE_NX;
    }
    if flags.contains(VmFlags::WRITE.union(VmFlags::SHARED)) {
        bits |= PTE_WRITE;
    }
    bits
}
