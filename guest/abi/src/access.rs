//! What the CPU said about generated page tables: results of the workload `access`.
//!
//! The guest builds page tables in which the entries of one level differ in their bits, tries
//! accesses through them, notes how each ended, and rings [`crate::platform::Doorbell::Batch`]. The
//! tables stay as they are until the host lets the guest go on (but the CPU has set accessed and
//! dirty bits in them), and one batch has one setting of the control registers: so the host can
//! walk the tables and compare its prediction with each record. The idea is that of kvm-unit-tests'
//! x86/access.c.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum AccessKind {
    /// A load of one byte.
    Read = 0,
    /// A store of one byte, which does not change it.
    Write = 1,
    /// A call of the address.
    Fetch = 2,
}

impl AccessKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Fetch];

    /// The kind with this number, if there is one.
    pub const fn from_u8(value: u8) -> Option<Self> {
        Some(match value {
            0 => Self::Read,
            1 => Self::Write,
            2 => Self::Fetch,
            _ => return None,
        })
    }
}

/// [`AccessRecord::vector`] of an access that did not fault.
pub const NO_FAULT: u8 = 0xff;

/// Vector of a page fault.
pub const PAGE_FAULT: u8 = 14;

/// One access and how it ended.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AccessRecord {
    /// Virtual address.
    pub address: u64,
    /// Error code of the exception (Intel SDM vol. 3, 4.7), 0 without one.
    pub error_code: u32,
    /// Number of the [`AccessKind`].
    pub kind: u8,
    /// Ring it was made in: 0 or 3. RFLAGS.AC was 0.
    pub ring: u8,
    /// Vector of the exception, or [`NO_FAULT`].
    pub vector: u8,
    /// 1 if the exception was a page fault but CR2 was not `address`.
    pub wrong_cr2: u8,
}

/// A batch of records. Valid at [`crate::platform::Doorbell::Batch`].
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AccessBatch {
    /// Physical address of the [`AccessRecord`]s, contiguous.
    pub records: u64,
    /// Records in this batch.
    pub count: u32,
    /// Number of this batch, from 0.
    pub number: u32,
    /// CR3 during the accesses.
    pub cr3: u64,
    /// CR0 during the accesses.
    pub cr0: u64,
    /// CR4 during the accesses.
    pub cr4: u64,
    /// EFER during the accesses.
    pub efer: u64,
    /// Physical address bits by CPUID leaf 0x80000008; entry bits from here to 51 are reserved.
    pub physical_bits: u32,
    /// Not zero if CPUID offers pages of 1 GiB.
    pub gib_pages: u32,
}

impl AccessBatch {
    /// No batch.
    pub const fn new() -> Self {
        Self {
            records: 0,
            count: 0,
            number: 0,
            cr3: 0,
            cr0: 0,
            cr4: 0,
            efer: 0,
            physical_bits: 0,
            gib_pages: 0,
        }
    }
}
