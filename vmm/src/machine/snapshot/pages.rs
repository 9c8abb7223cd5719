//! The pages of memory at a moment: those of a snapshot, but for some that have changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::memory::{PAGE, SavedMemory, set};

/// Bytes of a page.
type Page = [u8; PAGE];

/// Pages that are not what a snapshot has, by region and number.
#[derive(Default)]
pub(super) struct Changed(BTreeMap<(usize, u64), Box<Page>>);

/// None.
static UNCHANGED: Changed = Changed(BTreeMap::new());

impl Changed {
    /// The page is this from now on.
    pub(super) fn put(&mut self, region: usize, page: u64, bytes: &Page) {
        let place = self.0.entry((region, page));
        place
            .and_modify(|place| **place = *bytes)
            .or_insert_with(|| Box::new(*bytes));
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// All pages.
#[derive(Clone, Copy)]
pub(super) struct Pages<'a> {
    base: &'a Arc<SavedMemory>,
    changed: &'a Changed,
}

impl<'a> Pages<'a> {
    /// Those of a snapshot.
    pub(super) fn of(base: &'a Arc<SavedMemory>) -> Self {
        Self::with(base, &UNCHANGED)
    }

    /// Those of a snapshot, some of which have changed.
    pub(super) fn with(base: &'a Arc<SavedMemory>, changed: &'a Changed) -> Self {
        Self { base, changed }
    }

    /// The snapshot's.
    pub(super) fn base(self) -> &'a Arc<SavedMemory> {
        self.base
    }

    /// A page; none if it is zero.
    pub(super) fn page(self, region: usize, page: u64) -> Option<&'a Page> {
        match self.changed.0.get(&(region, page)) {
            Some(bytes) => Some(bytes),
            None => self.base.page(self.base.regions().get(region)?, page),
        }
    }

    /// Pages of a region, in words of 64 bits: the others are zero.
    pub(super) fn there(self, region: usize) -> Vec<u64> {
        let saved = self.base.regions().get(region);
        let mut there = saved.map_or_else(Vec::new, |saved| saved.populated().to_vec());
        for page in self.changed(region) {
            set(&mut there, page);
        }
        there
    }

    /// Numbers of a region's pages that are not what the snapshot has.
    pub(super) fn changed(self, region: usize) -> impl Iterator<Item = u64> {
        let range = (region, 0)..=(region, u64::MAX);
        self.changed.0.range(range).map(|((_, page), _)| *page)
    }

    /// Pages that may not be zero, at most.
    pub(super) fn populated(self) -> u64 {
        self.base.populated_pages() + self.changed.len() as u64
    }
}
