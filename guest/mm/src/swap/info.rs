//! The map of the slots: how it is made, and how a slot is found in it.

use crate::{
    AllocError, Mm, Order, Pfn,
    direct_map::DirectMap,
    machine::Machine,
    sync::{self, Held},
};
use core::{
    fmt,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};
use pagelab_abi::{
    gfp::Gfp,
    swap::{
        MAX_SLOTS, SLOT_BAD, SWAP_INFO_MAGIC, SWAPFILE_CLUSTER, SwapCluster, SwapInfo, SwapSlot,
    },
};

/// Share of RAM that the map may take: a larger device is used in part.
const MAX_MAP_SHARE: u64 = 32;

/// Where the map is. It is there for good.
#[derive(Debug)]
pub(crate) struct Swap {
    pub(super) info: &'static SwapInfo,
    pub(super) clusters: &'static [SwapCluster],
    direct_map: DirectMap,
}

impl Swap {
    /// A slot; none behind the last one.
    pub(super) fn get(&self, number: u64) -> Option<&'static SwapSlot> {
        if number >= self.info.pages {
            return None;
        }
        let cluster = &self.clusters[(number / SWAPFILE_CLUSTER) as usize];
        let slots = cluster.slots.load(Relaxed) as usize;
        let at = self
            .direct_map
            .base()
            .wrapping_add(slots)
            .cast::<SwapSlot>();
        // SAFETY: `fill_cluster` gave each cluster a page of the direct map, zeroed, for 256 slots. It
        // is never given back, but by `free_map` before anybody else can have this value.
        Some(unsafe { &*at.add((number % SWAPFILE_CLUSTER) as usize) })
    }

    /// The lock of all slots.
    pub(super) fn lock(&self, relax: impl FnMut()) -> Held<'_, AtomicU32> {
        sync::lock(&self.info.lock, relax)
    }

    /// Slots that there are in a cluster.
    pub(super) fn slots_of(&self, cluster: u32) -> u32 {
        let first = u64::from(cluster) * SWAPFILE_CLUSTER;
        (self.info.pages - first).min(SWAPFILE_CLUSTER) as u32
    }
}

/// Why swap cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapOnError {
    /// There is no device, or it has not even two pages.
    NoDevice,
    /// It has begun already.
    Busy,
    /// There is no memory for the map; nothing is left of the attempt.
    NoMemory(AllocError),
}

impl fmt::Display for SwapOnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDevice => f.write_str("there is no swap device of two pages or more"),
            Self::Busy => f.write_str("there is a swap device already"),
            Self::NoMemory(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SwapOnError {}

impl<M: Machine + 'static> Mm<M> {
    /// Begins to use the swap device, or as much of it as can be described: a page of memory for each
    /// MiB. Returns its slots. Nobody else may call it at the same time.
    ///
    /// # Errors
    /// [`SwapOnError`].
    pub fn swapon(&self) -> Result<u64, SwapOnError> {
        if self.swap.is_completed() {
            return Err(SwapOnError::Busy);
        }
        let clusters = self.state.present_pages / MAX_MAP_SHARE;
        let most = MAX_SLOTS.min(clusters * SWAPFILE_CLUSTER);
        let pages = self.machine.swap_pages().min(most);
        if pages < 2 {
            return Err(SwapOnError::NoDevice);
        }
        let nr_clusters = pages.div_ceil(SWAPFILE_CLUSTER) as u32;
        let bytes = size_of::<SwapInfo>() + nr_clusters as usize * size_of::<SwapCluster>();
        let order =
            Order::for_bytes(bytes as u64).ok_or(SwapOnError::NoMemory(AllocError::BadRequest))?;
        let head = self.alloc_map(order).map_err(SwapOnError::NoMemory)?;
        let swap = self.write_map(head, pages, nr_clusters);
        for (number, cluster) in swap.clusters.iter().enumerate() {
            if let Err(error) = self.fill_cluster(cluster, number as u64, pages) {
                self.free_map(swap, head, order);
                return Err(SwapOnError::NoMemory(error));
            }
        }
        if let Some(slot) = swap.get(0) {
            slot.map.store(SLOT_BAD, Relaxed);
        }
        self.state.swap.store(head.phys(), Relaxed);
        self.swap.call_once(|| swap);
        Ok(pages)
    }

    /// Zeroed memory of the direct map.
    fn alloc_map(&self, order: Order) -> Result<Pfn, AllocError> {
        self.alloc_pages(Gfp::KERNEL | Gfp::ZERO | Gfp::NOWARN, order)
    }

    /// Writes the head of the map into new memory; its clusters have no slots yet.
    fn write_map(&self, head: Pfn, pages: u64, nr_clusters: u32) -> Swap {
        let at = self.direct_map.base().wrapping_add(head.phys() as usize);
        let info = SwapInfo {
            magic: SWAP_INFO_MAGIC,
            lock: AtomicU32::new(0),
            nr_clusters,
            pages,
            clusters: head.phys() + size_of::<SwapInfo>() as u64,
            inuse: AtomicU64::new(0),
            bad: AtomicU64::new(1),
            cached: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            cluster: AtomicU32::new(0),
            next: AtomicU32::new(1),
            ra_prev: AtomicU64::new(0),
            ra_window: AtomicU32::new(0),
            // As in Linux it begins with some hope.
            ra_hits: AtomicU32::new(4),
            reserved: [0; 5],
        };
        let at = at.cast::<SwapInfo>();
        // SAFETY: zeroed memory of the direct map that nobody else has, aligned to a page, with room
        // for the head and all clusters. A cluster of zeros is one. Only `free_map` gives it back,
        // which then drops what refers to it.
        unsafe {
            at.write(info);
            let clusters = at.add(1).cast::<SwapCluster>();
            Swap {
                info: &*at,
                clusters: core::slice::from_raw_parts(clusters, nr_clusters as usize),
                direct_map: self.direct_map,
            }
        }
    }

    /// Gives a cluster its slots.
    fn fill_cluster(
        &self,
        cluster: &'static SwapCluster,
        number: u64,
        pages: u64,
    ) -> Result<(), AllocError> {
        let slots = self.alloc_map(Order::ZERO)?;
        let first = number * SWAPFILE_CLUSTER;
        let free = (pages - first).min(SWAPFILE_CLUSTER) - u64::from(number == 0);
        cluster.free.store(free as u32, Relaxed);
        cluster.slots.store(slots.phys(), Relaxed);
        Ok(())
    }

    /// Gives a map back that is not complete.
    fn free_map(&self, swap: Swap, head: Pfn, order: Order) {
        for cluster in swap.clusters {
            let slots = cluster.slots.load(Relaxed);
            if slots != 0 {
                self.free_pages(Pfn::from_phys(slots), Order::ZERO);
            }
        }
        self.free_pages(head, order);
    }
}
