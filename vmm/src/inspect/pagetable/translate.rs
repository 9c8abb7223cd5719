//! Translating one address.

use serde::Serialize;

use super::{
    bits::{ADDRESS, P},
    entry::{PageSize, is_leaf, level_index},
    rights::{Gathered, LeafRights},
    tables::PageTables,
};
use crate::inspect::{hex, image::PhysMem};

/// One entry that a translation went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ChainEntry {
    /// 5 to 1.
    pub level: u8,
    /// Physical address of the entry.
    #[serde(serialize_with = "hex::serialize")]
    pub gpa: u64,
    /// Its bits.
    #[serde(serialize_with = "hex::serialize")]
    pub value: u64,
}

/// The entries of a translation, from the top table down; at most five.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    entries: [Option<ChainEntry>; 5],
}

impl Chain {
    fn push(&mut self, entry: ChainEntry) {
        if let Some(free) = self.entries.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(entry);
        }
    }
}

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The guest-physical address.
    pub gpa: u64,
    /// Size of the page it lies in.
    pub page_size: PageSize,
    /// The page's rights, ANDed over all levels.
    pub rights: LeafRights,
    chain: Chain,
}

impl Translation {
    /// The entries that led here, from the top table to the leaf.
    pub fn entries(&self) -> impl Iterator<Item = ChainEntry> + use<> {
        self.chain.entries.into_iter().flatten()
    }
}

/// Why an address leads nowhere, whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No such address on a CPU with this many levels; the CPU raises #GP or #SS, not #PF.
    #[error("virtual address {va:#x} is not canonical")]
    NonCanonical {
        /// The address.
        va: u64,
    },
    /// An entry is not present.
    #[error("virtual address {va:#x} is not mapped: its entry of level {level} is not present")]
    NotPresent {
        /// The address.
        va: u64,
        /// Level of the entry.
        level: u8,
    },
    /// An entry has reserved bits set.
    #[error(
        "virtual address {va:#x} cannot be translated: its entry of level {level} has reserved \
         bits {bits:#x} set"
    )]
    Reserved {
        /// The address.
        va: u64,
        /// Level of the entry.
        level: u8,
        /// The bits.
        bits: u64,
    },
    /// A table is not in RAM. What a CPU reads there depends on the machine.
    #[error(
        "virtual address {va:#x} cannot be translated: its table of level {level} at {gpa:#x} is \
         outside RAM"
    )]
    TableOutside {
        /// The address.
        va: u64,
        /// Level of the table.
        level: u8,
        /// Physical address of the table.
        gpa: u64,
    },
}

impl<M: PhysMem + ?Sized> PageTables<'_, M> {
    /// Follows the tables for `va`, at most five entries. No access is judged; see
    /// [`access`](Self::access).
    ///
    /// # Errors
    /// There is no translation, for anyone.
    pub fn translate(&self, va: u64) -> Result<Translation, Fault> {
        if !self.is_canonical(va) {
            return Err(Fault::NonCanonical { va });
        }
        let mut chain = Chain::default();
        let mut gathered = Gathered::ALL;
        let mut table = self.root();
        let mut level = self.levels;
        loop {
            let index = level_index(va, level);
            let outside = Fault::TableOutside {
                va,
                level,
                gpa: table,
            };
            let value = self.mem.page(table).ok_or(outside)?[index].get();
            chain.push(ChainEntry {
                level,
                gpa: table + 8 * index as u64,
                value,
            });
            if value & P == 0 {
                return Err(Fault::NotPresent { va, level });
            }
            let bits = value & self.reserved.mask(value, level);
            if bits != 0 {
                return Err(Fault::Reserved { va, level, bits });
            }
            gathered = gathered.and(value);
            if is_leaf(value, level) {
                let page_size = PageSize::of_level(level);
                let offset = va & (page_size.bytes() - 1);
                return Ok(Translation {
                    gpa: value & ADDRESS & !(page_size.bytes() - 1) | offset,
                    page_size,
                    rights: gathered.rights(value & self.key_mask),
                    chain,
                });
            }
            table = value & ADDRESS;
            level -= 1;
        }
    }
}
