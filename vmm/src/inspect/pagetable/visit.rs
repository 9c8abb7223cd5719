//! What a walk finds, and who is told.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::{entry::PageSize, rights::LeafRights};
use crate::inspect::hex;

/// A run of pages of one size, contiguous in virtual and in physical addresses, with equal rights
/// and equal cache bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Mapping {
    /// First virtual address.
    #[serde(serialize_with = "hex::serialize")]
    #[schemars(with = "String")]
    pub va: u64,
    /// Bytes, a multiple of the page size; the run ends at `va + (len - 1)`.
    pub len: u64,
    /// Guest-physical address of the first byte.
    #[serde(serialize_with = "hex::serialize")]
    #[schemars(with = "String")]
    pub gpa: u64,
    /// Bytes of each of its pages.
    #[schemars(with = "u64")]
    pub page_size: PageSize,
    /// Rights, ANDed over all levels.
    pub rights: LeafRights,
    /// Index into the PAT: PWT, PCD and PAT as bits 0 to 2 (SDM volume 3, table 12-11).
    pub pat_index: u8,
    /// G: survives a load of CR3.
    pub global: bool,
}

impl Mapping {
    /// Last virtual address.
    pub fn last(&self) -> u64 {
        self.va + (self.len - 1)
    }

    /// End of the physical addresses, exclusive.
    pub fn gpa_end(&self) -> u64 {
        self.gpa + self.len
    }
}

/// A table that has been walked at another address already, with the same rights above it: what it
/// maps is what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SharedTable {
    /// First virtual address that the table maps here.
    #[serde(serialize_with = "hex::serialize")]
    #[schemars(with = "String")]
    pub va: u64,
    /// Bytes of virtual addresses that a table of this level maps.
    #[serde(serialize_with = "hex::serialize")]
    #[schemars(with = "String")]
    pub len: u64,
    /// First virtual address of the walked copy.
    #[serde(serialize_with = "hex::serialize")]
    #[schemars(with = "String")]
    pub first_va: u64,
    /// Level of the table, 1 to 4.
    pub level: u8,
    /// Physical address of the table.
    #[serde(serialize_with = "hex::serialize")]
    #[schemars(with = "String")]
    pub table: u64,
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhyMalformed {
    /// Reserved bits are set.
    Reserved {
        /// The bits.
        #[serde(serialize_with = "hex::serialize")]
        #[schemars(with = "String")]
        bits: u64,
    },
    /// It points to a table outside RAM.
    TableOutside {
        /// Physical address of the table.
        #[serde(serialize_with = "hex::serialize")]
        #[schemars(with = "String")]
        gpa: u64,
    },
}

/// Present entries that translate nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MalformedEntry {
    /// First virtual address of the first entry.
    #[serde(serialize_with = "hex::serialize")]
    #[schemars(with = "String")]
    pub va: u64,
    /// Level of the entry, 1 to 5.
    pub level: u8,
    /// The first entry, without bits that mean nothing to the walk.
    #[serde(serialize_with = "hex::serialize")]
    #[schemars(with = "String")]
    pub value: u64,
    /// Entries in a row of which this holds.
    pub count: u64,
    /// What is wrong.
    pub why: WhyMalformed,
}

impl fmt::Display for MalformedEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            va,
            level,
            count,
            why,
            ..
        } = *self;
        write!(f, "{va:016x} level {level}: ")?;
        match why {
            WhyMalformed::Reserved { bits } => write!(f, "reserved bits {bits:#x}")?,
            WhyMalformed::TableOutside { gpa } => write!(f, "table {gpa:#x} is outside RAM")?,
        }
        if count > 1 {
            write!(f, " ({count} entries)")
        } else {
            Ok(())
        }
    }
}

/// Told what a walk finds, in ascending order of virtual addresses.
pub trait Visitor {
    /// Pages are mapped.
    fn mapping(&mut self, mapping: &Mapping);

    /// A table stands here that was walked before.
    fn shared(&mut self, _shared: &SharedTable) {}

    /// Entries are present but translate nothing.
    fn malformed(&mut self, _entry: &MalformedEntry) {}
}

/// How much a walk may do.
///
/// A table that is reached twice at the same level under the same rights is walked once, so even
/// tables that point to themselves cost no more than a few visits of every frame. The limit bounds
/// what is left: a guest that fills its memory with tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkLimits {
    /// Tables to visit.
    pub max_tables: u64,
}

impl Default for WalkLimits {
    /// Enough to map 2 TiB with 4 KiB pages; garbage ends after about a second.
    fn default() -> Self {
        Self {
            max_tables: 1 << 20,
        }
    }
}

/// What a walk did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WalkSummary {
    /// Tables visited.
    pub tables: u64,
    /// Present leaves seen, of all sizes.
    pub leaves: u64,
    /// Present entries that translate nothing.
    pub malformed: u64,
    /// Tables that were met again and not walked again.
    pub shared: u64,
    /// Where the walk stopped because it had visited as many tables as it may.
    pub stopped_at: Option<u64>,
}
