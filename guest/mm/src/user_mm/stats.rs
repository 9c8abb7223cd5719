//! An address space in numbers.

use super::{UserMm, mmap::is_data};
use crate::{machine::Machine, vma::Area};
use core::{ops::Range, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{mm_struct::NR_RSS_STATS, vma::VmFlags};

/// What an address space counts. Amounts are in pages.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// All areas.
    pub total_vm: u64,
    /// Locked areas.
    pub locked_vm: u64,
    /// Private areas that can be written, but for the stack.
    pub data_vm: u64,
    /// Areas of files that can be executed and not written.
    pub exec_vm: u64,
    /// The stack.
    pub stack_vm: u64,
    /// Resident pages of each kind, and entries that lead to swap; index
    /// [`pagelab_abi::mm_struct::RssStat`].
    pub rss: [u64; NR_RSS_STATS],
    /// The most that were resident.
    pub hiwater_rss: u64,
    /// Nodes of page tables.
    pub pgtables: u64,
    /// First address above the stack.
    pub start_stack: u64,
    /// First address of the heap.
    pub start_brk: u64,
    /// Addresses of the arguments' strings.
    pub args: Range<u64>,
    /// Addresses of the environment's strings.
    pub env: Range<u64>,
}

impl<M: Machine + 'static> UserMm<M> {
    /// The most pages that were resident at any time.
    pub fn max_resident(&self) -> u64 {
        let seen = self.mm_struct().hiwater_rss.load(Relaxed);
        seen.max(self.resident())
    }

    /// All numbers.
    pub fn stats(&mut self) -> Stats {
        let this = self.mm_struct();
        let mut stats = Stats {
            total_vm: this.total_vm.load(Relaxed),
            locked_vm: this.locked_vm.load(Relaxed),
            rss: this.rss.each_ref().map(|count| count.load(Relaxed)),
            hiwater_rss: self.max_resident(),
            pgtables: this.pgtables.load(Relaxed),
            start_stack: this.start_stack.load(Relaxed),
            start_brk: this.start_brk.load(Relaxed),
            args: this.arg_start.load(Relaxed)..this.arg_end.load(Relaxed),
            env: this.env_start.load(Relaxed)..this.env_end.load(Relaxed),
            ..Stats::default()
        };
        for area in self.tree().iter().map(Area::of) {
            let of_file = super::insert::file_of(&area).is_some();
            let code = VmFlags::EXEC | VmFlags::WRITE;
            if area.flags.contains(VmFlags::GROWSDOWN) {
                stats.stack_vm += area.pages();
            } else if is_data(area.flags) {
                stats.data_vm += area.pages();
            } else if of_file && area.flags & code == VmFlags::EXEC {
                stats.exec_vm += area.pages();
            }
        }
        stats
    }
}
