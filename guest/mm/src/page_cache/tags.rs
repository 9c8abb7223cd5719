//! Tags of a tree's slots (Linux lib/radix-tree.c: `radix_tree_tag_set`): a slot has one if a page in
//! or below it has, so that pages with a tag are found without looking at the others.

use super::tree::Tree;
use crate::{Pfn, machine::Machine};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::page_cache::{MAP_SIZE, NR_TAGS, offset_of, page_of_slot};

impl<M: Machine + 'static> Tree<'_, M> {
    /// Gives a page that is there a tag. False if it has it already, or is not there.
    pub(super) fn set_tag(&mut self, index: u64, tag: usize) -> bool {
        let Some((node, slot)) = self.place_of(index) else {
            return false;
        };
        if self.mm().node(node).tags[tag].load(Relaxed) & 1 << slot != 0 {
            return false;
        }
        self.tag_upwards(node, slot, tag);
        true
    }

    /// Takes a page's tag away. False if it has none, or is not there.
    pub(super) fn clear_tag(&mut self, index: u64, tag: usize) -> bool {
        let Some((mut node, mut slot)) = self.place_of(index) else {
            return false;
        };
        if self.mm().node(node).tags[tag].load(Relaxed) & 1 << slot == 0 {
            return false;
        }
        loop {
            let inner = self.mm().node(node);
            let left = inner.tags[tag].load(Relaxed) & !(1 << slot);
            inner.tags[tag].store(left, Relaxed);
            let parent = inner.parent.load(Relaxed);
            if left != 0 || parent == 0 {
                return true;
            }
            slot = offset_of(inner.place.load(Relaxed)) as usize;
            node = parent;
        }
    }

    /// Takes all tags of a page away.
    pub(super) fn clear_tags(&mut self, index: u64) {
        for tag in 0..NR_TAGS {
            self.clear_tag(index, tag);
        }
    }

    /// Whether a page has a tag.
    #[cfg(test)]
    pub(super) fn has_tag(&self, index: u64, tag: usize) -> bool {
        self.place_of(index).is_some_and(|(node, slot)| {
            self.mm().node(node).tags[tag].load(Relaxed) & 1 << slot != 0
        })
    }

    /// The first page with a tag from a number on, with its number.
    pub(super) fn find_tagged(&self, index: u64, tag: usize) -> Option<(u64, Pfn)> {
        self.first_tagged(self.root_over(index)?, 0, index, tag)
    }

    /// As `first_in`, among those with a tag.
    fn first_tagged(&self, node: u64, base: u64, index: u64, tag: usize) -> Option<(u64, Pfn)> {
        let inner = self.mm().node(node);
        let shift = inner.shift.load(Relaxed);
        let first = index.saturating_sub(base) >> shift;
        let tagged = inner.tags[tag].load(Relaxed);
        let slots = (first as usize..MAP_SIZE).filter(|slot| tagged & 1 << slot != 0);
        for slot in slots {
            let value = inner.slots[slot].load(Relaxed);
            let at = base + ((slot as u64) << shift);
            let found = match value {
                0 => None,
                _ if shift == 0 => page_of_slot(value).map(|pfn| (at, Pfn(pfn))),
                child => self.first_tagged(child, at, index, tag),
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// A new root has the tags of the old one, which is in its first slot.
    pub(super) fn inherit_tags(&self, above: u64, root: u64) {
        let (above, root) = (self.mm().node(above), self.mm().node(root));
        for (to, from) in above.tags.iter().zip(&root.tags) {
            to.store(u64::from(from.load(Relaxed) != 0), Relaxed);
        }
    }

    fn tag_upwards(&mut self, mut node: u64, mut slot: usize, tag: usize) {
        loop {
            let inner = self.mm().node(node);
            let before = inner.tags[tag].load(Relaxed);
            inner.tags[tag].store(before | 1 << slot, Relaxed);
            let parent = inner.parent.load(Relaxed);
            if before != 0 || parent == 0 {
                return;
            }
            slot = offset_of(inner.place.load(Relaxed)) as usize;
            node = parent;
        }
    }
}
