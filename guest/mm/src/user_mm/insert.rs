//! Areas and their neighbours (Linux mm/mmap.c: `vma_merge`), and the files that they refer to:
//! each area in the tree has a reference to its file.

use super::UserMm;
use crate::{
    machine::Machine,
    page_cache::FileId,
    vma::{Area, Backing, VmaObject},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::vma::Vma;

/// The file of an area.
pub(super) fn file_of(area: &Area) -> Option<FileId> {
    match area.backing {
        Backing::Anonymous { .. } => None,
        Backing::File { file, .. } => FileId::from_raw(file),
    }
}

impl<M: Machine + 'static> UserMm<M> {
    /// Whether a new area could be part of a neighbour, so that it needs no object.
    pub(super) fn joins_neighbour(&mut self, area: &Area) -> bool {
        let tree = self.tree();
        let below = tree.find(area.start - 1).map(Area::of);
        let above = tree.find(area.end).map(Area::of);
        below.is_some_and(|below| below.can_merge(area))
            || above.is_some_and(|above| area.can_merge(&above))
    }

    /// Puts an area into a free range, and makes it one with its neighbours where that is
    /// possible. An object is needed unless [`Self::joins_neighbour`]; one that was not needed is
    /// freed.
    pub(super) fn insert(&mut self, area: &Area, object: Option<VmaObject>) {
        self.count_area(area, 1);
        let mut tree = self.tree();
        let below = tree.find(area.start - 1).map(Area::of);
        let above = tree.find(area.end).map(Area::of);
        // The range is free, so no resize can fail.
        if let Some(below) = below.filter(|below| below.can_merge(area)) {
            let done = tree.resize(below.start, below.start, area.end);
            debug_assert_eq!(done, Ok(()));
            self.merge_at(below.start);
        } else if let Some(above) = above.filter(|above| area.can_merge(above)) {
            let done = tree.resize(above.start, area.start, above.end);
            debug_assert_eq!(done, Ok(()));
        } else if let Some(object) = object {
            self.link(area, object);
            return;
        } else {
            debug_assert!(false, "no object for {area:x?}");
        }
        if let Some(object) = object {
            self.areas().free(object);
        }
    }

    /// Puts an area into the tree as it is.
    pub(super) fn link(&mut self, area: &Area, object: VmaObject) {
        let gpa = object.gpa();
        match self.tree().insert(object, area) {
            Ok(()) => self.refer(area, gpa),
            Err(rejected) => {
                debug_assert!(false, "{rejected}");
                self.areas().free(rejected.object);
            }
        }
    }

    /// Splits an area at an address inside it.
    pub(super) fn split(&mut self, at: u64, object: VmaObject) {
        let gpa = object.gpa();
        match self.tree().split(at, object) {
            Ok(()) => {
                if let Some(upper) = self.tree().find(at).map(Area::of) {
                    self.refer(&upper, gpa);
                }
            }
            Err(rejected) => {
                debug_assert!(false, "{rejected}");
                self.areas().free(rejected.object);
            }
        }
    }

    /// Makes the area that contains `address` one with its neighbours, if they are alike.
    pub(super) fn merge_at(&mut self, address: u64) {
        let Ok(freed) = self.tree().merge(address) else {
            return;
        };
        for object in freed.into_iter().flatten() {
            if let Some(area) = self.tree().find(address).map(Area::of) {
                self.unlinked(&area, object);
            }
        }
    }

    /// Takes the area that contains `address` out of the tree.
    pub(super) fn unlink(&mut self, address: u64) {
        if let Ok((area, object)) = self.tree().remove(address) {
            self.unlinked(&area, object);
        }
    }

    /// Frees the object of an area that is not in the tree any more.
    pub(super) fn unlinked(&self, area: &Area, object: VmaObject) {
        let file = file_of(area);
        if let Some(file) = file {
            // SAFETY: the object is still there, and in the file's list since it came into a tree.
            unsafe { self.mm.i_mmap_remove(file, object.gpa()) };
        }
        self.areas().free(object);
        if let Some(file) = file {
            self.mm.file_unmapped(file);
        }
    }

    /// Takes the reference of an area that came into the tree, and says whose it is.
    fn refer(&self, area: &Area, gpa: u64) {
        // SAFETY: the tree has the object; what changes in it is atomic.
        let vma: &Vma = unsafe { self.mm.slab().object(gpa).cast().as_ref() };
        vma.mm.store(self.gpa, Relaxed);
        if let Some(file) = file_of(area) {
            self.mm.file_mapped(file);
            // SAFETY: as above, and it is in no file's list.
            unsafe { self.mm.i_mmap_insert(file, gpa) };
        }
    }

    /// Whether an area maps shared memory.
    pub(super) fn is_shmem(&self, area: &Area) -> bool {
        file_of(area).is_some_and(|file| self.mm.file_is_shmem(file))
    }
}
