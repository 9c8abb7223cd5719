//! What the page tables of an address space hold.

use std::ops::ControlFlow;

use pagelab_abi::{
    PAGE_SHIFT,
    pte::{PTE_PROTNONE, PTE_SPECIAL},
    swap::{SWP_HWPOISON, hwpoison_of_pte, swap_of_pte},
};

use super::{Snapshot, UserMm};
use crate::inspect::{
    image::PhysMem,
    pagetable::{
        CpuModel, EntryVisitor, LeafEntry, PageTables, PagingState,
        bits::{A, CR0_TYPICAL, CR4_PAE, D, EFER_TYPICAL},
    },
};

/// First address of the upper half with 4 levels of tables.
const LOWER_HALF: u64 = 1 << 47;

/// An entry for a program's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserPage(LeafEntry);

/// A node of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageTable {
    /// Physical address.
    pub gpa: u64,
    /// 1 to 4.
    pub level: u8,
    /// First address that it is for.
    pub va: u64,
}

/// All entries and nodes for the lower half of an address space.
#[derive(Clone, Debug, Default)]
pub struct UserPages {
    /// Entries in ascending order.
    pub pages: Vec<UserPage>,
    /// Nodes, each before those below it.
    pub tables: Vec<PageTable>,
    /// Entries that lead to a table outside RAM: address, level, value.
    pub broken: Vec<(u64, u8, u64)>,
    /// Whether there were more than may be read.
    pub is_cut: bool,
}

impl UserPage {
    /// First address.
    pub fn va(&self) -> u64 {
        self.0.va
    }

    /// The entry.
    pub fn value(&self) -> u64 {
        self.0.value
    }

    /// The frame; none if no frame can have such a number.
    pub fn pfn(&self) -> Option<u32> {
        u32::try_from(self.0.gpa() >> PAGE_SHIFT).ok()
    }

    /// Its frames: one, or all that a large entry maps.
    pub fn pfns(&self) -> impl Iterator<Item = u32> {
        let first = self.pfn().into_iter();
        let frames = self.frames();
        first.flat_map(move |pfn| (0..frames).map(move |frame| pfn.saturating_add(frame as u32)))
    }

    /// Its number of frames.
    pub fn frames(&self) -> u64 {
        self.0.size.bytes() >> PAGE_SHIFT
    }

    /// Whether the CPU can use it.
    pub fn is_present(&self) -> bool {
        self.0.is_present()
    }

    /// Whether it holds a page: present, or kept from everybody.
    pub fn holds_page(&self) -> bool {
        self.is_present() || self.value() & PTE_PROTNONE != 0
    }

    /// Number of the device and of the slot that it leads to, if the page is in swap. The numbers are
    /// unchecked.
    pub fn swap_slot(&self) -> Option<(u64, u64)> {
        swap_of_pte(self.value()).filter(|(kind, _)| *kind != SWP_HWPOISON)
    }

    /// The broken frame that it names, if the page is lost.
    pub fn hwpoison(&self) -> Option<u64> {
        hwpoison_of_pte(self.value())
    }

    /// Whether the frame has no reference from it: the page of zeros.
    pub fn is_special(&self) -> bool {
        self.value() & PTE_SPECIAL != 0
    }

    /// What ring 3 may do through it, over all levels: user, write, execute.
    pub fn rights(&self) -> [bool; 3] {
        let rights = self.0.rights;
        let present = self.is_present();
        [
            rights.user && present,
            rights.write && present,
            rights.execute && present,
        ]
    }

    /// Whether it was used.
    pub fn accessed(&self) -> bool {
        self.value() & A != 0
    }

    /// Whether it was written through.
    pub fn dirty(&self) -> bool {
        self.value() & D != 0
    }
}

/// Gathers what a walk finds, up to a number of entries.
struct Gather<'a> {
    found: UserPages,
    pages_left: &'a mut u64,
}

impl EntryVisitor for Gather<'_> {
    fn table(&mut self, gpa: u64, level: u8, va: u64) {
        self.found.tables.push(PageTable { gpa, level, va });
    }

    fn leaf(&mut self, entry: &LeafEntry) -> ControlFlow<()> {
        let Some(left) = self.pages_left.checked_sub(1) else {
            return ControlFlow::Break(());
        };
        *self.pages_left = left;
        self.found.pages.push(UserPage(*entry));
        ControlFlow::Continue(())
    }

    fn broken(&mut self, va: u64, level: u8, value: u64) {
        self.found.broken.push((va, level, value));
    }
}

/// How much of all address spaces together is read, so that a hostile guest costs no more than a
/// large one.
#[derive(Clone, Copy, Debug)]
pub(in crate::inspect) struct Budget {
    tables: u64,
    pages: u64,
}

impl Budget {
    /// No honest guest has more tables than frames; the entries are those of 16 GiB.
    pub(in crate::inspect) fn new(snapshot: &Snapshot<'_>) -> Self {
        Self {
            tables: snapshot.pfns().len() as u64,
            pages: 1 << 22,
        }
    }
}

/// How the page tables at `pgd` are read: as those of the guest's 64-bit kernel, on the widest CPU.
fn state_of(pgd: u64) -> PagingState {
    PagingState {
        cr0: CR0_TYPICAL,
        cr3: pgd,
        cr4: CR4_PAE,
        efer: EFER_TYPICAL,
        pkru: 0,
        model: CpuModel::default(),
    }
}

impl<'m> Snapshot<'m> {
    /// All that the page tables of an address space hold for its lower half.
    pub(in crate::inspect) fn user_pages(&self, mm: &UserMm, budget: &mut Budget) -> UserPages {
        let mem: &'m dyn PhysMem = self.mem();
        let Ok(tables) = PageTables::new(mem, state_of(mm.pgd())) else {
            return UserPages {
                broken: vec![(0, 5, mm.pgd())],
                ..UserPages::default()
            };
        };
        let mut gather = Gather {
            found: UserPages::default(),
            pages_left: &mut budget.pages,
        };
        let flow = tables.entries(0..LOWER_HALF, &mut budget.tables, &mut gather);
        UserPages {
            is_cut: flow.is_break(),
            ..gather.found
        }
    }
}
