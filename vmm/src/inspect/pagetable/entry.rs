//! One entry of a table: where it points and which of its bits are reserved.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{
    bits::{ADDRESS, G, NX, PS},
    state::PagingState,
};

/// Binary logarithm of the bytes that one entry of a level-1 table maps.
pub(super) const LEAF_SHIFT: u32 = 12;

/// Entries in a table.
pub(super) const ENTRIES: usize = 512;

/// Binary logarithm of the bytes that one entry of a table of `level` (from 1) maps.
pub(super) const fn level_shift(level: u8) -> u32 {
    LEAF_SHIFT + 9 * (level as u32 - 1)
}

/// The index into a table of `level` for a virtual address.
pub(super) const fn level_index(va: u64, level: u8) -> usize {
    (va >> level_shift(level)) as usize % ENTRIES
}

/// Size of a page, in bytes as its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u64)]
pub enum PageSize {
    /// 4 KiB, level 1.
    Size4K = 1 << 12,
    /// 2 MiB, level 2.
    Size2M = 1 << 21,
    /// 1 GiB, level 3.
    Size1G = 1 << 30,
}

impl PageSize {
    /// Bytes.
    pub const fn bytes(self) -> u64 {
        self as u64
    }

    /// The size that a leaf of `level` maps.
    pub(super) const fn of_level(level: u8) -> Self {
        match level {
            1 => Self::Size4K,
            2 => Self::Size2M,
            _ => Self::Size1G,
        }
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Size4K => "4K",
            Self::Size2M => "2M",
            Self::Size1G => "1G",
        })
    }
}

impl Serialize for PageSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.bytes())
    }
}

/// Whether an entry of `level` maps a page, if it is present.
pub(super) const fn is_leaf(entry: u64, level: u8) -> bool {
    level == 1 || (level <= 3 && entry & PS != 0)
}

/// Reserved bits for every level, in tables and in leaves (SDM volume 3, section 4.5.4, tables 4-15
/// to 4-20).
#[derive(Clone, Copy, Debug)]
pub(super) struct Reserved {
    /// Index `level - 1`: bits reserved in an entry that points to a table.
    table: [u64; 5],
    /// Index `level - 1`: bits reserved in an entry that maps a page.
    leaf: [u64; 3],
}

impl Reserved {
    pub(super) fn new(state: &PagingState) -> Self {
        let model = state.model;
        let above_phys = ADDRESS & !((1u64 << model.phys_bits) - 1);
        let always = above_phys | if state.nx_enabled() { 0 } else { NX };
        let upper = always | PS | if model.upper_global_reserved { G } else { 0 };
        let no_gib = if model.gib_pages { 0 } else { PS };
        Self {
            table: [always, always, always, upper, upper],
            // Bit 12 of a large page is its PAT bit, not an address bit.
            leaf: [always, always | 0x1f_e000, always | 0x3fff_e000 | no_gib],
        }
    }

    /// Bits that must be zero in a present `entry` of `level`.
    #[inline]
    pub(super) fn mask(&self, entry: u64, level: u8) -> u64 {
        if is_leaf(entry, level) {
            self.leaf[level as usize - 1]
        } else {
            self.table[level as usize - 1]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bits::{CR0_TYPICAL, CR4_PAE, EFER_LMA, EFER_TYPICAL};
    use super::super::state::CpuModel;
    use super::*;

    fn reserved(efer: u64, model: CpuModel) -> Reserved {
        Reserved::new(&PagingState {
            cr0: CR0_TYPICAL,
            cr3: 0,
            cr4: CR4_PAE,
            efer,
            pkru: 0,
            model,
        })
    }

    #[test]
    fn wide_cpu_with_nx() {
        let reserved = reserved(EFER_TYPICAL, CpuModel::default());
        assert_eq!(reserved.mask(0, 1), 0);
        assert_eq!(reserved.mask(0, 2), 0);
        assert_eq!(reserved.mask(PS, 2), 0x1f_e000);
        assert_eq!(reserved.mask(PS, 3), 0x3fff_e000);
        assert_eq!(reserved.mask(0, 4), PS);
        assert_eq!(reserved.mask(PS, 5), PS);
    }

    #[test]
    fn narrow_cpu_without_nx_or_gib_pages() {
        let model = CpuModel {
            phys_bits: 40,
            gib_pages: false,
            upper_global_reserved: true,
        };
        let reserved = reserved(EFER_LMA, model);
        let always = 0x800f_ff00_0000_0000;
        assert_eq!(reserved.mask(0, 1), always);
        assert_eq!(reserved.mask(PS, 3), always | 0x3fff_e000 | PS);
        assert_eq!(reserved.mask(0, 4), always | PS | G);
    }
}
