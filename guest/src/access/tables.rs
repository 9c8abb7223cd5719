//! The tables: at each level, the index of an entry spells its bits.
//!
//! ```text
//! bit of the index   0 1 2  3  4        5  6 7 8
//! of the entry       P W U NX PS reserved  A D which reserved bit
//! ```
//!
//! All entries of a level refer to the same table of the next level. The last level, and large
//! pages wherever they are, lead to one target page: [`Tables::address`] gives large pages the
//! offset that hits it. The top level has 256 entries for this; its first one leads to the code and
//! the stack of ring 3, and its upper half to a copy of the kernel's own tables without NX and
//! global bits, so that the kernel runs on with EFER.NXE off.

use super::Cpu;
use crate::{arch::layout::PAGE_SIZE, memory::Memory};
use core::cell::Cell;
use pagelab_abi::{gfp::Gfp, page::NONE};
use pagelab_mm::{Order, Pfn};
use x86_64::{registers::control::Cr3, structures::paging::PageTableFlags as Flags};

/// Entries of a table below the top.
pub(super) const ENTRIES: u32 = 512;

/// Entries of the top-level table that an address can use.
pub(super) const TOP_ENTRIES: u32 = 256;

/// The first of them that is not for ring 3's own pages.
pub(super) const FIRST_SLOT: u32 = 1;

/// An index that allows everything: P, W, U, A, D.
pub(super) const PERMISSIVE: u32 = 0b1100_0111;

/// Virtual address of the code of ring 3.
pub(super) const USER_CODE: u64 = 0x1000;

/// Virtual address of the end of its stack.
pub(super) const USER_STACK_END: u64 = 0x3000;

/// Opcode of RET: what a fetch from the target finds.
const RET: u8 = 0xc3;

const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const USER_TABLE: Flags = Flags::PRESENT
    .union(Flags::WRITABLE)
    .union(Flags::USER_ACCESSIBLE);

/// Bits of an index.
mod index {
    pub(super) const PRESENT: u32 = 1 << 0;
    pub(super) const WRITABLE: u32 = 1 << 1;
    pub(super) const USER: u32 = 1 << 2;
    pub(super) const NO_EXECUTE: u32 = 1 << 3;
    pub(super) const LARGE: u32 = 1 << 4;
    pub(super) const RESERVED: u32 = 1 << 5;
    pub(super) const ACCESSED: u32 = 1 << 6;
    pub(super) const DIRTY: u32 = 1 << 7;
    pub(super) const OTHER_RESERVED: u32 = 1 << 8;
}

/// The tables and all pages they need.
pub(super) struct Tables {
    root: Pfn,
    target: Pfn,
    /// All pages, linked through their descriptors.
    pages: Pages,
}

impl Tables {
    /// Builds everything. None if there is no memory; nothing is left then.
    pub(super) fn build(mm: &Memory, cpu: Cpu) -> Option<Self> {
        let pages = Pages::new();
        let built = Self::build_from(mm, cpu, &pages);
        if built.is_none() {
            pages.free(mm);
        }
        let (root, target) = built?;
        Some(Self {
            root,
            target,
            pages,
        })
    }

    fn build_from(mm: &Memory, cpu: Cpu, pages: &Pages) -> Option<(Pfn, Pfn)> {
        let target = pages.take(mm)?;
        fill(mm, target, |_| u64::from_ne_bytes([RET; 8]));
        let mut below = target;
        for level in 1..=4 {
            let table = pages.take(mm)?;
            let entries = if level == 4 { TOP_ENTRIES } else { ENTRIES };
            fill(mm, table, |index| {
                if index < entries {
                    entry(level, index, below.phys(), target.phys(), cpu)
                } else {
                    0
                }
            });
            below = table;
        }
        let root = below;
        let (kernel_root, _) = Cr3::read();
        let kernel_root = Pfn::from_phys(kernel_root.start_address().as_u64());
        for slot in TOP_ENTRIES..ENTRIES {
            let copied = copy_entry(mm, pages, read(mm, kernel_root, slot), 4)?;
            write(mm, root, slot, copied);
        }
        write(mm, root, 0, user_pages(mm, pages)?);
        Some((root, target))
    }

    /// For CR3.
    pub(super) fn root(&self) -> u64 {
        self.root.phys()
    }

    /// The address that goes through these entries, top level first, and ends at the target page.
    pub(super) fn address(&self, indices: [u32; 4]) -> u64 {
        let [l4, l3, l2, l1] = indices.map(u64::from);
        let target = self.target.phys();
        let upper = l4 << 39 | l3 << 30;
        if indices[1] & index::LARGE != 0 {
            upper | target & ((1 << 30) - 1)
        } else if indices[2] & index::LARGE != 0 {
            upper | l2 << 21 | target & ((1 << 21) - 1)
        } else {
            upper | l2 << 21 | l1 << 12
        }
    }

    /// Gives all pages back.
    pub(super) fn free(self, mm: &Memory) {
        self.pages.free(mm);
    }
}

/// The entry whose bits an index spells.
fn entry(level: u32, index: u32, below: u64, target: u64, cpu: Cpu) -> u64 {
    let has = |bit| index & bit != 0;
    let mut flags = Flags::empty();
    flags.set(Flags::PRESENT, has(index::PRESENT));
    flags.set(Flags::WRITABLE, has(index::WRITABLE));
    flags.set(Flags::USER_ACCESSIBLE, has(index::USER));
    flags.set(Flags::NO_EXECUTE, has(index::NO_EXECUTE));
    flags.set(Flags::ACCESSED, has(index::ACCESSED));
    flags.set(Flags::DIRTY, has(index::DIRTY));
    // At the last level this is the PAT bit, which says nothing about rights.
    flags.set(Flags::HUGE_PAGE, has(index::LARGE));
    let large = has(index::LARGE) && (level == 2 || level == 3);
    let address = match level {
        3 if large => target & !((1 << 30) - 1),
        2 if large => target & !((1 << 21) - 1),
        _ => below,
    };
    let mut reserved = 0;
    if has(index::RESERVED) {
        if large && has(index::OTHER_RESERVED) {
            // The lowest address bit above PAT: inside the large page.
            reserved = 1 << 13;
        } else if cpu.physical_bits < 52 {
            reserved = 1 << 51;
        }
    }
    address | reserved | flags.bits()
}

/// The entry for ring 3's code and stack, at the addresses above.
fn user_pages(mm: &Memory, pages: &Pages) -> Option<u64> {
    let code = pages.take(mm)?;
    let stack = pages.take(mm)?;
    super::attempt::write_user_code(mm.pfn_to_ptr(code)?);
    let mut table = pages.take(mm)?;
    write(mm, table, 1, code.phys() | USER_TABLE.bits());
    write(mm, table, 2, stack.phys() | USER_TABLE.bits());
    for _ in 0..2 {
        let upper = pages.take(mm)?;
        write(mm, upper, 0, table.phys() | USER_TABLE.bits());
        table = upper;
    }
    Some(table.phys() | USER_TABLE.bits())
}

/// A copy of what an entry of the kernel's tables leads to, without NX and global bits.
fn copy_entry(mm: &Memory, pages: &Pages, entry: u64, level: u32) -> Option<u64> {
    let dropped = Flags::NO_EXECUTE.union(Flags::GLOBAL).bits();
    let is_leaf = level == 1 || entry & Flags::HUGE_PAGE.bits() != 0;
    if entry & Flags::PRESENT.bits() == 0 {
        return Some(0);
    }
    if is_leaf {
        return Some(entry & !dropped);
    }
    let from = Pfn::from_phys(entry & ADDRESS);
    let to = pages.take(mm)?;
    for index in 0..ENTRIES {
        let entry = read(mm, from, index);
        if entry != 0 {
            write(mm, to, index, copy_entry(mm, pages, entry, level - 1)?);
        }
    }
    Some(to.phys() | entry & !ADDRESS & !dropped)
}

fn fill(mm: &Memory, page: Pfn, word: impl Fn(u32) -> u64) {
    for index in 0..ENTRIES {
        write(mm, page, index, word(index));
    }
}

fn slot(mm: &Memory, table: Pfn, index: u32) -> *mut u64 {
    let table = mm
        .pfn_to_ptr(table)
        .expect("page tables are in the direct map");
    table.cast::<u64>().as_ptr().wrapping_add(index as usize)
}

fn read(mm: &Memory, table: Pfn, index: u32) -> u64 {
    debug_assert!(index < ENTRIES);
    // SAFETY: a word of a page in the direct map; the CPU changes only accessed and dirty bits.
    unsafe { slot(mm, table, index).read_volatile() }
}

fn write(mm: &Memory, table: Pfn, index: u32, value: u64) {
    debug_assert!(index < ENTRIES);
    // SAFETY: a word of a page of these tables, which no CPU uses yet.
    unsafe { slot(mm, table, index).write_volatile(value) }
}

/// Pages that are given back together.
struct Pages {
    top: Cell<u32>,
}

impl Pages {
    const fn new() -> Self {
        Self {
            top: Cell::new(NONE),
        }
    }

    /// A new page, zeroed and in the direct map.
    fn take(&self, mm: &Memory) -> Option<Pfn> {
        let pfn = mm
            .alloc_pages(Gfp::KERNEL.union(Gfp::ZERO), Order::ZERO)
            .ok()?;
        let page = mm.page(pfn).expect("an allocated page has a descriptor");
        page.private
            .store(self.top.get(), core::sync::atomic::Ordering::Relaxed);
        self.top.set(pfn.0);
        Some(pfn)
    }

    fn free(&self, mm: &Memory) {
        while self.top.get() != NONE {
            let pfn = Pfn(self.top.get());
            let page = mm.page(pfn).expect("an allocated page has a descriptor");
            self.top
                .set(page.private.swap(0, core::sync::atomic::Ordering::Relaxed));
            mm.free_pages(pfn, Order::ZERO);
        }
    }
}

const _: () = assert!(PAGE_SIZE == ENTRIES as u64 * 8);

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: Cpu = Cpu {
        physical_bits: 46,
        gib_pages: true,
    };
    const TARGET: u64 = 0x4567_8000;

    fn tables() -> Tables {
        Tables {
            root: Pfn(1),
            target: Pfn::from_phys(TARGET),
            pages: Pages::new(),
        }
    }

    #[test]
    fn an_index_spells_the_bits_of_its_entry() {
        let low = |index| entry(1, index, 0x7000, TARGET, CPU);
        assert_eq!(low(PERMISSIVE), 0x7000 | 0x67);
        assert_eq!(low(0), 0x7000);
        assert_eq!(low(index::NO_EXECUTE), 0x7000 | 1 << 63);
        assert_eq!(low(index::RESERVED), 0x7000 | 1 << 51);
        let mut all: Vec<u64> = (0..256).map(low).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 256);
    }

    #[test]
    fn large_pages_hold_the_target_and_the_address_hits_it() {
        let tables = tables();
        for (level, position, size) in [(3, 1, 1 << 30), (2, 2, 1 << 21)] {
            let index = PERMISSIVE | index::LARGE;
            let base = entry(level, index, 0x7000, TARGET, CPU) & ADDRESS;
            let mut indices = [PERMISSIVE; 4];
            indices[position] = index;
            let address = tables.address(indices);
            assert_eq!(base + address % size, TARGET);
            assert_eq!((address >> (12 + 9 * (level - 1))) % 512, index.into());
        }
        // At the top and at the last level the bit is no page size.
        assert_eq!(entry(4, index::LARGE, 0x7000, TARGET, CPU), 0x7000 | 0x80);
        assert_eq!(entry(1, index::LARGE, 0x7000, TARGET, CPU), 0x7000 | 0x80);
    }

    #[test]
    fn a_cpu_with_52_address_bits_has_none_to_reserve() {
        let cpu = Cpu {
            physical_bits: 52,
            ..CPU
        };
        assert_eq!(entry(1, index::RESERVED, 0x7000, TARGET, cpu), 0x7000);
        let large = index::LARGE | index::RESERVED | index::OTHER_RESERVED;
        assert_ne!(entry(2, large, 0, TARGET, cpu) & 1 << 13, 0);
    }
}
