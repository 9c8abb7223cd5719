//! An address space.

use super::{
    bits::{ADDRESS, PKEY},
    entry::Reserved,
    state::PagingState,
};
use crate::inspect::image::PhysMem;

/// Why there is nothing to walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PagingError {
    /// 64-bit paging is off.
    #[error(
        "the CPU is not in 64-bit paging mode (cr0 {cr0:#x}, cr4 {cr4:#x}, efer {efer:#x}); \
         only 4- and 5-level page tables can be walked"
    )]
    NotLongMode {
        /// CR0.
        cr0: u64,
        /// CR4.
        cr4: u64,
        /// EFER.
        efer: u64,
    },
    /// CR3 does not point into the image.
    #[error(
        "CR3 {cr3:#x} is outside the image, whose memory ends at {end:#x}; \
         is the image whole, and is this its CR3?"
    )]
    Cr3Outside {
        /// CR3.
        cr3: u64,
        /// End of the highest range of RAM.
        end: u64,
    },
}

/// The page tables of one address space in `mem`.
#[derive(Debug)]
pub struct PageTables<'a, M: ?Sized> {
    pub(super) mem: &'a M,
    pub(super) state: PagingState,
    pub(super) levels: u8,
    pub(super) reserved: Reserved,
    /// [`PKEY`] if keys are on, else 0.
    pub(super) key_mask: u64,
}

impl<'a, M: PhysMem + ?Sized> PageTables<'a, M> {
    /// The tables that `state` points to.
    ///
    /// # Errors
    /// 64-bit paging is off, or CR3 is outside RAM.
    pub fn new(mem: &'a M, state: PagingState) -> Result<Self, PagingError> {
        let levels = state.levels().ok_or(PagingError::NotLongMode {
            cr0: state.cr0,
            cr4: state.cr4,
            efer: state.efer,
        })?;
        let tables = Self {
            mem,
            state,
            levels,
            reserved: Reserved::new(&state),
            key_mask: if state.protection_keys() { PKEY } else { 0 },
        };
        if mem.page(tables.root()).is_none() {
            return Err(PagingError::Cr3Outside {
                cr3: state.cr3,
                end: mem.end(),
            });
        }
        Ok(tables)
    }

    /// The registers behind the tables.
    pub fn state(&self) -> &PagingState {
        &self.state
    }

    /// Levels, 4 or 5.
    pub fn levels(&self) -> u8 {
        self.levels
    }

    /// The memory that holds the tables.
    pub fn memory(&self) -> &'a M {
        self.mem
    }

    /// Physical address of the top table. The low bits of CR3 hold a PCID or cache bits, its
    /// upper ones LAM and PCID control.
    pub(super) fn root(&self) -> u64 {
        self.state.cr3 & ADDRESS & self.phys_mask()
    }

    /// All bits of a physical address of this CPU.
    pub(super) fn phys_mask(&self) -> u64 {
        (1 << self.state.model.phys_bits) - 1
    }

    /// Whether `va` is canonical: all bits above the translated ones equal the highest of those.
    pub(super) fn is_canonical(&self, va: u64) -> bool {
        let unused = 64 - (12 + 9 * u32::from(self.levels));
        ((va << unused) as i64 >> unused) as u64 == va
    }
}
