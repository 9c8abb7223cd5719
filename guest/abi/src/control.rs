//! What the host writes into the guest while it stands at a doorbell.

use crate::fault::{FaultAttr, FaultCaller, FaultCandidate};
use core::sync::atomic::AtomicU32;
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

/// The host's side of the conversation. The guest reads it; it writes only the state inside the
/// fault attributes, and who is subject to them.
#[derive(Debug, FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Control {
    /// Not zero while a pressure profile has steps left: the workload keeps running.
    pub pressure_active: AtomicU32,
    /// Bits of the [`crate::view::ViewKind`]s that the guest is asked to write (bit `1 << kind`):
    /// it does so at its next safe point, one [`crate::platform::Doorbell::View`] each.
    pub views_wanted: AtomicU32,
    /// Failed page allocations.
    pub fail_page_alloc: FaultAttr,
    /// Failed slab allocations.
    pub failslab: FaultAttr,
    /// The process that allocates, which the guest notes here.
    pub caller: FaultCaller,
    /// The candidate at which the guest stands, which it notes here while one of the two is observed.
    pub candidate: FaultCandidate,
}

impl Control {
    /// Nothing asked for, nothing armed.
    pub const fn new() -> Self {
        Self {
            pressure_active: AtomicU32::new(0),
            views_wanted: AtomicU32::new(0),
            fail_page_alloc: FaultAttr::new(),
            failslab: FaultAttr::new(),
            caller: FaultCaller::new(),
            candidate: FaultCandidate::new(),
        }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self::new()
    }
}
