//! Tests of the tree of areas.

mod gaps;
mod model;
mod rules;
mod slab;
mod validate;

use super::{Area, Backing, VmaTree};
use crate::testing::VmaPool;
use pagelab_abi::{
    PAGE_SIZE,
    vma::{VmFlags, VmaRoot},
};

/// Pages in the address space of these tests; it starts at page 16.
const FIRST: u64 = 16;
const LAST: u64 = 16 + 4096;

type Tree<'a> = VmaTree<'a, &'a VmaPool>;

fn with_tree(body: impl FnOnce(&mut Tree<'_>, &VmaPool)) {
    let pool = VmaPool::new(4096);
    let mut root = VmaRoot::new();
    let mut tree = VmaTree::new(&mut root, &pool, FIRST * PAGE_SIZE, LAST * PAGE_SIZE).unwrap();
    body(&mut tree, &pool);
    tree.check_invariants().unwrap();
    let mut left = tree.len();
    while let Some((_, object)) = tree.pop_first() {
        left -= 1;
        pool.free(object);
        tree.check_invariants().unwrap();
    }
    assert_eq!(left, 0);
    assert_eq!(pool.used(), 0);
}

/// An anonymous area of pages, readable.
fn anon(start: u64, end: u64) -> Area {
    Area {
        start: start * PAGE_SIZE,
        end: end * PAGE_SIZE,
        flags: VmFlags::READ,
        backing: Backing::anonymous(start * PAGE_SIZE),
    }
}

fn insert(tree: &mut Tree<'_>, pool: &VmaPool, area: &Area) {
    tree.insert(pool.alloc().unwrap(), area).unwrap();
    tree.check_invariants().unwrap();
}
