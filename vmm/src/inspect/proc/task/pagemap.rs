//! /proc/PID/pagemap (Linux Documentation/admin-guide/mm/pagemap.rst), a line for each page.

use std::fmt;

use pagelab_abi::{PAGE_SIZE, swap::SWP_HWPOISON};

use super::Processes;
use crate::inspect::{decode::UserPage, users::Space};

/// The page is mapped once.
const EXCLUSIVE: u64 = 1 << 56;
/// It is a file's, or shared memory's.
const FILE: u64 = 1 << 61;
/// It is in swap.
const SWAPPED: u64 = 1 << 62;
/// It is there.
const PRESENT: u64 = 1 << 63;

impl Processes<'_> {
    /// Address, the word that Linux has for it, and the word's parts for people.
    pub(super) fn pagemap(&self, out: &mut impl fmt::Write, space: &Space) -> fmt::Result {
        for page in &space.pages.pages {
            if let Some((kind, slot)) = page.swap_slot() {
                let word = swapped_word(kind, slot);
                let va = page.va();
                writeln!(out, "{va:016x} {word:016x} swap {kind} slot {slot:x}")?;
                continue;
            }
            if let Some(pfn) = page.hwpoison() {
                let word = swapped_word(SWP_HWPOISON, pfn);
                writeln!(out, "{:016x} {word:016x} hwpoison pfn {pfn:x}", page.va())?;
                continue;
            }
            if !page.holds_page() {
                continue;
            }
            for (frame, pfn) in (0..).zip(page.pfns()) {
                self.line(out, page, page.va() + frame * PAGE_SIZE, pfn)?;
            }
        }
        Ok(())
    }

    fn line(&self, out: &mut impl fmt::Write, page: &UserPage, va: u64, pfn: u32) -> fmt::Result {
        let word = self.word(page, pfn);
        let letter = |bit, letter| if word & bit != 0 { letter } else { '-' };
        writeln!(
            out,
            "{va:016x} {word:016x} pfn {pfn:x} {}{}{}{}{}{}",
            letter(PRESENT, 'p'),
            letter(FILE, 'f'),
            letter(EXCLUSIVE, 'x'),
            if page.accessed() { 'a' } else { '-' },
            if page.dirty() { 'd' } else { '-' },
            if page.frames() > 1 { " 2M" } else { "" },
        )
    }

    fn word(&self, page: &UserPage, pfn: u32) -> u64 {
        let holders = self.users.frames.get(&pfn).copied().unwrap_or_default();
        let mapping = self.snapshot.descriptor(pfn).map_or(0, |page| page.mapping);
        let is_file = self.users.file(mapping).is_some();
        u64::from(pfn)
            | if page.is_present() { PRESENT } else { 0 }
            | if is_file { FILE } else { 0 }
            | if holders.entries == 1 { EXCLUSIVE } else { 0 }
    }
}

/// The word of a page in swap: the device in bits 0 to 4, the slot in bits 5 to 54.
const fn swapped_word(kind: u64, slot: u64) -> u64 {
    SWAPPED | kind & 0x1f | slot << 5 & ((1 << 55) - 1)
}
