//! Blocks that the host has: a stack through the `next` field of their frame descriptors.

use crate::memory::Memory;
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::page::{NONE, order_of};
use pagelab_mm::{Order, Pfn};

/// The blocks in the balloon.
pub(super) struct Held {
    top: u32,
    pages: u32,
}

impl Held {
    pub(super) const fn new() -> Self {
        Self {
            top: NONE,
            pages: 0,
        }
    }

    /// Pages in all blocks.
    pub(super) fn pages(&self) -> u32 {
        self.pages
    }

    /// Adds a block that [`Memory::balloon_inflate`] took.
    pub(super) fn push(&mut self, mm: &Memory, pfn: Pfn, order: Order) {
        let page = mm
            .page(pfn)
            .expect("a block in the balloon has a descriptor");
        page.next.store(self.top, Relaxed);
        self.top = pfn.0;
        self.pages += order.pages();
    }

    /// The block on top.
    pub(super) fn top(&self, mm: &Memory) -> Option<(Pfn, Order)> {
        if self.top == NONE {
            return None;
        }
        let pfn = Pfn(self.top);
        let page = mm
            .page(pfn)
            .expect("a block in the balloon has a descriptor");
        let order = Order::new(order_of(page.flags.load(Relaxed)));
        Some((pfn, order.expect("a block in the balloon has an order")))
    }

    /// Takes the block on top away.
    pub(super) fn pop(&mut self, mm: &Memory) -> Option<(Pfn, Order)> {
        let (pfn, order) = self.top(mm)?;
        let page = mm
            .page(pfn)
            .expect("a block in the balloon has a descriptor");
        self.top = page.next.load(Relaxed);
        self.pages -= order.pages();
        Some((pfn, order))
    }
}
