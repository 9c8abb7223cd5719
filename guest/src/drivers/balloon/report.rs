//! Free page reporting: the host may discard what is in a free block.

use super::{Balloon, REPORT_EVENTS, device::REPORT_BLOCKS};
use crate::{drivers::virtio::queue::Buffer, memory::Memory, root};
use pagelab_abi::PAGE_SIZE;
use pagelab_mm::{Order, Pfn};

impl Balloon {
    /// Reports some free blocks of at least a pageblock, if it is time and the host wants to know.
    pub(super) fn report_free_pages(&mut self, mm: &Memory) {
        let now = root::events();
        if !self.device.has_reporting() || !self.device.is_usable() || now < self.report_at {
            return;
        }
        self.report_at = now + REPORT_EVENTS;
        let mut blocks = [(Pfn(0), Order::ZERO); REPORT_BLOCKS];
        let count = mm.report_isolate(Order::PAGEBLOCK, &mut blocks);
        let blocks = &blocks[..count];
        if blocks.is_empty() {
            return;
        }
        let buffers = blocks.iter().map(|(pfn, order)| Buffer {
            address: pfn.phys(),
            len: order.pages() * PAGE_SIZE as u32,
        });
        let told = self.device.report(buffers).is_ok();
        mm.report_putback(blocks, told);
    }
}
