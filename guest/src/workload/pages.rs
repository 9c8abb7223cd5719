//! Page blocks: which flags and orders, and what must hold of what one gets.

use super::{
    content::{Touch, checked, count, touch_pages},
    rng::Rng,
};
use crate::{memory::Memory, root::progress};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    gfp::Gfp,
    zone::{Zone, ZoneKind},
};
use pagelab_mm::{Order, Pfn};

/// A block that is held.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pfn: Pfn,
    order: Order,
}

/// Flags in the proportions in which they are asked for.
pub(super) const MIXED: [Gfp; 12] = [
    Gfp::KERNEL,
    Gfp::KERNEL,
    Gfp::KERNEL.union(Gfp::ZERO),
    Gfp::KERNEL.union(Gfp::COMP),
    Gfp::KERNEL.union(Gfp::RECLAIMABLE),
    Gfp::KERNEL.union(Gfp::NORETRY).union(Gfp::NOWARN),
    Gfp::ATOMIC,
    Gfp::NOWAIT,
    Gfp::KERNEL.union(Gfp::DMA),
    Gfp::HIGHUSER_MOVABLE,
    Gfp::HIGHUSER_MOVABLE.union(Gfp::ZERO),
    Gfp::HIGHUSER,
];

/// Flags of programs' pages.
pub(super) const HIGH: [Gfp; 3] = [
    Gfp::HIGHUSER_MOVABLE,
    Gfp::HIGHUSER_MOVABLE.union(Gfp::ZERO),
    Gfp::HIGHUSER,
];

/// An order: mostly single pages, now and then a large block.
pub(super) fn order(rng: &mut Rng) -> Order {
    const ORDERS: [u8; 32] = [
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 4,
        5, 11,
    ];
    let order = match *rng.pick(&ORDERS) {
        11 => 6 + rng.below(5),
        order => order.into(),
    };
    Order::new(order).unwrap_or(Order::ZERO)
}

/// Allocates a block, checks what the flags promise, and writes the pattern.
pub(super) fn alloc(mm: &Memory, gfp: Gfp, order: Order, stamp: u64) -> Option<Block> {
    let Ok(pfn) = mm.alloc_pages(gfp, order) else {
        count(&progress().pages_failed);
        return None;
    };
    count(&progress().pages_ok);
    checked(zone_is_right(mm, pfn, gfp) && pfn.0 % order.pages() == 0);
    if gfp.contains(Gfp::ZERO) {
        touch_pages(mm, pfn, order, stamp, Touch::CheckZero);
    }
    touch_pages(mm, pfn, order, stamp, Touch::Write);
    Some(Block { pfn, order })
}

/// Checks the pattern and gives the block back.
pub(super) fn free(mm: &Memory, block: Block, stamp: u64) {
    touch_pages(mm, block.pfn, block.order, stamp, Touch::Check);
    mm.free_pages(block.pfn, block.order);
}

/// Whether a frame is in a zone that the flags allow.
fn zone_is_right(mm: &Memory, pfn: Pfn, gfp: Gfp) -> bool {
    let state = mm.state();
    let holds = |zone: &&Zone| pfn.0.wrapping_sub(zone.start_pfn) < zone.spanned;
    let zones = &state.zones[..state.nr_zones as usize];
    let Some(zone) = zones.iter().find(holds) else {
        return false;
    };
    let managed = zone.managed.load(Relaxed) > 0;
    managed
        && match ZoneKind::from_u32(zone.kind) {
            Some(ZoneKind::Dma) => true,
            Some(ZoneKind::Dma32 | ZoneKind::Normal) => !gfp.contains(Gfp::DMA),
            Some(ZoneKind::HighMem) => gfp.contains(Gfp::HIGHMEM),
            Some(ZoneKind::Movable) => gfp.contains(Gfp::HIGHMEM.union(Gfp::MOVABLE)),
            None => false,
        }
}
