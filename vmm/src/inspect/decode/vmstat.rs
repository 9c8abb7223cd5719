//! The memory manager's counters.

use std::sync::atomic::Ordering::Relaxed;

use pagelab_abi::{
    mm::MmState,
    vmstat::{NR_NODE_STATS, NR_VM_EVENTS, NodeStat, VmEvent},
};

use super::Cpu;

/// All counters, those of the CPUs added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmStat {
    events: [u64; NR_VM_EVENTS],
    node: [i64; NR_NODE_STATS],
}

impl Default for VmStat {
    fn default() -> Self {
        Self {
            events: [0; NR_VM_EVENTS],
            node: [0; NR_NODE_STATS],
        }
    }
}

impl VmStat {
    pub(super) fn decode(state: &MmState, cpus: &[Cpu]) -> Self {
        let mut events = [0u64; NR_VM_EVENTS];
        for cpu in cpus {
            for (sum, share) in events.iter_mut().zip(cpu.events) {
                *sum = sum.wrapping_add(share);
            }
        }
        Self {
            events,
            node: state.node_stat.each_ref().map(|stat| stat.load(Relaxed)),
        }
    }

    /// How often something happened.
    pub fn event(&self, event: VmEvent) -> u64 {
        self.events[event as usize]
    }

    /// How often any of several things happened. The guest's numbers may be anything, so the sum
    /// wraps as a counter would.
    pub fn events(&self, events: &[VmEvent]) -> u64 {
        let counts = events.iter().map(|event| self.event(*event));
        counts.fold(0, u64::wrapping_add)
    }

    /// An amount. What is below zero, as a sum over CPUs may be for a moment, counts as 0 (as in
    /// Linux's `global_node_page_state`).
    pub fn node(&self, stat: NodeStat) -> u64 {
        self.node[stat as usize].max(0) as u64
    }

    /// An amount as it stands there.
    pub fn node_raw(&self, stat: NodeStat) -> i64 {
        self.node[stat as usize]
    }
}
