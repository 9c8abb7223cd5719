//! Each check of the oracle fires.

use super::{LAST, Tree, anon, insert, with_tree};
use crate::vma::Violation;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use pagelab_abi::{
    PAGE_SIZE,
    vma::{BLACK, Vma},
};

/// Area number `index`, which begins at page `20 + 4 * index`.
fn nth<'t>(tree: &'t Tree<'_>, index: usize) -> &'t Vma {
    tree.iter().nth(index).unwrap()
}

const fn at(index: u64) -> u64 {
    (20 + 4 * index) * PAGE_SIZE
}

/// Spoils one word of a good tree of seven areas, two black levels above a red one, sees what the
/// oracle says, and repairs it.
fn spoiled(word: impl Fn(&Tree<'_>) -> *const AtomicU64, value: impl Fn(u64) -> u64) -> Violation {
    let mut found = None;
    with_tree(|tree, pool| {
        for index in 0..7 {
            insert(tree, pool, &anon(20 + 4 * index, 22 + 4 * index));
        }
        let word = word(tree);
        // SAFETY: the word is part of the pool or of the root, both of which live here.
        let word = unsafe { &*word };
        let good = word.load(Relaxed);
        word.store(value(good), Relaxed);
        found = tree.check_invariants().err();
        word.store(good, Relaxed);
        tree.check_invariants().unwrap();
    });
    found.expect("the oracle says nothing")
}

#[test]
fn bounds_and_order() {
    let start = |index| move |tree: &Tree<'_>| &raw const nth(tree, index).start;
    let end = |index| move |tree: &Tree<'_>| &raw const nth(tree, index).end;
    assert_eq!(spoiled(end(2), |_| at(2)), Violation::Bounds(at(2)));
    assert_eq!(
        spoiled(start(2), |good| good + 1),
        Violation::Bounds(at(2) + 1)
    );
    assert_eq!(
        spoiled(end(2), |_| at(3) + PAGE_SIZE),
        Violation::Order(at(3))
    );
    assert_eq!(
        spoiled(start(0), |_| PAGE_SIZE),
        Violation::BeyondRange(PAGE_SIZE)
    );
    let beyond = (LAST + 1) * PAGE_SIZE;
    assert_eq!(spoiled(end(6), |_| beyond), Violation::BeyondRange(at(6)));
}

#[test]
fn links() {
    let next = |tree: &Tree<'_>| &raw const nth(tree, 2).next;
    let prev = |tree: &Tree<'_>| &raw const nth(tree, 2).prev;
    assert_eq!(spoiled(next, |_| 0), Violation::List(at(3)));
    assert_eq!(spoiled(prev, |_| 0), Violation::List(at(2)));
    let last_next = |tree: &Tree<'_>| &raw const nth(tree, 6).next;
    let size = size_of::<Vma>() as u64;
    assert_eq!(
        spoiled(last_next, |_| size),
        Violation::List(at(6) + 2 * PAGE_SIZE)
    );
    let first = |tree: &Tree<'_>| &raw const tree.root.first;
    assert_eq!(spoiled(first, |_| 0), Violation::List(at(0)));
    let last = |tree: &Tree<'_>| &raw const tree.root.last;
    assert_eq!(spoiled(last, |_| 0), Violation::List(at(6) + 2 * PAGE_SIZE));
    let parent = |tree: &Tree<'_>| &raw const nth(tree, 2).parent;
    assert_eq!(
        spoiled(parent, |good| good & BLACK),
        Violation::Parent(at(2))
    );
}

#[test]
fn colours() {
    let top = |tree: &Tree<'_>| &raw const tree.node(tree.top()).parent;
    assert!(matches!(
        spoiled(top, |good| good & !BLACK),
        Violation::Red(_)
    ));
    let leaf = |tree: &Tree<'_>| &raw const nth(tree, 6).parent;
    assert!(matches!(
        spoiled(leaf, |good| good ^ BLACK),
        Violation::BlackHeight(_)
    ));
}

#[test]
fn gaps_and_counts() {
    let gap = |tree: &Tree<'_>| &raw const nth(tree, 2).subtree_gap;
    assert_eq!(spoiled(gap, |good| good + PAGE_SIZE), Violation::Gap(at(2)));
    let count = |tree: &Tree<'_>| &raw const tree.root.count;
    assert_eq!(spoiled(count, |good| good + 1), Violation::Count(8));
    assert_eq!(spoiled(count, |good| good - 1), Violation::Count(6));
    let cache = |tree: &Tree<'_>| &raw const tree.root.cache;
    assert_eq!(spoiled(cache, |_| PAGE_SIZE), Violation::Cache(PAGE_SIZE));
}

#[test]
fn depth() {
    with_tree(|tree, pool| {
        // A chain without a balance: black all along, so that only the depth (found on the way
        // down) tells.
        for index in 0..130 {
            let area = anon(20 + 4 * index, 22 + 4 * index);
            insert(tree, pool, &area);
        }
        let nodes: Vec<_> = tree.iter().collect();
        let links = |vma: &Vma| [&vma.left, &vma.right, &vma.parent].map(|word| word.load(Relaxed));
        let saved: Vec<_> = nodes.iter().map(|vma| links(vma)).collect();
        let top = tree.top();
        for vma in &nodes {
            vma.left.store(0, Relaxed);
            vma.right.store(vma.next.load(Relaxed), Relaxed);
            vma.parent.store(vma.prev.load(Relaxed) | BLACK, Relaxed);
        }
        tree.root.root.store(tree.root.first.load(Relaxed), Relaxed);
        assert_eq!(tree.check_invariants(), Err(Violation::Depth(at(121))));
        for (vma, [left, right, parent]) in nodes.iter().zip(saved) {
            vma.left.store(left, Relaxed);
            vma.right.store(right, Relaxed);
            vma.parent.store(parent, Relaxed);
        }
        tree.root.root.store(top, Relaxed);
    });
}
