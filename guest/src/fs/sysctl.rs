//! /proc/sys/vm: settings of the memory manager (Linux kernel/sysctl.c: `proc_dointvec_minmax`).

use super::{knob::number, memory::mm};
use core::fmt::{self, Write};
use pagelab_abi::{errno::Errno, memcg::MAX_SWAPPINESS};

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sysctl {
    /// How much reclaim prefers swap to pages of files, 0 to 200.
    Swappiness,
    /// Slots of swap that are read at once, as a power of two.
    PageCluster,
}

/// Largest value of [`Sysctl::PageCluster`] (Linux: `page_cluster_max`).
const MAX_PAGE_CLUSTER: u64 = 31;

impl Sysctl {
    /// All of them, with their names.
    pub(super) const ALL: [(&'static [u8], Self); 2] = [
        (b"swappiness", Self::Swappiness),
        (b"page-cluster", Self::PageCluster),
    ];

    /// Writes the value.
    pub(super) fn show(self, out: &mut dyn Write) -> fmt::Result {
        let value = match self {
            Self::Swappiness => mm().swappiness(),
            Self::PageCluster => mm().page_cluster(),
        };
        writeln!(out, "{value}")
    }

    /// Sets it.
    ///
    /// # Errors
    /// EINVAL for what is no number that it takes.
    pub(super) fn store(self, text: &str) -> Result<(), Errno> {
        let value = number(text).ok_or(Errno::EINVAL)?;
        let max = match self {
            Self::Swappiness => MAX_SWAPPINESS.into(),
            Self::PageCluster => MAX_PAGE_CLUSTER,
        };
        if value > max {
            return Err(Errno::EINVAL);
        }
        match self {
            Self::Swappiness => mm().set_swappiness(value as u32),
            Self::PageCluster => mm().set_page_cluster(value as u32),
        }
        Ok(())
    }
}
