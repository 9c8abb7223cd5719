//! All entries that map a page (Linux: `rmap_walk`).

use super::other::{OtherMm, mapper};
use crate::{
    FileId, Mm, Pfn,
    machine::Machine,
    pgtable::Pte,
    user_mm::Vm,
    vma::{Area, Backing},
};
use core::{
    ops::ControlFlow::{self, Break, Continue},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use pagelab_abi::{
    PAGE_SHIFT,
    mm_struct::AnonGroup,
    page::{group_of_mapping, is_anon},
    pte::USER_END,
    vma::VmFlags,
};

/// Places that share the 32 bits that a descriptor has of them.
const ALIASES: u64 = 1 << 32;

/// An entry that maps the page.
pub(super) struct PageMapping<'a, M: Machine + 'static> {
    /// Whose it is.
    pub(super) user: &'a OtherMm<'a, M>,
    /// The area.
    pub(super) area: Area,
    /// Address of the page there.
    pub(super) address: u64,
    /// The entry, whose value holds the page.
    pub(super) entry: &'a AtomicU64,
}

/// Gets each entry.
type Each<'e, M> = &'e mut dyn FnMut(&PageMapping<'_, M>) -> ControlFlow<()>;

/// Which areas of a member are asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Anonymous ones at the address at which they were mapped: one search finds them.
    Unmoved,
    /// Those that were moved, and private ones of files: all areas are looked at.
    Others,
}

/// A walk on its way: the page, and how many entries are still to be found.
struct Walk<'a, 'e, M: Machine + 'static> {
    mm: &'a Mm<M>,
    vm: &'a Vm,
    pfn: Pfn,
    index: u32,
    left: u32,
    each: Each<'e, M>,
}

impl<M: Machine + 'static> Mm<M> {
    /// Calls `each` with every entry that maps a page, until it breaks off.
    ///
    /// Nobody may be in the middle of a change of areas or tables; `each` allocates and frees nothing.
    pub(super) fn rmap_walk(&self, pfn: Pfn, each: Each<'_, M>) {
        let page = self.map.page(pfn.0);
        let left = page.mapcount.load(Relaxed).max(0).unsigned_abs();
        let (Some(vm), true) = (self.vm.get(), left > 0) else {
            return;
        };
        let mapping = page.mapping.load(Relaxed);
        let mut walk = Walk {
            mm: self,
            vm,
            pfn,
            index: self.page_index(pfn).unwrap_or(0),
            left,
            each,
        };
        // That it breaks off says that there is no more to find.
        let _ = if is_anon(mapping) {
            let group = group_of_mapping(mapping);
            walk.family(group, Way::Unmoved)
                .is_continue()
                .then(|| walk.family(group, Way::Others))
        } else {
            FileId::of_mapping(mapping).map(|file| walk.file(file))
        };
    }
}

impl<M: Machine + 'static> Walk<'_, '_, M> {
    /// All members of a family.
    fn family(&mut self, group: u64, way: Way) -> ControlFlow<()> {
        if group == 0 {
            return Continue(());
        }
        // SAFETY: the page is mapped, so its family lives.
        let group: &AnonGroup = unsafe { self.mm.slab().object(group).cast().as_ref() };
        let mut next = group.members.load(Relaxed);
        while next != 0 {
            // SAFETY: a member lives, and the caller of the walk changes no areas.
            let mut user = unsafe { OtherMm::new(self.mm, self.vm, next) };
            match way {
                Way::Unmoved => self.unmoved(&mut user)?,
                Way::Others => self.others(&mut user)?,
            }
            next = user.next_in_group();
        }
        Continue(())
    }

    fn unmoved(&mut self, user: &mut OtherMm<'_, M>) -> ControlFlow<()> {
        for page in (u64::from(self.index)..USER_END >> PAGE_SHIFT).step_by(ALIASES as usize) {
            let address = page << PAGE_SHIFT;
            let area = user.tree().find(address).map(Area::of);
            if let Some(area) = area
                && is_unmoved(&area)
            {
                self.at(user, &area, address)?;
            }
        }
        Continue(())
    }

    fn others(&mut self, user: &mut OtherMm<'_, M>) -> ControlFlow<()> {
        let mut next = user.tree().find_vma(0).map(Area::of);
        while let Some(area) = next {
            if !area.flags.contains(VmFlags::SHARED) && !is_unmoved(&area) {
                let first = self.index.wrapping_sub(area.page_index(area.start) as u32);
                for page in (u64::from(first)..area.pages()).step_by(ALIASES as usize) {
                    self.at(user, &area, area.start + (page << PAGE_SHIFT))?;
                }
            }
            next = user.tree().find_vma(area.end).map(Area::of);
        }
        Continue(())
    }

    /// All areas that map a file.
    fn file(&mut self, file: FileId) -> ControlFlow<()> {
        let index = u64::from(self.index);
        let mut next = self.mm.file_mappers(file);
        while next != 0 {
            // SAFETY: the areas in a file's list are in the trees of live address spaces.
            let (area, owner, after) = unsafe { mapper(self.mm, next) };
            if let Some(page) = index.checked_sub(area.page_index(area.start))
                && page < area.pages()
            {
                // SAFETY: as above; the caller of the walk changes no areas.
                let user = unsafe { OtherMm::new(self.mm, self.vm, owner) };
                self.at(&user, &area, area.start + (page << PAGE_SHIFT))?;
            }
            next = after;
        }
        Continue(())
    }

    /// Looks whether the entry for an address maps the page.
    fn at(&mut self, user: &OtherMm<'_, M>, area: &Area, address: u64) -> ControlFlow<()> {
        let Some(entry) = user.tables().walk(address) else {
            return Continue(());
        };
        let pte = Pte(entry.load(Relaxed));
        if !pte.holds_page() || pte.is_special() || pte.pfn() != self.pfn {
            return Continue(());
        }
        self.left -= 1;
        (self.each)(&PageMapping {
            user,
            area: *area,
            address,
            entry,
        })?;
        if self.left == 0 {
            Break(())
        } else {
            Continue(())
        }
    }
}

/// Whether an area is an anonymous one where it was mapped.
fn is_unmoved(area: &Area) -> bool {
    area.backing == Backing::anonymous(area.start)
}
