//! The memory of a machine that stands still.

use std::{ops::Range, slice};

use vm_memory::{
    Address, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, MemoryRegionAddress,
    bitmap::Bitmap,
};

use super::{PAGE_BYTES, PhysMem};

/// A view of a virtual machine's memory while nothing runs in it.
#[derive(Debug)]
pub struct LiveMemory<'a> {
    ranges: Vec<Range<u64>>,
    bytes: Vec<&'a [u8]>,
}

impl<'a> LiveMemory<'a> {
    /// Views `memory`. Costs one small allocation; no page is touched.
    ///
    /// # Safety
    /// As long as the view lives nothing may write this memory: every vCPU that can reach it has
    /// left `KVM_RUN`, and no device or thread of this process serves the guest.
    pub unsafe fn new<B: Bitmap>(memory: &'a GuestMemoryMmap<B>) -> Self {
        let mut ranges = Vec::new();
        let mut bytes = Vec::new();
        // The collection keeps its regions ascending and without overlap.
        for region in GuestMemoryBackend::iter(memory) {
            let len = (region.len() as usize) / PAGE_BYTES * PAGE_BYTES;
            let Ok(host) = region.get_host_address(MemoryRegionAddress(0)) else {
                continue;
            };
            let start = region.start_addr().raw_value();
            ranges.push(start..start + len as u64);
            // SAFETY: the region is mapped readable at `host` for all of `len` bytes as long as
            // `memory` is borrowed, and by this function's contract nothing writes it meanwhile.
            bytes.push(unsafe { slice::from_raw_parts(host.cast_const(), len) });
        }
        Self { ranges, bytes }
    }
}

impl PhysMem for LiveMemory<'_> {
    fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    #[inline]
    fn slice(&self, gpa: u64, len: usize) -> Option<&[u8]> {
        let index = self.ranges.partition_point(|range| range.end <= gpa);
        let into = gpa.checked_sub(self.ranges.get(index)?.start)? as usize;
        self.bytes[index].get(into..into.checked_add(len)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::{Bytes, GuestAddress};

    #[test]
    fn sees_what_the_machine_holds() {
        let memory: GuestMemoryMmap = GuestMemoryMmap::from_ranges(&[
            (GuestAddress(0), 0x3000),
            (GuestAddress(0x10_0000), 0x1000),
        ])
        .unwrap();
        memory
            .write_obj(0x1122_u64, GuestAddress(0x10_0008))
            .unwrap();
        // SAFETY: there is no vCPU and no other thread.
        let view = unsafe { LiveMemory::new(&memory) };
        assert_eq!(view.ranges(), [0..0x3000, 0x10_0000..0x10_1000]);
        assert_eq!(view.page(0x10_0000).unwrap()[1].get(), 0x1122);
        assert!(view.page(0x3000).is_none());
        assert!(view.slice(0x2fff, 2).is_none());
        assert!(view.slice(0x1000, usize::MAX).is_none());
    }
}
