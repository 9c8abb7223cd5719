//! Judging one access: would the CPU fault, and how.

use std::fmt;

use super::{
    rights::LeafRights,
    tables::PageTables,
    translate::{Fault, Translation},
};
use crate::inspect::image::PhysMem;

/// What is done with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccessKind {
    /// A data read.
    Read,
    /// A data write.
    Write,
    /// An instruction fetch.
    Fetch,
}

/// One access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// What is done.
    pub kind: AccessKind,
    /// Done in ring 3. Implicit accesses to system structures are not, whatever the ring.
    pub user: bool,
    /// EFLAGS.AC is set, and the access is explicit: SMAP does not apply.
    pub ac: bool,
}

/// A page fault as the CPU reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFault {
    /// Bits as in SDM volume 3, figure 4-12; see the constants.
    pub error_code: u32,
}

impl PageFault {
    /// The entry was present (or had reserved bits): a matter of rights.
    pub const P: u32 = 1 << 0;
    /// The access was a write.
    pub const W: u32 = 1 << 1;
    /// The access came from ring 3.
    pub const U: u32 = 1 << 2;
    /// A present entry has a reserved bit set.
    pub const RSVD: u32 = 1 << 3;
    /// The access was a fetch (told only with NX or SMEP on).
    pub const I: u32 = 1 << 4;
    /// The protection key forbids it.
    pub const PK: u32 = 1 << 5;
}

impl fmt::Display for PageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page fault {:#x}", self.error_code)?;
        let names = [
            (Self::P, "P"),
            (Self::W, "W"),
            (Self::U, "U"),
            (Self::RSVD, "RSVD"),
            (Self::I, "I"),
            (Self::PK, "PK"),
        ];
        for (_, name) in names.iter().filter(|(bit, _)| self.error_code & bit != 0) {
            write!(f, " {name}")?;
        }
        Ok(())
    }
}

/// Why an access does not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessFault {
    /// #PF.
    #[error("{0}")]
    Page(PageFault),
    /// Not a page fault: the address is not canonical, or a table is outside RAM.
    #[error(transparent)]
    Other(Fault),
}

impl<M: PhysMem + ?Sized> PageTables<'_, M> {
    /// Predicts what the CPU does with one access to `va`: the guest-physical address, or the
    /// fault with its exact error code (SDM volume 3, sections 4.6 and 4.7).
    ///
    /// # Errors
    /// The fault that the CPU raises.
    pub fn access(&self, va: u64, access: Access) -> Result<u64, AccessFault> {
        let translated = self.translate(va);
        let page_fault = |cause| {
            AccessFault::Page(PageFault {
                error_code: cause | self.access_bits(access),
            })
        };
        match translated {
            Ok(Translation { gpa, rights, .. }) => {
                let key = self.key_violation(rights, access);
                if key == 0 && self.allows(rights, access) {
                    Ok(gpa)
                } else {
                    Err(page_fault(PageFault::P | key))
                }
            }
            Err(Fault::NotPresent { .. }) => Err(page_fault(0)),
            Err(Fault::Reserved { .. }) => Err(page_fault(PageFault::P | PageFault::RSVD)),
            Err(other) => Err(AccessFault::Other(other)),
        }
    }

    /// The bits of an error code that tell the access, not its cause.
    fn access_bits(&self, access: Access) -> u32 {
        let fetch_is_told = self.state.nx_enabled() || self.state.smep();
        let kind = match access.kind {
            AccessKind::Read => 0,
            AccessKind::Write => PageFault::W,
            AccessKind::Fetch if fetch_is_told => PageFault::I,
            AccessKind::Fetch => 0,
        };
        kind | if access.user { PageFault::U } else { 0 }
    }

    /// [`PageFault::PK`] if the protection key forbids the access. The bit is set whether or not
    /// something else forbids it as well.
    fn key_violation(&self, rights: LeafRights, access: Access) -> u32 {
        let (read, write) = self.state.key_allows(rights, access.user);
        let allowed = match access.kind {
            AccessKind::Read => read,
            AccessKind::Write => write,
            AccessKind::Fetch => true,
        };
        if allowed { 0 } else { PageFault::PK }
    }

    /// Whether the rights allow the access, keys included.
    fn allows(&self, rights: LeafRights, access: Access) -> bool {
        let rwx = if access.user {
            self.state.user_rwx(rights)
        } else {
            self.state.kernel_rwx(rights, access.ac)
        };
        match access.kind {
            AccessKind::Read => rwx.read,
            AccessKind::Write => rwx.write,
            AccessKind::Fetch => rwx.execute,
        }
    }
}
