//! Memory slots: how the regions of RAM are given to KVM. Usually one slot is one region; read-only frames
//! cut their region into several.
//!
//! A store to a read-only frame does not reach memory: it leaves the guest as one to a device does, and is
//! dropped, as by a ROM (Documentation/virt/kvm/api.rst: KVM_MEM_READONLY).

use std::ops::Range;

use kvm_bindings::{KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::{Cap, VmFd};
use pagelab_abi::PAGE_SHIFT;
use thiserror::Error;
use vm_memory::{Address, GuestMemoryBackend, GuestMemoryRegion};

use super::host::HostError;
use super::machine::Machine;
use super::memory::GuestMemory;

/// Most slots that RAM is cut into: each costs KVM a search.
const MAX_SLOTS: usize = 64;

/// Why frames were not made read-only.
#[derive(Debug, Error)]
pub enum ReadonlyError {
    /// KVM has no read-only memory.
    #[error(
        "this host's KVM has no read-only memory: it lacks KVM_CAP_READONLY_MEM; see `pagelab doctor`"
    )]
    Unsupported,
    /// The frames are not RAM, or not all of them.
    #[error("frames {:#x} to {:#x} are not all RAM", .0.start, .0.end.saturating_sub(1))]
    NotRam(Range<u64>),
    /// RAM would be cut into too many pieces.
    #[error("RAM would be cut into more than {MAX_SLOTS} pieces; give fewer ranges")]
    TooMany,
    /// KVM failed.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Part of a region that is one slot. Its number is its place in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// The region's place.
    pub(super) region: usize,
    /// Its pages, from the region's first on.
    pub(super) pages: Range<u64>,
    pub(super) readonly: bool,
}

/// The slots of a machine, and the stores that they have dropped.
#[derive(Debug, Default)]
pub(super) struct Slots {
    list: Vec<Slot>,
    /// Guest physical addresses of what is read-only.
    readonly: Vec<Range<u64>>,
    dropped: u64,
}

impl Slots {
    /// One for each region.
    pub(super) fn whole(memory: &GuestMemory) -> Self {
        let slot = |(region, mapped): (usize, &_)| Slot {
            region,
            pages: 0..GuestMemoryRegion::len(mapped) >> PAGE_SHIFT,
            readonly: false,
        };
        Self {
            list: memory.iter().enumerate().map(slot).collect(),
            ..Self::default()
        }
    }

    /// The same with some pages of a region read-only.
    fn with_readonly(&self, region: usize, pages: &Range<u64>) -> Self {
        let cut = |slot: &Slot| {
            let inner = slot.pages.start.max(pages.start)..slot.pages.end.min(pages.end);
            if slot.region != region || slot.readonly || inner.is_empty() {
                return vec![slot.clone()];
            }
            let parts = [
                (slot.pages.start..inner.start, false),
                (inner.clone(), true),
                (inner.end..slot.pages.end, false),
            ];
            let parts = parts.into_iter().filter(|(pages, _)| !pages.is_empty());
            parts
                .map(|(pages, readonly)| Slot {
                    region,
                    pages,
                    readonly,
                })
                .collect()
        };
        Self {
            list: self.list.iter().flat_map(cut).collect(),
            readonly: self.readonly.clone(),
            dropped: self.dropped,
        }
    }

    /// Slots to which stores go, with their numbers.
    pub(super) fn writable(&self) -> impl Iterator<Item = (u32, &Slot)> {
        (0..).zip(&self.list).filter(|(_, slot)| !slot.readonly)
    }

    /// Whether any frame is read-only.
    pub(super) fn has_readonly(&self) -> bool {
        !self.readonly.is_empty()
    }

    /// Whether a store to this address is one to read-only memory. It is counted.
    pub(super) fn drops(&mut self, gpa: u64) -> bool {
        let dropped = self.readonly.iter().any(|range| range.contains(&gpa));
        self.dropped += u64::from(dropped);
        dropped
    }

    /// Gives the guest its memory.
    pub(super) fn set(&self, vm: &VmFd, memory: &GuestMemory, log: bool) -> Result<(), HostError> {
        for (number, slot) in (0..).zip(&self.list) {
            let Some(region) = memory.iter().nth(slot.region) else {
                continue;
            };
            let offset = slot.pages.start << PAGE_SHIFT;
            let region = kvm_userspace_memory_region {
                slot: number,
                guest_phys_addr: region.start_addr().raw_value() + offset,
                memory_size: (slot.pages.end - slot.pages.start) << PAGE_SHIFT,
                userspace_addr: region.as_ptr() as u64 + offset,
                flags: match slot.readonly {
                    true => KVM_MEM_READONLY,
                    false if log => KVM_MEM_LOG_DIRTY_PAGES,
                    false => 0,
                },
            };
            // SAFETY: the range is part of a mapping of this process that `memory` owns; `Machine` keeps
            // it until the VM is gone.
            unsafe { vm.set_user_memory_region(region) }
                .map_err(HostError::kvm("give the guest its memory"))?;
        }
        Ok(())
    }

    /// Takes the guest its memory, with all that KVM has derived from it.
    pub(super) fn forget(&self, vm: &VmFd) -> Result<(), HostError> {
        for slot in (0..).take(self.list.len()) {
            let region = kvm_userspace_memory_region {
                slot,
                ..Default::default()
            };
            // SAFETY: a slot of no size refers to no memory.
            unsafe { vm.set_user_memory_region(region) }
                .map_err(HostError::kvm("take the guest its memory"))?;
        }
        Ok(())
    }
}

impl Machine {
    /// Lets the guest's stores to these frames be dropped from now on, until a restore.
    ///
    /// # Errors
    /// [`ReadonlyError`]; then the guest has its memory as before, unless KVM failed.
    pub fn make_readonly(&mut self, pfns: Range<u64>) -> Result<(), ReadonlyError> {
        if !self.vm().check_extension(Cap::ReadonlyMem) {
            return Err(ReadonlyError::Unsupported);
        }
        let regions = self.memory().iter().enumerate();
        let of_region = regions.map(|(index, region)| {
            let first = region.start_addr().raw_value() >> PAGE_SHIFT;
            (index, first..first + (region.len() >> PAGE_SHIFT))
        });
        let found = of_region.filter(|(_, frames)| {
            frames.start <= pfns.start && pfns.end <= frames.end && !pfns.is_empty()
        });
        let Some((index, frames)) = found.last() else {
            return Err(ReadonlyError::NotRam(pfns));
        };
        let pages = pfns.start - frames.start..pfns.end - frames.start;
        let mut slots = self.slots.with_readonly(index, &pages);
        if slots.list.len() > MAX_SLOTS {
            return Err(ReadonlyError::TooMany);
        }
        slots
            .readonly
            .push(pfns.start << PAGE_SHIFT..pfns.end << PAGE_SHIFT);
        self.change_slots(slots)?;
        Ok(())
    }

    /// Gives the guest its memory by other slots. What KVM has noted of stores so far is kept.
    pub(super) fn change_slots(&mut self, slots: Slots) -> Result<(), HostError> {
        if self.tracking.is_logging() {
            self.dirty_frames()?;
        }
        self.slots.forget(self.vm())?;
        slots.set(self.vm(), self.memory(), self.tracking.is_logging())?;
        self.slots = slots;
        Ok(())
    }

    /// Whether any frame is read-only.
    pub fn has_readonly(&self) -> bool {
        self.slots.has_readonly()
    }

    /// Stores of the guest to RAM that were dropped because the frame was read-only.
    pub fn dropped_stores(&self) -> u64 {
        self.slots.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::memory::{allocate, ram_ranges};
    use proptest::prelude::*;

    #[test]
    fn a_range_cuts_its_region() {
        let memory = allocate(&ram_ranges(16 << 20).unwrap()).unwrap();
        let whole = Slots::whole(&memory);
        let cut = whole
            .with_readonly(0, &(10..12))
            .with_readonly(0, &(11..20));
        let pages: Vec<_> = cut
            .list
            .iter()
            .map(|slot| (slot.pages.clone(), slot.readonly))
            .collect();
        assert_eq!(
            pages,
            [
                (0..10, false),
                (10..12, true),
                (12..20, true),
                (20..4096, false)
            ]
        );
        assert_eq!(
            cut.writable().map(|(number, _)| number).collect::<Vec<_>>(),
            [0, 3]
        );
    }

    proptest! {
        #[test]
        fn whatever_is_cut_all_pages_are_there_once(
            ranges in prop::collection::vec((0u64..4096, 1u64..500), 0..8)
        ) {
            let memory = allocate(&ram_ranges(16 << 20).unwrap()).unwrap();
            let mut slots = Slots::whole(&memory);
            let mut readonly = vec![false; 4096];
            for (start, len) in ranges {
                let pages = start..(start + len).min(4096);
                readonly[pages.start as usize..pages.end as usize].fill(true);
                slots = slots.with_readonly(0, &pages);
            }
            let mut next = 0;
            for slot in &slots.list {
                prop_assert_eq!(slot.pages.start, next);
                for page in slot.pages.clone() {
                    prop_assert_eq!(readonly[page as usize], slot.readonly);
                }
                next = slot.pages.end;
            }
            prop_assert_eq!(next, 4096);
        }
    }
}
