//! The page-table walker.
//!
//! [`PageTables`] reads the tables of one address space, of 4 or 5 levels with pages of 4 KiB,
//! 2 MiB and 1 GiB, as Intel's SDM volume 3, chapter 4 describes. Rights are *effective*: a page is
//! writable, user-accessible or executable only if every entry on the way says so, and what a
//! ring may then do follows from CR0.WP, EFER.NXE, SMEP, SMAP, protection keys and reserved bits.
//!
//! * [`PageTables::translate`]: one address, with the chain of entries;
//! * [`PageTables::access`]: would this access fault, and with which error code;
//! * [`PageTables::walk`]: all mappings of a range; [`PageTables::entries`]: entry by entry;
//! * [`AddressMap`]: the printed map, on which [`audit`] and [`ReverseMap`] stand.
//!
//! Reading sets no accessed or dirty bit and changes nothing. Tables may be garbage: the work is
//! bounded, see [`WalkLimits`].

mod access;
mod audit;
#[cfg(test)]
mod audit_tests;
pub mod bits;
mod entries;
mod entry;
mod leaf;
mod map;
mod region;
mod reverse;
mod rights;
mod run;
mod state;
mod sweep;
pub mod synthetic;
mod tables;
#[cfg(test)]
mod tests;
mod translate;
mod visit;
mod walk;

pub use access::{Access, AccessFault, AccessKind, PageFault};
pub use audit::{AUDIT_NAMES, DeviceRange, Expected, all_held, audit};
pub use entries::{EntryVisitor, LeafEntry};
pub use entry::PageSize;
pub use map::{AddressMap, MapLine};
pub use region::{KERNEL_HALF, Region, Regions};
pub use reverse::{Alias, ReverseMap};
pub use rights::{LeafRights, Rwx};
pub use state::{CpuModel, CpuModelError, PagingState};
pub use tables::{PageTables, PagingError};
pub use translate::{ChainEntry, Fault, Translation};
pub use visit::{
    MalformedEntry, Mapping, SharedTable, Visitor, WalkLimits, WalkSummary, WhyMalformed,
};
