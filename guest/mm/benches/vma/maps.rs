//! What is compared.

use pagelab_abi::{
    PAGE_SIZE,
    vma::{VmFlags, VmaRoot},
};
use pagelab_mm::{
    testing::VmaPool,
    vma::{Area, Backing, VmaTree},
};
use rangemap::RangeMap;
use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed};

/// Pages of an area.
const PAGES: u64 = 3;

/// Area `index`: three pages, and a fourth that is free.
fn area(index: u64) -> Area {
    let start = (16 + index * (PAGES + 1)) * PAGE_SIZE;
    Area {
        start,
        end: start + PAGES * PAGE_SIZE,
        flags: VmFlags::READ,
        backing: Backing::anonymous(start),
    }
}

/// Indices up to `areas`, a power of two, in an order that is not that of the addresses.
fn shuffled(areas: u64) -> impl Iterator<Item = u64> {
    (0..areas).map(move |i| i.wrapping_mul(0x9e37_79b1) % areas)
}

/// A set of areas.
pub(crate) trait Map {
    /// The name in the table.
    const NAME: &'static str;

    /// Areas 0 to below `areas`.
    fn new(areas: u64) -> Self;

    /// Start of the area that contains byte `offset` of area `place`.
    fn lookup(&self, place: u64, offset: u64) -> u64;

    /// Removes an area and puts it back.
    fn churn(&mut self, place: u64);
}

/// `VmaTree`.
pub(crate) struct Ours {
    tree: VmaTree<'static, VmaPool>,
}

impl Map for Ours {
    const NAME: &'static str = "pagelab";

    fn new(areas: u64) -> Self {
        let pool = VmaPool::new(areas as usize);
        let objects: Vec<_> = (0..areas).map(|_| pool.alloc().unwrap()).collect();
        let root = Box::leak(Box::new(VmaRoot::new()));
        let mut tree = VmaTree::new(root, pool, PAGE_SIZE, 1 << 47).unwrap();
        for (object, index) in objects.into_iter().zip(shuffled(areas)) {
            tree.insert(object, &area(index)).unwrap();
        }
        Self { tree }
    }

    fn lookup(&self, place: u64, offset: u64) -> u64 {
        let vma = self.tree.find(area(place).start + offset).unwrap();
        vma.start.load(Relaxed)
    }

    fn churn(&mut self, place: u64) {
        let (area, object) = self.tree.remove(area(place).start).unwrap();
        self.tree.insert(object, &area).unwrap();
    }
}

/// The standard library's, from start to area.
pub(crate) struct BTree(BTreeMap<u64, Area>);

impl Map for BTree {
    const NAME: &'static str = "BTreeMap";

    fn new(areas: u64) -> Self {
        Self(
            shuffled(areas)
                .map(area)
                .map(|area| (area.start, area))
                .collect(),
        )
    }

    fn lookup(&self, place: u64, offset: u64) -> u64 {
        let address = area(place).start + offset;
        let (_, area) = self.0.range(..=address).next_back().unwrap();
        assert!(address < area.end);
        area.start
    }

    fn churn(&mut self, place: u64) {
        let area = self.0.remove(&area(place).start).unwrap();
        self.0.insert(area.start, area);
    }
}

/// The rangemap crate's.
pub(crate) struct Ranges(RangeMap<u64, (VmFlags, Backing)>);

impl Ranges {
    fn insert(&mut self, area: &Area) {
        self.0
            .insert(area.start..area.end, (area.flags, area.backing));
    }
}

impl Map for Ranges {
    const NAME: &'static str = "rangemap";

    fn new(areas: u64) -> Self {
        let mut map = Self(RangeMap::new());
        shuffled(areas).for_each(|index| map.insert(&area(index)));
        map
    }

    fn lookup(&self, place: u64, offset: u64) -> u64 {
        let found = self.0.get_key_value(&(area(place).start + offset));
        found.unwrap().0.start
    }

    fn churn(&mut self, place: u64) {
        let area = area(place);
        self.0.remove(area.start..area.end);
        self.insert(&area);
    }
}
