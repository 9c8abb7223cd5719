//! A new area and its neighbours (Linux mm/mmap.c: `vma_merge`).

use super::UserMm;
use crate::{
    machine::Machine,
    vma::{Area, VmaObject},
};

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
        let mut spare = [None, None, object];
        // The range is free, so no resize can fail.
        if let Some(below) = below.filter(|below| below.can_merge(area)) {
            let done = tree.resize(below.start, below.start, area.end);
            debug_assert_eq!(done, Ok(()));
            if let Ok([upper, own]) = tree.merge(below.start) {
                (spare[0], spare[1]) = (upper, own);
            }
        } else if let Some(above) = above.filter(|above| area.can_merge(above)) {
            let done = tree.resize(above.start, area.start, above.end);
            debug_assert_eq!(done, Ok(()));
        } else if let Some(object) = spare[2].take() {
            if let Err(rejected) = tree.insert(object, area) {
                debug_assert!(false, "{rejected}");
                spare[2] = Some(rejected.object);
            }
        } else {
            debug_assert!(false, "no object for {area:x?}");
        }
        let areas = self.areas();
        spare
            .into_iter()
            .flatten()
            .for_each(|object| areas.free(object));
    }

    /// Makes the area that contains `address` one with its neighbours, if they are alike.
    pub(super) fn merge_at(&mut self, address: u64) {
        let freed = self.tree().merge(address).unwrap_or_default();
        let areas = self.areas();
        freed
            .into_iter()
            .flatten()
            .for_each(|object| areas.free(object));
    }
}
