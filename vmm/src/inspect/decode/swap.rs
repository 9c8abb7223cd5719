//! The map of the swap slots.

use std::sync::atomic::Ordering::Relaxed;

use pagelab_abi::{
    PAGE_SIZE,
    swap::{
        MAX_SLOTS, SLOT_BAD, SWAP_INFO_MAGIC, SWAPFILE_CLUSTER, SwapCluster, SwapInfo, SwapSlot,
    },
};

use super::{DecodeError, Snapshot};
use crate::inspect::image::{PhysMem, read_object};

/// Linux's name of the structure.
const WHAT: &str = "swap_info_struct";

/// The map of the swap slots, its counters as the guest has them.
pub struct Swap<'m> {
    mem: &'m dyn PhysMem,
    /// Slots, slot 0 included.
    pub pages: u64,
    /// Slots in use.
    pub inuse: u64,
    /// Bad slots, slot 0 included.
    pub bad: u64,
    /// Slots whose page is in the swap cache.
    pub cached: u64,
    /// Page-table entries that lead to slots.
    pub entries: u64,
    /// The clusters.
    pub clusters: Vec<Cluster>,
}

/// Slots that lie next to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its number.
    pub number: u64,
    /// Free slots, as the guest counts them.
    pub free: u64,
    /// Slots that there are in it.
    len: u64,
    slots: u64,
}

/// One slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its number.
    pub number: u64,
    /// The word that counts its entries.
    pub map: u32,
    /// The frame that has its page in the swap cache.
    pub cache: Option<u32>,
    /// Number of the memory group that it is charged to.
    pub group: u32,
}

impl Slot {
    /// Whether it is not to be used.
    pub const fn is_bad(&self) -> bool {
        self.map & SLOT_BAD != 0
    }

    /// Whether nothing is in it.
    pub const fn is_free(&self) -> bool {
        self.map == 0 && self.cache.is_none()
    }
}

impl<'m> Snapshot<'m> {
    /// The map of the swap slots; none without swap.
    ///
    /// # Errors
    /// [`DecodeError`] if it is not in RAM, or no map.
    pub fn swap(&self) -> Result<Option<Swap<'m>>, DecodeError> {
        match self.swap_gpa() {
            0 => Ok(None),
            gpa => Swap::decode(self.mem(), gpa).map(Some),
        }
    }
}

impl<'m> Swap<'m> {
    fn decode(mem: &'m dyn PhysMem, gpa: u64) -> Result<Self, DecodeError> {
        let info: SwapInfo = read_object(mem, gpa).map_err(DecodeError::unreadable(WHAT))?;
        // Each cluster has a page of its own.
        let most = MAX_SLOTS.min(mem.size() / PAGE_SIZE * SWAPFILE_CLUSTER);
        let clusters = info.pages.div_ceil(SWAPFILE_CLUSTER);
        let fields = [
            ("magic", info.magic, SWAP_INFO_MAGIC..=SWAP_INFO_MAGIC),
            ("pages", info.pages, 2..=most),
            ("nr_clusters", info.nr_clusters.into(), clusters..=clusters),
        ];
        for (field, found, allowed) in fields {
            if !allowed.contains(&found) {
                return Err(DecodeError::Field {
                    what: WHAT,
                    gpa,
                    field,
                    found,
                    expected: format!("{} to {}", allowed.start(), allowed.end()),
                });
            }
        }
        Ok(Self {
            mem,
            pages: info.pages,
            inuse: info.inuse.load(Relaxed),
            bad: info.bad.load(Relaxed),
            cached: info.cached.load(Relaxed),
            entries: info.entries.load(Relaxed),
            clusters: (0..clusters)
                .map(|number| Self::cluster(mem, &info, number))
                .collect::<Result<_, _>>()?,
        })
    }

    fn cluster(mem: &dyn PhysMem, info: &SwapInfo, number: u64) -> Result<Cluster, DecodeError> {
        let gpa = info
            .clusters
            .wrapping_add(number * size_of::<SwapCluster>() as u64);
        let cluster: SwapCluster =
            read_object(mem, gpa).map_err(DecodeError::unreadable("swap_cluster_info"))?;
        Ok(Cluster {
            number,
            free: cluster.free.load(Relaxed).into(),
            len: (info.pages - number * SWAPFILE_CLUSTER).min(SWAPFILE_CLUSTER),
            slots: cluster.slots.load(Relaxed),
        })
    }

    /// The slots of a cluster.
    ///
    /// # Errors
    /// [`DecodeError`] if they are not in RAM.
    pub fn slots(&self, cluster: &Cluster) -> Result<Vec<Slot>, DecodeError> {
        let read = |index: u64| {
            let gpa = cluster
                .slots
                .wrapping_add(index * size_of::<SwapSlot>() as u64);
            let slot: SwapSlot =
                read_object(self.mem, gpa).map_err(DecodeError::unreadable("swap_map"))?;
            Ok(Slot {
                number: cluster.number * SWAPFILE_CLUSTER + index,
                map: slot.map.load(Relaxed),
                cache: slot.cache.load(Relaxed).checked_sub(1),
                group: slot.group.load(Relaxed),
            })
        };
        (0..cluster.len).map(read).collect()
    }
}
