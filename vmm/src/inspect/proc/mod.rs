//! Texts in the formats of Linux's /proc, written from what the host decoded.
//!
//! Written independently of the guest's own; which lines there are is settled in
//! [`pagelab_abi::view`].

mod buddyinfo;
mod meminfo;
mod pagetypeinfo;
mod slabinfo;
mod task;
#[cfg(test)]
mod tests;
mod vmstat;
mod zoneinfo;

pub use task::{TaskView, task_text};

use pagelab_abi::view::ViewKind;

use super::decode::{DecodeError, Snapshot};

/// The text of one file.
///
/// # Errors
/// For `slabinfo`, if the list of caches cannot be read.
pub fn text(snapshot: &Snapshot<'_>, kind: ViewKind) -> Result<String, DecodeError> {
    Ok(match kind {
        ViewKind::Buddyinfo => buddyinfo::text(snapshot),
        ViewKind::Zoneinfo => zoneinfo::text(snapshot),
        ViewKind::Slabinfo => slabinfo::text(&snapshot.caches()?),
        ViewKind::Meminfo => meminfo::text(snapshot),
        ViewKind::Vmstat => vmstat::text(snapshot),
        ViewKind::Pagetypeinfo => pagetypeinfo::text(snapshot),
    })
}

/// The fields of /proc/vmstat, with their values; all are 0 without a guest.
pub fn vmstat_fields(guest: Option<&Snapshot<'_>>) -> Vec<(String, u64)> {
    vmstat::fields(guest)
}
