//! Which frames the guest's CPU stores to (Documentation/virt/kvm/api.rst: KVM_GET_DIRTY_LOG). What
//! devices store does not show: they use the host's own mapping.

use std::collections::BTreeSet;

use kvm_bindings::{KVM_MEM_LOG_DIRTY_PAGES, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use pagelab_abi::PAGE_SHIFT;
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};

use super::host::HostError;
use super::machine::Machine;
use super::memory::GuestMemory;

/// Gives the guest its memory, whose slots are numbered from 0 on.
pub(super) fn set_memory(vm: &VmFd, memory: &GuestMemory, flags: u32) -> Result<(), HostError> {
    for (slot, region) in (0..).zip(memory.iter()) {
        let region = kvm_userspace_memory_region {
            slot,
            guest_phys_addr: region.start_addr().raw_value(),
            memory_size: region.len(),
            userspace_addr: region.as_ptr() as u64,
            flags,
        };
        // SAFETY: the range is a mapping of this process that `memory` owns; `Machine` keeps it
        // until the VM is gone.
        unsafe { vm.set_user_memory_region(region) }
            .map_err(HostError::kvm("give the guest its memory"))?;
    }
    Ok(())
}

/// Takes the guest its memory, with all that KVM has derived from it.
pub(super) fn forget_memory(vm: &VmFd, memory: &GuestMemory) -> Result<(), HostError> {
    for (slot, region) in (0..).zip(memory.iter()) {
        let region = kvm_userspace_memory_region {
            slot,
            guest_phys_addr: region.start_addr().raw_value(),
            ..Default::default()
        };
        // SAFETY: a slot of no size refers to no memory.
        unsafe { vm.set_user_memory_region(region) }
            .map_err(HostError::kvm("take the guest its memory"))?;
    }
    Ok(())
}

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
        set_memory(self.vm(), self.memory(), KVM_MEM_LOG_DIRTY_PAGES)
    }

    /// Frames that the CPU stored to since [`Self::start_dirty_log`], or since this was last asked.
    ///
    /// # Errors
    /// [`HostError`] if KVM cannot, as when nothing was started.
    pub fn dirty_frames(&self) -> Result<BTreeSet<u32>, HostError> {
        let mut frames = BTreeSet::new();
        for (slot, region) in (0..).zip(self.memory().iter()) {
            let first = region.start_addr().raw_value() >> PAGE_SHIFT;
            let words = self
                .vm()
                .get_dirty_log(slot, region.len() as usize)
                .map_err(HostError::kvm("read which frames were stored to"))?;
            if self.tracking.is_logging() {
                self.tracking.keep(slot as usize, ones(&words));
            }
            for (index, word) in (0..).zip(words) {
                let bits = (0..64).filter(|bit| word >> bit & 1 != 0);
                let pfns = bits.map(|bit| first + index * 64 + bit);
                frames.extend(pfns.filter_map(|pfn| u32::try_from(pfn).ok()));
            }
        }
        Ok(frames)
    }
}
