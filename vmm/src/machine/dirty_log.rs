//! Which frames the guest's CPU stores to (Documentation/virt/kvm/api.rst: KVM_GET_DIRTY_LOG). What
//! devices store does not show: they use the host's own mapping.

use std::collections::BTreeSet;

use pagelab_abi::PAGE_SHIFT;
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};

use super::host::HostError;
use super::machine::Machine;
use super::slots::Slot;

/// Numbers of the bits that are set, ascending.
pub(super) fn ones(words: &[u64]) -> impl Iterator<Item = u64> + '_ {
    (0..).zip(words).flat_map(|(index, word)| {
        let mut left = *word;
        std::iter::from_fn(move || {
            let bit = u64::from(left.trailing_zeros());
            (left != 0).then(|| {
                left &= left - 1;
                index * 64 + bit
            })
        })
    })
}

impl Machine {
    /// Notes the frames that the CPU stores to from now on.
    ///
    /// # Errors
    /// [`HostError`] if KVM cannot.
    pub fn start_dirty_log(&self) -> Result<(), HostError> {
        if self.tracking.is_logging() {
            return self.dirty_frames().map(drop);
        }
        self.slots.set(self.vm(), self.memory(), true)
    }

    /// Frames that the CPU stored to since [`Self::start_dirty_log`], or since this was last asked.
    ///
    /// # Errors
    /// [`HostError`] if KVM cannot, as when nothing was started.
    pub fn dirty_frames(&self) -> Result<BTreeSet<u32>, HostError> {
        let mut frames = BTreeSet::new();
        for (number, slot) in self.slots.writable() {
            let Some(region) = self.memory().iter().nth(slot.region) else {
                continue;
            };
            let first = region.start_addr().raw_value() >> PAGE_SHIFT;
            let words = self.slot_log(number, slot)?;
            let pages = || ones(&words).map(|page| slot.pages.start + page);
            if self.tracking.is_logging() {
                self.tracking.keep(slot.region, pages());
            }
            let pfns = pages().map(|page| first + page);
            frames.extend(pfns.filter_map(|pfn| u32::try_from(pfn).ok()));
        }
        Ok(frames)
    }

    /// Which pages of a slot were stored to since KVM was last asked, as bits.
    pub(super) fn slot_log(&self, number: u32, slot: &Slot) -> Result<Vec<u64>, HostError> {
        let bytes = (slot.pages.end - slot.pages.start) << PAGE_SHIFT;
        self.vm()
            .get_dirty_log(number, bytes as usize)
            .map_err(HostError::kvm("read which frames were stored to"))
    }
}
