//! What the entries allow, and what a ring may then do.

use std::fmt;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::{
    bits::{NX, P, PKEY, PKEY_SHIFT, U, W},
    state::PagingState,
};

/// The rights of a page: each is there only if every entry on the way to it gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub struct LeafRights {
    /// U/S in all entries: a user page.
    pub user: bool,
    /// R/W in all entries.
    pub write: bool,
    /// XD in no entry.
    pub execute: bool,
    /// The leaf's protection key; 0 if keys are off or the page is not a user page.
    pub pkey: u8,
}

/// Rights gathered on the way down: a bit is set while every entry so far gives the right. NX is
/// kept inverted, so that it, too, can be ANDed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Gathered(u64);

impl Gathered {
    /// Before the first entry: everything.
    pub(super) const ALL: Self = Self(U | W | NX);

    /// After one more entry.
    #[inline]
    pub(super) const fn and(self, entry: u64) -> Self {
        Self(self.0 & (entry ^ NX))
    }

    /// The rights with the leaf's key, which is zero if keys are off.
    #[inline]
    pub(super) const fn rights(self, key_bits: u64) -> LeafRights {
        let user = self.0 & U != 0;
        LeafRights {
            user,
            write: self.0 & W != 0,
            execute: self.0 & NX != 0,
            pkey: if user {
                ((key_bits & PKEY) >> PKEY_SHIFT) as u8
            } else {
                0
            },
        }
    }

    /// A leaf's own bits, with the rights that are not given above it taken away.
    #[inline]
    pub(super) const fn narrow(self, leaf: u64) -> u64 {
        (leaf & (self.0 | !(U | W))) | (!self.0 & NX)
    }

    /// A small number that tells different rights apart.
    #[inline]
    pub(super) const fn code(self) -> u64 {
        // U and W are bits 1 and 2; the inverted NX goes where P would be.
        (self.0 & (U | W)) | (self.0 >> 63) & P
    }
}

/// Read, write, execute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rwx {
    /// May be read.
    pub read: bool,
    /// May be written.
    pub write: bool,
    /// May be executed.
    pub execute: bool,
}

impl fmt::Display for Rwx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [(self.read, b'r'), (self.write, b'w'), (self.execute, b'x')]
            .map(|(has, letter)| if has { letter } else { b'-' });
        f.pad(str::from_utf8(&letters).unwrap_or("???"))
    }
}

impl Serialize for Rwx {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl PagingState {
    /// What the protection key leaves of data accesses: read, write. Fetches it does not bind.
    pub(super) fn key_allows(&self, rights: LeafRights, user_mode: bool) -> (bool, bool) {
        if !rights.user || !self.protection_keys() {
            return (true, true);
        }
        let key = self.pkru >> (2 * u32::from(rights.pkey));
        let no_access = key & 1 != 0;
        let no_write = key & 2 != 0 && (user_mode || self.write_protect());
        (!no_access, !no_access && !no_write)
    }

    /// What ring 3 may do with a page of these rights (SDM volume 3, section 4.6.1).
    pub fn user_rwx(&self, rights: LeafRights) -> Rwx {
        if !rights.user {
            return Rwx::default();
        }
        let (read, write) = self.key_allows(rights, true);
        Rwx {
            read,
            write: write && rights.write,
            execute: rights.execute,
        }
    }

    /// What ring 0 may do. `ac` is EFLAGS.AC, which lifts SMAP.
    pub fn kernel_rwx(&self, rights: LeafRights, ac: bool) -> Rwx {
        let (read, write) = self.key_allows(rights, false);
        let data = !rights.user || !self.smap() || ac;
        Rwx {
            read: data && read,
            write: data && write && (rights.write || !self.write_protect()),
            execute: rights.execute && !(rights.user && self.smep()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bits::{
        CR0_TYPICAL, CR0_WP, CR4_PAE, CR4_PKE, CR4_SMAP, CR4_SMEP, EFER_TYPICAL,
    };
    use super::super::state::CpuModel;
    use super::*;

    const STATE: PagingState = PagingState {
        cr0: CR0_TYPICAL,
        cr3: 0,
        cr4: CR4_PAE,
        efer: EFER_TYPICAL,
        pkru: 0,
        model: CpuModel {
            phys_bits: 52,
            gib_pages: true,
            upper_global_reserved: false,
        },
    };

    fn shown(rwx: Rwx) -> String {
        rwx.to_string()
    }

    #[test]
    fn rights_are_anded_over_the_levels() {
        let rights = Gathered::ALL
            .and(P | W | U)
            .and(P | U)
            .and(P | W | U | NX)
            .rights(0);
        assert_eq!(
            rights,
            LeafRights {
                user: true,
                write: false,
                execute: false,
                pkey: 0
            }
        );
        let kernel = Gathered::ALL
            .and(P | W)
            .and(P | W | U)
            .rights(3 << PKEY_SHIFT);
        assert_eq!(
            kernel,
            LeafRights {
                user: false,
                write: true,
                execute: true,
                pkey: 0
            }
        );
    }

    #[test]
    fn a_user_page_in_both_rings() {
        let page = LeafRights {
            user: true,
            write: false,
            execute: true,
            pkey: 0,
        };
        assert_eq!(shown(STATE.user_rwx(page)), "r-x");
        assert_eq!(shown(STATE.kernel_rwx(page, false)), "r-x");
        let no_wp = PagingState {
            cr0: CR0_TYPICAL & !CR0_WP,
            ..STATE
        };
        assert_eq!(shown(no_wp.user_rwx(page)), "r-x");
        assert_eq!(shown(no_wp.kernel_rwx(page, false)), "rwx");
        let guarded = PagingState {
            cr4: CR4_PAE | CR4_SMEP | CR4_SMAP,
            ..STATE
        };
        assert_eq!(shown(guarded.kernel_rwx(page, false)), "---");
        assert_eq!(shown(guarded.kernel_rwx(page, true)), "r--");
    }

    #[test]
    fn protection_keys_bind_user_pages_only() {
        let page = LeafRights {
            user: true,
            write: true,
            execute: true,
            pkey: 1,
        };
        let kernel_page = LeafRights {
            user: false,
            pkey: 0,
            ..page
        };
        let keys = PagingState {
            cr4: CR4_PAE | CR4_PKE,
            ..STATE
        };
        let no_write = PagingState {
            pkru: 0b1000,
            ..keys
        };
        assert_eq!(shown(no_write.user_rwx(page)), "r-x");
        assert_eq!(shown(no_write.kernel_rwx(page, false)), "r-x");
        let without_wp = PagingState {
            cr0: CR0_TYPICAL & !CR0_WP,
            ..no_write
        };
        assert_eq!(shown(without_wp.kernel_rwx(page, false)), "rwx");
        let no_access = PagingState {
            pkru: 0b0101,
            ..keys
        };
        assert_eq!(shown(no_access.user_rwx(page)), "--x");
        assert_eq!(shown(no_access.kernel_rwx(kernel_page, false)), "rwx");
    }
}
