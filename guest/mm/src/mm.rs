//! The memory manager as its users see it.

use crate::{
    Order, Pfn,
    direct_map::DirectMap,
    machine::Machine,
    memmap::{self, MemMap},
    page_cache::{PageCache, StoreTable},
    shrinker::ShrinkerTable,
    user_mm::{ThpEnabled, Vm},
    zone::{REQUESTS, Request},
};
use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};
use pagelab_abi::{
    mm::MmState,
    page::{ORDER_MASK, Page, PageFlags, block_pages, flags_of, order_of},
    percpu::{MAX_CPUS, PerCpu},
    root::MmLayout,
    vmstat::{NodeStat, VmEvent},
    zone::Zone,
};
use spin::Once;

/// The memory manager. There is one; all CPUs share it, and all of its state but the shrinkers is
/// in RAM, in the layouts of `pagelab_abi`. Made by [`Mm::init`].
pub struct Mm<M: Machine + 'static> {
    pub(crate) machine: M,
    pub(crate) map: MemMap,
    pub(crate) direct_map: DirectMap,
    pub(crate) percpu: &'static [PerCpu; MAX_CPUS],
    pub(crate) state: &'static MmState,
    pub(crate) layout: MmLayout,
    pub(crate) requests: [Request; REQUESTS],
    pub(crate) shrinkers: ShrinkerTable<M>,
    pub(crate) vm: Once<Vm>,
    pub(crate) page_cache: Once<PageCache>,
    pub(crate) stores: StoreTable<M>,
    pub(crate) swap: spin::Once<crate::swap::Swap>,
    /// Number of the [`ThpEnabled`].
    pub(crate) thp: AtomicU32,
    /// Bad entries of page tables that were found.
    pub(crate) bad_entries: AtomicU64,
}

/// A block of frames that share a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// First frame.
    pub head: Pfn,
    /// Frames, as a power of two.
    pub order: Order,
    /// The state.
    pub flags: PageFlags,
}

impl<M: Machine + 'static> Mm<M> {
    /// The machine.
    #[inline]
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// Entries of page tables that nobody wrote so, which were found and made what they had been, up to now.
    pub fn bad_entries(&self) -> u64 {
        self.bad_entries.load(Relaxed)
    }

    /// The root structure.
    #[inline]
    pub fn state(&self) -> &'static MmState {
        self.state
    }

    /// Where the root structure is, for the root page.
    pub fn layout(&self) -> MmLayout {
        self.layout
    }

    /// The zones in use, lowest first.
    pub fn zones(&self) -> &'static [Zone] {
        &self.state.zones[..self.nr_zones()]
    }

    /// Number of zones in use.
    pub(crate) fn nr_zones(&self) -> usize {
        self.state.nr_zones as usize
    }

    /// The descriptor of a frame, or none if `mem_map` does not cover the frame. It is valid if the
    /// frame is part of an allocated block of an order below 9, or the head of one.
    #[inline]
    pub fn page(&self, pfn: Pfn) -> Option<&'static Page> {
        self.map.get(pfn.0)
    }

    /// The block that a frame is in; none in holes and in wholly reserved pageblocks. It walks the
    /// pageblock, so it is not for hot paths.
    pub fn block_of(&self, pfn: Pfn) -> Option<Block> {
        let (head, word) = self.map.block_of(pfn.0)?;
        Some(Block {
            head: Pfn(head),
            order: Order::new(order_of(word))?,
            flags: flags_of(word),
        })
    }

    /// Address of a frame in the direct map; none for HIGHMEM.
    #[inline]
    pub fn pfn_to_ptr(&self, pfn: Pfn) -> Option<NonNull<u8>> {
        self.machine.direct_map(pfn.0)
    }

    /// The frame that an address of the direct map belongs to; none for other addresses.
    #[inline]
    pub fn virt_to_pfn(&self, address: usize) -> Option<Pfn> {
        self.machine.virt_to_pfn(address).map(Pfn)
    }

    /// Adds to this CPU's share of a counter.
    #[inline]
    pub fn count_event(&self, event: VmEvent, delta: u64) {
        self.count_on(self.this_cpu(), event, delta);
    }

    /// Adds to a CPU's share of a counter.
    #[inline(always)]
    pub(crate) fn count_on(&self, cpu: &PerCpu, event: VmEvent, delta: u64) {
        memmap::count(cpu.event(event), delta);
    }

    /// A counter's sum over all CPUs.
    pub fn event_count(&self, event: VmEvent) -> u64 {
        self.percpu
            .iter()
            .map(|cpu| cpu.event(event).load(Relaxed))
            .sum()
    }

    /// Changes an amount.
    pub fn mod_node_stat(&self, stat: NodeStat, delta: i64) {
        self.state.node_stat[stat as usize].fetch_add(delta, Relaxed);
    }

    /// An amount.
    pub fn node_stat(&self, stat: NodeStat) -> i64 {
        self.state.node_stat[stat as usize].load(Relaxed)
    }

    /// Makes a block that the caller owns, allocated or in the balloon, into two of half its size,
    /// each with a reference count of 1.
    ///
    /// # Panics
    /// If it is not such a block of this order, is a compound page, or has order 0.
    pub fn split_page(&self, pfn: Pfn, order: Order) {
        let word = self.map.word(pfn.0).unwrap_or(0);
        let flags = flags_of(word);
        let owned = flags == PageFlags::ALLOCATED || flags == PageFlags::OFFLINE;
        assert!(
            owned && block_pages(word) == order.pages() && order > Order::ZERO,
            "bad split: pfn {pfn}, order {order}: {flags:?}, order {}",
            order_of(word)
        );
        if order <= Order::PAGEBLOCK {
            self.map.touch(pfn.0);
        }
        let half = word - (1 << pagelab_abi::page::ORDER_SHIFT);
        let upper = self.map.page(pfn.0 + order.pages() / 2);
        upper.refcount.store(1, Relaxed);
        upper.flags.store(half, Relaxed);
        self.map.page(pfn.0).flags.store(half, Relaxed);
    }

    /// Makes an allocated block, of an order up to 9, into single pages of the same owner, each with a
    /// reference count of 1 (Linux: `split_page`).
    ///
    /// # Panics
    /// If it is not such a block, or a compound page.
    pub(crate) fn split_to_pages(&self, pfn: Pfn, order: Order) {
        let word = self.map.word(pfn.0).unwrap_or(0);
        assert!(
            flags_of(word) == PageFlags::ALLOCATED && order_of(word) == order.get(),
            "bad split: pfn {pfn}, order {order}: {:?}, order {}",
            flags_of(word),
            order_of(word)
        );
        self.map.touch(pfn.0);
        for frame in pfn.0..pfn.0 + order.pages() {
            let page = self.map.page(frame);
            page.refcount.store(1, Relaxed);
            page.flags.store(word & !ORDER_MASK, Relaxed);
        }
    }

    /// Which areas get huge pages.
    pub fn thp_enabled(&self) -> ThpEnabled {
        let number = self.thp.load(Relaxed) as usize;
        ThpEnabled::ALL.get(number).copied().unwrap_or_default()
    }

    /// Changes that; what is there stays as it is.
    pub fn set_thp_enabled(&self, enabled: ThpEnabled) {
        self.thp.store(enabled as u32, Relaxed);
    }

    /// Marks another CPU as using the memory manager, for what is shown of it. The boot CPU is
    /// marked from the start.
    pub fn set_cpu_online(&self, cpu: usize) {
        if let Some(cpu) = self.percpu.get(cpu) {
            cpu.online.store(1, Relaxed);
        }
    }
}
