//! What the host sees in guest memory: the independent second opinion.
//!
//! Everything here reads guest-physical memory through [`image::PhysMem`] and never writes it.
//! With the guest it shares layouts (`pagelab-abi`) and no logic.
//!
//! * [`image`]: live memory, raw images and ELF cores behind one trait; saving such a core.
//! * [`pagetable`]: the page-table walker, the printed map and its audits.
//! * [`report`]: all of that for an image at once.
//! * [`decode`]: zones, free lists, slab caches and counters from raw memory.
//! * [`proc`]: what was decoded, in the formats of Linux's /proc.
//! * [`spaces`]: both views of each process, and what changed between two moments.
//! * [`lru`]: the lists of reclaim in their order.
//! * [`frames`]: frames by what they are. [`locate`]: where a named part of a structure is.
//! * [`audit`]: what must hold of what was decoded.
//! * [`audit_result`]: what every audit answers with.

pub mod audit;
pub mod audit_result;
pub mod decode;
pub mod frames;
mod hex;
pub mod image;
pub mod locate;
pub mod lru;
pub mod pagetable;
pub mod proc;
pub mod report;
pub mod spaces;
#[cfg(test)]
mod test_guest;
#[cfg(test)]
mod test_programs;
mod users;

pub use audit_result::{AuditResult, Findings, Outcome};
