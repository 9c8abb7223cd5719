//! A file's pages by their number: a radix tree that is as high as the last page demands.

use super::node::Nodes;
use crate::{Mm, Pfn, machine::Machine, swap::SwapEntry, sync::Held};
use core::{
    ops::Range,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};
use pagelab_abi::page_cache::{
    AddressSpace, MAP_SHIFT, MAP_SIZE, MAX_PAGES, RadixTreeNode, count_of, hwpoison_of_slot,
    offset_of, pack_place, page_of_slot, slot_of_hwpoison, slot_of_page, slot_of_swap,
    swap_of_slot,
};

/// A file's tree, locked as long as this lives.
pub(super) struct Tree<'a, M: Machine + 'static> {
    mm: &'a Mm<M>,
    space: &'a AddressSpace,
    _held: Held<'a, AtomicU32>,
}

/// What a file has of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// It is in memory.
    Page(Pfn),
    /// It is in swap.
    Swap(SwapEntry),
    /// It is lost: this was its frame.
    Hwpoison(Pfn),
}

impl Entry {
    /// What a slot holds; none if it is empty.
    fn of(slot: u64) -> Option<Self> {
        if let Some(pfn) = page(slot) {
            return Some(Self::Page(pfn));
        }
        match swap_of_slot(slot) {
            Some(swap) => Some(Self::Swap(SwapEntry::of_slot(swap))),
            None => hwpoison_of_slot(slot).map(|pfn| Self::Hwpoison(Pfn(pfn))),
        }
    }
}

/// What a slot that leads to a page must hold.
fn page(slot: u64) -> Option<Pfn> {
    page_of_slot(slot).map(Pfn)
}

/// The slot of a node under which a page is.
fn slot_of(node: &RadixTreeNode, index: u64) -> usize {
    (index >> node.shift.load(Relaxed)) as usize % MAP_SIZE
}

/// `shift` of the lowest node that covers pages 0 to `index`.
const fn shift_for(index: u64) -> u32 {
    let bits = u64::BITS - index.leading_zeros();
    if bits == 0 {
        return 0;
    }
    (bits - 1) / MAP_SHIFT * MAP_SHIFT
}

/// Whether a node with this `shift`, as root, covers a page.
const fn covers(shift: u32, index: u64) -> bool {
    shift_for(index) <= shift
}

impl<'a, M: Machine + 'static> Tree<'a, M> {
    /// The tree of `space`, whose lock is held.
    pub(super) fn new(mm: &'a Mm<M>, space: &'a AddressSpace, held: Held<'a, AtomicU32>) -> Self {
        Self {
            mm,
            space,
            _held: held,
        }
    }

    /// The memory manager that has the nodes.
    pub(super) const fn mm(&self) -> &'a Mm<M> {
        self.mm
    }

    /// The node and the slot of a page that is there.
    pub(super) fn place_of(&self, index: u64) -> Option<(u64, usize)> {
        let (node, slot) = self.descend(index)?;
        page(self.mm.node(node).slots[slot].load(Relaxed)).map(|_| (node, slot))
    }

    /// The root, if it covers a page.
    pub(super) fn root_over(&self, index: u64) -> Option<u64> {
        let root = self.space.root.load(Relaxed);
        (root != 0 && covers(self.shift(root), index)).then_some(root)
    }

    fn shift(&self, node: u64) -> u32 {
        self.mm.node(node).shift.load(Relaxed)
    }

    /// The lowest node on the way to a page that exists, and the slot there.
    fn descend(&self, index: u64) -> Option<(u64, usize)> {
        let mut node = self.space.root.load(Relaxed);
        if node == 0 || !covers(self.shift(node), index) {
            return None;
        }
        loop {
            let inner = self.mm.node(node);
            let slot = slot_of(inner, index);
            let next = inner.slots[slot].load(Relaxed);
            if inner.shift.load(Relaxed) == 0 || next == 0 {
                return Some((node, slot));
            }
            node = next;
        }
    }

    /// The page with this number.
    #[inline]
    pub(super) fn find(&self, index: u64) -> Option<Pfn> {
        let (node, slot) = self.descend(index)?;
        page(self.mm.node(node).slots[slot].load(Relaxed))
    }

    /// Calls `each` with all pages of a range that are there, and their numbers.
    #[inline]
    pub(super) fn for_each(&self, range: Range<u64>, mut each: impl FnMut(u64, Pfn)) {
        let mut index = range.start;
        while index < range.end
            && let Some((node, slot)) = self.descend(index)
        {
            let inner = self.mm.node(node);
            let shift = inner.shift.load(Relaxed);
            if shift > 0 {
                // Nothing is below this slot.
                index = ((index >> shift) + 1) << shift;
                continue;
            }
            let count = (MAP_SIZE - slot).min((range.end - index) as usize);
            for (index, slot) in (index..).zip(&inner.slots[slot..slot + count]) {
                if let Some(pfn) = page(slot.load(Relaxed)) {
                    each(index, pfn);
                }
            }
            index += count as u64;
        }
    }

    /// What there is of the page with this number.
    pub(super) fn entry(&self, index: u64) -> Option<Entry> {
        let (node, slot) = self.descend(index)?;
        let inner = self.mm.node(node);
        if inner.shift.load(Relaxed) > 0 {
            return None;
        }
        Entry::of(inner.slots[slot].load(Relaxed))
    }

    /// The first page from this number on, in memory, in swap or lost, with its number.
    pub(super) fn find_from(&self, index: u64) -> Option<(u64, Entry)> {
        self.first_in(self.root_over(index)?, 0, index)
    }

    /// The first page from number `index` on in a node whose first page has the number `base`.
    fn first_in(&self, node: u64, base: u64, index: u64) -> Option<(u64, Entry)> {
        let inner = self.mm.node(node);
        let shift = inner.shift.load(Relaxed);
        let first = index.saturating_sub(base) >> shift;
        for slot in first as usize..MAP_SIZE {
            let value = inner.slots[slot].load(Relaxed);
            let at = base + ((slot as u64) << shift);
            let found = match value {
                0 => None,
                _ if shift == 0 => Entry::of(value).map(|entry| (at, entry)),
                child => self.first_in(child, at, index),
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Nodes that [`Self::insert`] would need for this page.
    pub(super) fn missing(&self, index: u64) -> u32 {
        let root = self.space.root.load(Relaxed);
        if root == 0 {
            return shift_for(index) / MAP_SHIFT + 1;
        }
        match self.descend(index) {
            Some((node, _)) => self.shift(node) / MAP_SHIFT,
            // From the old root up to the new one, and from there down to the page.
            None => 2 * shift_for(index) / MAP_SHIFT - self.shift(root) / MAP_SHIFT,
        }
    }

    /// Puts a page where there is none, with nodes from `nodes`, of which there must be
    /// [`Self::missing`].
    pub(super) fn insert(&mut self, index: u64, pfn: Pfn, nodes: &mut Nodes) {
        debug_assert!(index < MAX_PAGES);
        let mut fresh = || nodes.pop(self.mm).expect("as many nodes as are missing");
        let mut root = self.space.root.load(Relaxed);
        if root == 0 {
            root = fresh();
            self.place(root, shift_for(index), 0, 0);
            self.space.root.store(root, Relaxed);
        }
        while !covers(self.shift(root), index) {
            let above = fresh();
            self.place(above, self.shift(root) + MAP_SHIFT, 0, 0);
            self.set(above, 0, root);
            self.inherit_tags(above, root);
            self.place_below(root, above, 0);
            self.space.root.store(above, Relaxed);
            root = above;
        }
        let mut node = root;
        while self.shift(node) > 0 {
            let slot = slot_of(self.mm.node(node), index);
            let mut child = self.mm.node(node).slots[slot].load(Relaxed);
            if child == 0 {
                child = fresh();
                self.place(child, self.shift(node) - MAP_SHIFT, node, slot as u32);
                self.set(node, slot, child);
            }
            node = child;
        }
        let slot = slot_of(self.mm.node(node), index);
        debug_assert_eq!(self.mm.node(node).slots[slot].load(Relaxed), 0);
        self.set(node, slot, slot_of_page(pfn.0));
        add(&self.space.nrpages, 1);
    }

    /// Puts a swap slot or the mark of a lost page where a page is, or a page where a swap slot is. The
    /// page has no tag. False if it
    /// is not `old` that is there, and nothing happens.
    pub(super) fn exchange(&mut self, index: u64, old: Entry, new: Entry) -> bool {
        let Some((node, slot)) = self
            .descend(index)
            .filter(|_| self.entry(index) == Some(old))
        else {
            return false;
        };
        let value = match new {
            Entry::Page(pfn) => slot_of_page(pfn.0),
            Entry::Swap(swap) => slot_of_swap(swap.slot()),
            Entry::Hwpoison(pfn) => slot_of_hwpoison(pfn.0),
        };
        self.mm.node(node).slots[slot].store(value, Relaxed);
        self.count(old, -1);
        self.count(new, 1);
        true
    }

    fn count(&self, entry: Entry, delta: i64) {
        let counter = match entry {
            Entry::Page(_) => &self.space.nrpages,
            Entry::Swap(_) => &self.space.nr_swapped,
            Entry::Hwpoison(_) => return,
        };
        add(counter, delta);
    }

    /// Takes a page out, with its tags, or a swap slot. Nodes that it leaves empty, or that the tree does not need any more, go to
    /// `nodes`.
    pub(super) fn remove(&mut self, index: u64, nodes: &mut Nodes) -> Option<Entry> {
        let entry = self.entry(index)?;
        let (mut node, mut slot) = self.descend(index)?;
        self.count(entry, -1);
        self.clear_tags(index);
        loop {
            self.set(node, slot, 0);
            let inner = self.mm.node(node);
            let place = inner.place.load(Relaxed);
            if count_of(place) > 0 {
                break;
            }
            let parent = inner.parent.load(Relaxed);
            nodes.push(self.mm, node);
            if parent == 0 {
                self.space.root.store(0, Relaxed);
                return Some(entry);
            }
            (node, slot) = (parent, offset_of(place) as usize);
        }
        self.shrink(nodes);
        Some(entry)
    }

    /// Makes the tree as low as its last page allows.
    fn shrink(&mut self, nodes: &mut Nodes) {
        loop {
            let root = self.space.root.load(Relaxed);
            let top = self.mm.node(root);
            let only = top.slots[0].load(Relaxed);
            let is_needed =
                top.shift.load(Relaxed) == 0 || count_of(top.place.load(Relaxed)) > 1 || only == 0;
            if is_needed {
                return;
            }
            self.place_below(only, 0, 0);
            self.space.root.store(only, Relaxed);
            nodes.push(self.mm, root);
        }
    }

    /// Gives an empty node its place.
    fn place(&self, node: u64, shift: u32, parent: u64, offset: u32) {
        let inner = self.mm.node(node);
        inner.shift.store(shift, Relaxed);
        inner.parent.store(parent, Relaxed);
        inner.place.store(pack_place(offset, 0), Relaxed);
    }

    /// Hangs a node with all that is below it elsewhere.
    fn place_below(&self, node: u64, parent: u64, offset: u32) {
        let inner = self.mm.node(node);
        let count = count_of(inner.place.load(Relaxed));
        inner.parent.store(parent, Relaxed);
        inner.place.store(pack_place(offset, count), Relaxed);
    }

    /// Writes a slot, and counts it if it was, or becomes, empty.
    fn set(&mut self, node: u64, slot: usize, value: u64) {
        let inner = self.mm.node(node);
        let before = inner.slots[slot].load(Relaxed);
        inner.slots[slot].store(value, Relaxed);
        let place = inner.place.load(Relaxed);
        let count = count_of(place) + u32::from(value != 0) - u32::from(before != 0);
        inner
            .place
            .store(pack_place(offset_of(place), count), Relaxed);
    }
}

/// Adds to a word that the tree's lock protects.
fn add(word: &AtomicU64, delta: i64) {
    word.store(word.load(Relaxed).wrapping_add_signed(delta), Relaxed);
}

#[cfg(test)]
mod tests {
    use super::{covers, shift_for};

    #[test]
    fn heights() {
        for (index, shift) in [
            (0, 0),
            (1, 0),
            (63, 0),
            (64, 6),
            (4095, 6),
            (4096, 12),
            (u64::from(u32::MAX), 30),
        ] {
            assert_eq!(shift_for(index), shift, "{index}");
            assert!(covers(shift, index) && (shift == 0 || !covers(shift - 6, index)));
        }
    }
}
