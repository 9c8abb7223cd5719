//! The direct map's place in virtual memory.

use crate::machine::Machine;
use pagelab_abi::PAGE_SHIFT;

/// Where physical address 0 stands, or would stand, in the direct map. The direct map is linear,
/// so this one address replaces a question to the machine for each pointer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirectMap(*mut u8);

// SAFETY: it is only an address; what is done with it is each user's own affair.
unsafe impl Send for DirectMap {}
// SAFETY: as above.
unsafe impl Sync for DirectMap {}

impl DirectMap {
    /// The direct map of a machine in which it contains frame `pfn`; none if it does not.
    pub(crate) fn of<M: Machine>(machine: &M, pfn: u32) -> Option<Self> {
        let pointer = machine.direct_map(pfn)?;
        Some(Self(
            pointer.as_ptr().wrapping_sub((pfn as usize) << PAGE_SHIFT),
        ))
    }

    /// The address.
    #[inline(always)]
    pub(crate) const fn base(self) -> *mut u8 {
        self.0
    }
}
