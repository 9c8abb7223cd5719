//! Towards the target: the largest blocks first, so that a gibibyte is a few hundred allocations.

use super::{Balloon, RETRY_EVENTS, device::Way, frames};
use crate::{memory::Memory, root};
use pagelab_mm::{Order, Pfn};

/// Chunks of frames handed over at one safe point: 32 MiB.
const CHUNKS: u32 = 8;

/// Blocks that a chunk may have.
const BLOCKS: usize = 64;

/// Pages of a chunk below which a safe point leaves it at that: the blocks have become small, and
/// each costs events that the workload waits for.
const SMALL_CHUNK: u32 = 256;

impl Balloon {
    /// Brings the balloon closer to its target.
    pub(super) fn adjust(&mut self, mm: &Memory) {
        for _ in 0..CHUNKS {
            let held = self.held.pages();
            let moved = if self.target < held {
                self.deflate_to(mm, self.target)
            } else if self.target > held {
                self.inflate(mm)
            } else {
                return;
            };
            if moved < SMALL_CHUNK {
                return;
            }
        }
    }

    /// Hands one chunk of frames to the host; returns how many.
    fn inflate(&mut self, mm: &Memory) -> u32 {
        if !self.device.is_usable() || root::events() < self.retry_at {
            return 0;
        }
        let before = self.held.pages();
        for _ in 0..BLOCKS {
            let missing = self.target - self.held.pages();
            let room = missing.min(self.device.room());
            let Some(max) = room
                .checked_ilog2()
                .and_then(|order| Order::new(order.min(10)))
            else {
                break;
            };
            let Ok((pfn, order)) = mm.balloon_inflate(max) else {
                self.retry_at = root::events() + RETRY_EVENTS;
                break;
            };
            self.held.push(mm, pfn, order);
            self.device.list(frames(pfn, order));
        }
        let pages = self.held.pages() - before;
        if pages == 0 {
            return 0;
        }
        let told = self.device.tell(Way::Inflate).is_ok();
        self.device.set_actual(self.held.pages());
        if told { pages } else { 0 }
    }

    /// Takes frames back until the host has `keep` or a chunk is full; returns how many.
    pub(super) fn deflate_to(&mut self, mm: &Memory, keep: u32) -> u32 {
        let mut blocks = [(Pfn(0), Order::ZERO); BLOCKS];
        let mut count = 0;
        let mut pages = 0;
        while self.device.is_usable() && count < BLOCKS {
            let excess = self.held.pages().saturating_sub(keep);
            let Some((pfn, order)) = self.held.top(mm).filter(|_| excess > 0) else {
                break;
            };
            // Split only where the target asks for it: a block that this chunk has no room for is
            // whole in the next one.
            if order.pages().min(excess) > self.device.room() {
                break;
            }
            self.held.pop(mm);
            let order = self.split_to(mm, pfn, order, excess.min(self.device.room()));
            self.device.list(frames(pfn, order));
            blocks[count] = (pfn, order);
            count += 1;
            pages += order.pages();
        }
        // Whether the feature was negotiated or not, the host knows before a frame is used again.
        let told = self.device.tell(Way::Deflate);
        for &(pfn, order) in &blocks[..count] {
            if told.is_ok() {
                mm.balloon_deflate(pfn, order);
            } else {
                self.held.push(mm, pfn, order);
            }
        }
        if pages == 0 || told.is_err() {
            return 0;
        }
        self.device.set_actual(self.held.pages());
        pages
    }

    /// Splits a block until its first part has at most `room` pages; the other parts stay with the
    /// host.
    fn split_to(&mut self, mm: &Memory, pfn: Pfn, mut order: Order, room: u32) -> Order {
        while order.pages() > room {
            mm.split_page(pfn, order);
            let half = Order::new(order.get() - 1).expect("a block of one page fits any room");
            self.held.push(mm, pfn.add(half.pages()), half);
            order = half;
        }
        order
    }
}
