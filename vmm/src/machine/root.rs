//! The guest's root page, read and written from the host.
//!
//! Nothing in it is trusted: it is copied, checked and only then looked at.

use std::mem::{offset_of, size_of};

use pagelab_abi::control::Control;
use pagelab_abi::event::{EventClock, StopCondition};
use pagelab_abi::fault::FaultAttr;
use pagelab_abi::root::{MAGIC, Root};
use pagelab_abi::{PAGE_SHIFT, VERSION};
use thiserror::Error;
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};
use zerocopy::{FromZeros, IntoBytes};

use super::memory::GuestMemory;

/// Why the guest's root page cannot be used.
#[derive(Debug, Error)]
pub enum RootError {
    /// The guest has not named one.
    #[error("the guest has not named its root page; it is not a pagelab guest, or not yet up")]
    NotNamed,
    /// It is not in RAM.
    #[error("the guest's root page at pfn {pfn:#x} is not in its memory")]
    OutsideMemory {
        /// The page frame number that the guest gave.
        pfn: u64,
    },
    /// It does not start as a root page does.
    #[error(
        "the page at pfn {pfn:#x} is no root page: it starts with {:#018x}",
        u64::from_be_bytes(*found)
    )]
    Magic {
        /// The page frame number.
        pfn: u64,
        /// Its first bytes.
        found: [u8; 8],
    },
    /// It is that of another version.
    #[error(
        "the guest speaks version {guest} of the ABI, this program version {VERSION}; use the \
         guest that was built with it"
    )]
    Version {
        /// The guest's version.
        guest: u32,
    },
    /// It has another size.
    #[error(
        "the guest's root page has {guest} bytes, this program's {}; use the guest that was \
         built with it", size_of::<Root>()
    )]
    Size {
        /// The guest's size.
        guest: u32,
    },
    /// A page that was in RAM is no longer there.
    #[error("cannot access the guest's root page: {0}")]
    Access(#[from] GuestMemoryError),
}

/// The root page of a guest, checked.
#[derive(Clone, Copy, Debug)]
pub struct RootPage<'a> {
    memory: &'a GuestMemory,
    address: u64,
}

impl<'a> RootPage<'a> {
    /// Finds and checks the root page at `pfn`.
    ///
    /// # Errors
    /// [`RootError`] if it is not in RAM, or not a root page of this version.
    pub fn new(memory: &'a GuestMemory, pfn: u64) -> Result<Self, RootError> {
        let address = pfn
            .checked_mul(1 << PAGE_SHIFT)
            .filter(|address| is_in_memory(memory, *address))
            .ok_or(RootError::OutsideMemory { pfn })?;
        let page = Self { memory, address };
        let found: [u8; 8] = page.read_at(offset_of!(Root, magic))?;
        if found != MAGIC {
            return Err(RootError::Magic { pfn, found });
        }
        let guest = u32::from_le_bytes(page.read_at(offset_of!(Root, version))?);
        if guest != VERSION {
            return Err(RootError::Version { guest });
        }
        let guest = u32::from_le_bytes(page.read_at(offset_of!(Root, size))?);
        if guest as usize != size_of::<Root>() {
            return Err(RootError::Size { guest });
        }
        Ok(page)
    }

    /// The guest's memory.
    pub(super) fn memory(&self) -> &GuestMemory {
        self.memory
    }

    /// Guest physical address of the page.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// A copy of the whole page.
    ///
    /// # Errors
    /// [`RootError::Access`] if the page has gone.
    pub fn read(&self) -> Result<Box<Root>, RootError> {
        let mut root = Box::new(Root::new_zeroed());
        self.memory
            .read_slice(root.as_mut_bytes(), GuestAddress(self.address))?;
        Ok(root)
    }

    /// Events so far.
    ///
    /// # Errors
    /// [`RootError::Access`] if the page has gone.
    pub fn events(&self) -> Result<u64, RootError> {
        self.read_at(CLOCK + offset_of!(EventClock, count))
            .map(u64::from_le_bytes)
    }

    /// Arms the clock: `at` is the number of the event to stop at (`event::NEVER` for none),
    /// `condition` what else to stop at.
    ///
    /// # Errors
    /// [`RootError::Access`] if the page has gone.
    pub fn arm_stop(&self, at: u64, condition: Option<Condition>) -> Result<(), RootError> {
        let condition = condition.unwrap_or_default();
        let at_condition = CLOCK + offset_of!(EventClock, condition);
        let write = |offset, value: &[u8]| self.write_at(at_condition + offset, value);
        write(
            offset_of!(StopCondition, kind),
            &condition.kind.to_le_bytes(),
        )?;
        write(
            offset_of!(StopCondition, min_order),
            &condition.min_order.to_le_bytes(),
        )?;
        write(
            offset_of!(StopCondition, countdown),
            &condition.countdown.to_le_bytes(),
        )?;
        self.write_at(CLOCK + offset_of!(EventClock, at), &at.to_le_bytes())?;
        let recording: [u8; 4] = self.read_at(CLOCK + offset_of!(EventClock, recording))?;
        // The one word that the guest compares at each event: 0 while each is to be looked at.
        let next = match condition.kind == 0 && recording == [0; 4] {
            true => at,
            false => 0,
        };
        self.write_at(
            CLOCK + offset_of!(EventClock, next_stop),
            &next.to_le_bytes(),
        )
    }

    /// What the clock stops at besides an event.
    ///
    /// # Errors
    /// [`RootError::Access`] if the page has gone.
    pub fn condition(&self) -> Result<Condition, RootError> {
        const AT: usize = CLOCK + offset_of!(EventClock, condition);
        let word = |offset| self.read_at(AT + offset).map(u32::from_le_bytes);
        let countdown = self.read_at(AT + offset_of!(StopCondition, countdown))?;
        Ok(Condition {
            kind: word(offset_of!(StopCondition, kind))?,
            min_order: word(offset_of!(StopCondition, min_order))?,
            countdown: u64::from_le_bytes(countdown),
        })
    }

    /// Has the guest record each event from now on, for [`Self::take_events`].
    ///
    /// # Errors
    /// [`RootError::Access`] if the page has gone.
    pub fn start_recording(&self) -> Result<(), RootError> {
        let on = 1_u32.to_le_bytes();
        self.write_at(CLOCK + offset_of!(EventClock, recording), &on)?;
        self.write_at(CLOCK + offset_of!(EventClock, next_stop), &[0; 8])
    }

    /// Tells the workload whether pressure goes on.
    ///
    /// # Errors
    /// [`RootError::Access`] if the page has gone.
    pub fn set_pressure_active(&self, active: bool) -> Result<(), RootError> {
        let value = u32::from(active).to_le_bytes();
        self.write_at(CONTROL + offset_of!(Control, pressure_active), &value)
    }

    /// Asks for views: bit `1 << kind` for each [`pagelab_abi::view::ViewKind`].
    ///
    /// # Errors
    /// [`RootError::Access`] if the page has gone.
    pub fn set_views_wanted(&self, kinds: u32) -> Result<(), RootError> {
        let value = kinds.to_le_bytes();
        self.write_at(CONTROL + offset_of!(Control, views_wanted), &value)
    }

    /// Replaces the attribute for page allocations, its counters included.
    ///
    /// # Errors
    /// [`RootError::Access`] if the page has gone.
    pub fn set_fail_page_alloc(&self, attr: FaultAttr) -> Result<(), RootError> {
        self.set_fault(offset_of!(Control, fail_page_alloc), attr)
    }

    /// Replaces the attribute for slab allocations, its counters included.
    ///
    /// # Errors
    /// [`RootError::Access`] if the page has gone.
    pub fn set_failslab(&self, attr: FaultAttr) -> Result<(), RootError> {
        self.set_fault(offset_of!(Control, failslab), attr)
    }

    fn set_fault(&self, offset: usize, mut attr: FaultAttr) -> Result<(), RootError> {
        self.write_at(CONTROL + offset, attr.as_mut_bytes())
    }

    fn read_at<const N: usize>(&self, offset: usize) -> Result<[u8; N], RootError> {
        let mut bytes = [0; N];
        let address = GuestAddress(self.address + offset as u64);
        self.memory.read_slice(&mut bytes, address)?;
        Ok(bytes)
    }

    pub(super) fn write_at(&self, offset: usize, bytes: &[u8]) -> Result<(), RootError> {
        let address = GuestAddress(self.address + offset as u64);
        Ok(self.memory.write_slice(bytes, address)?)
    }
}

const CLOCK: usize = offset_of!(Root, clock);
const CONTROL: usize = offset_of!(Root, control);

/// "Stop at the k-th event of a kind", for [`RootPage::arm_stop`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Number of the [`pagelab_abi::event::EventKind`]; 0 means no condition.
    pub kind: u32,
    /// For page allocations: only those of at least this order.
    pub min_order: u32,
    /// Events of that kind left until the stop, at least 1.
    pub countdown: u64,
}

fn is_in_memory(memory: &GuestMemory, address: u64) -> bool {
    use vm_memory::GuestMemoryBackend;
    memory.check_range(GuestAddress(address), size_of::<Root>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::memory::{allocate, ram_ranges};
    use pagelab_abi::event::{EventKind, NEVER};
    use std::sync::atomic::Ordering::Relaxed;

    const PFN: u64 = 0x123;

    fn guest_with(root: &mut Root) -> GuestMemory {
        let memory = allocate(&ram_ranges(16 << 20).unwrap()).unwrap();
        memory
            .write_slice(root.as_mut_bytes(), GuestAddress(PFN << PAGE_SHIFT))
            .unwrap();
        memory
    }

    fn error(root: &mut Root) -> RootError {
        RootPage::new(&guest_with(root), PFN).unwrap_err()
    }

    #[test]
    fn a_page_that_is_no_root_is_refused() {
        let mut root = Root::new();
        root.magic[3] ^= 1;
        assert!(matches!(
            error(&mut root),
            RootError::Magic { pfn: PFN, .. }
        ));
        let mut root = Root::new();
        root.version += 1;
        assert!(matches!(error(&mut root), RootError::Version { .. }));
        let mut root = Root::new();
        root.size -= 1;
        assert!(matches!(error(&mut root), RootError::Size { guest: 4095 }));
    }

    #[test]
    fn a_root_outside_memory_is_refused() {
        let memory = guest_with(&mut Root::new());
        for pfn in [(16 << 20) >> PAGE_SHIFT, u64::from(u32::MAX), u64::MAX] {
            let error = RootPage::new(&memory, pfn).unwrap_err();
            assert!(matches!(error, RootError::OutsideMemory { .. }));
        }
    }

    #[test]
    fn what_the_host_writes_the_guest_reads() {
        let memory = guest_with(&mut Root::new());
        let page = RootPage::new(&memory, PFN).unwrap();
        page.arm_stop(77, None).unwrap();
        page.set_pressure_active(true).unwrap();
        page.set_views_wanted(5).unwrap();
        let mut attr = FaultAttr::new();
        attr.nth = 9.into();
        attr.cache[..3].copy_from_slice(b"vma");
        page.set_failslab(attr).unwrap();
        let root = page.read().unwrap();
        assert_eq!(root.clock.next_stop.load(Relaxed), 77);
        assert_eq!(root.control.pressure_active.load(Relaxed), 1);
        assert_eq!(root.control.views_wanted.load(Relaxed), 5);
        assert_eq!(root.control.failslab.nth.load(Relaxed), 9);
        assert_eq!(&root.control.failslab.cache[..4], b"vma\0");
        assert_eq!(root.control.fail_page_alloc.nth.load(Relaxed), 0);
    }

    #[test]
    fn an_armed_condition_stops_the_guests_own_clock() {
        let memory = guest_with(&mut Root::new());
        let page = RootPage::new(&memory, PFN).unwrap();
        let condition = Condition {
            kind: EventKind::PageAlloc as u32,
            min_order: 2,
            countdown: 2,
        };
        page.arm_stop(NEVER, Some(condition)).unwrap();
        let clock = page.read().unwrap().clock;
        let stops: Vec<_> = [1, 2, 3, 3]
            .iter()
            .map(|order| {
                clock.tick(EventKind::PageAlloc, 0, *order)
                    && clock.is_wanted(EventKind::PageAlloc, *order)
            })
            .collect();
        assert_eq!(stops, [false, false, true, false]);
    }
}
