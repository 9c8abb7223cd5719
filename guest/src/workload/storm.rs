//! Allocate until it fails, free a random part, and again.

use super::{content::count, pages, rng::Rng};
use crate::{memory::Memory, root::progress, safe_point};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    gfp::Gfp,
    page::{NONE, order_of},
};
use pagelab_mm::{Order, Pfn};

/// Rounds of filling and freeing.
const ROUNDS: u32 = 4;

/// Failures in a row after which memory counts as full.
const FULL: u32 = 16;

/// Blocks that are held, as a list through their frame descriptors.
struct Stack {
    top: u32,
}

impl Stack {
    const EMPTY: Self = Self { top: NONE };

    fn push(&mut self, mm: &Memory, pfn: Pfn) {
        let page = mm.page(pfn).expect("an allocated block has a descriptor");
        page.next.store(self.top, Relaxed);
        self.top = pfn.0;
    }

    fn pop(&mut self, mm: &Memory) -> Option<(Pfn, Order)> {
        let pfn = (self.top != NONE).then_some(Pfn(self.top))?;
        let page = mm.page(pfn).expect("an allocated block has a descriptor");
        self.top = page.next.load(Relaxed);
        let order = Order::new(order_of(page.flags.load(Relaxed)));
        Some((pfn, order.expect("an allocated block has an order")))
    }

    fn free_all(&mut self, mm: &Memory) {
        while let Some((pfn, order)) = self.pop(mm) {
            mm.free_pages(pfn, order);
            count(&progress().steps);
            safe_point::pass();
        }
    }
}

/// Fills memory with blocks of flags that `gfp` draws, and frees half of them, [`ROUNDS`] times.
pub(super) fn run(mm: &Memory, rng: &mut Rng, gfp: fn(&mut Rng) -> Gfp) {
    let mut stacks = [Stack::EMPTY, Stack::EMPTY];
    for _ in 0..ROUNDS {
        let mut failures = 0;
        while failures < FULL {
            // The first rounds of a gibibyte in single pages would take minutes: most of memory
            // goes in large blocks, and what is left of it in small ones.
            let order = if rng.below(4) == 0 {
                pages::order(rng)
            } else {
                Order::MAX
            };
            let order = if failures > 0 {
                pages::order(rng)
            } else {
                order
            };
            match mm.alloc_pages(gfp(rng), order) {
                Ok(pfn) => {
                    count(&progress().pages_ok);
                    failures = 0;
                    stacks[rng.below(2) as usize].push(mm, pfn);
                }
                Err(_) => {
                    count(&progress().pages_failed);
                    failures += 1;
                }
            }
            count(&progress().steps);
            safe_point::pass();
        }
        stacks[rng.below(2) as usize].free_all(mm);
    }
    for stack in &mut stacks {
        stack.free_all(mm);
    }
}

/// Flags of all kinds.
pub(super) fn any(rng: &mut Rng) -> Gfp {
    // Contents are not looked at here, and a page of HIGHMEM need not be zeroed.
    rng.pick(&pages::MIXED)
        .difference(Gfp::ZERO)
        .union(Gfp::NOWARN)
}

/// Flags that reach all of memory and reclaim before they fail.
pub(super) fn everything(_: &mut Rng) -> Gfp {
    Gfp::HIGHUSER_MOVABLE.union(Gfp::NOWARN)
}
