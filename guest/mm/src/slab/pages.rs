//! The page allocator as the source of slabs, and the slab allocator as a part of [`Mm`].

use super::{AllocError, PageSource, Slab, name_of};
use crate::{
    Mm, Order, Pfn,
    fault::is_armed,
    machine::Machine,
    proc::slabinfo,
    shrinker::{SHRINK_STOP, ShrinkControl, Shrinker},
};
use core::{fmt, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    event::EventKind,
    gfp::Gfp,
    page::{Page, zone_of},
    slab::{Cache, CacheFlags, SlabState},
    vmstat::NodeStat,
    zone::WMARK_HIGH,
};

/// A cache may keep one in so many frames of a zone in empty slabs, while the zone is above its
/// high watermark. Bonwick's allocator keeps all until the system asks for them; the bound leaves
/// most of what is free to the balloon and to free page reporting.
const KEPT_SHARE: u32 = 32;

impl<M: Machine + 'static> PageSource for Mm<M> {
    #[inline(always)]
    fn cpu(&self) -> usize {
        self.machine.cpu()
    }

    fn alloc_pages(&self, gfp: Gfp, order: u32) -> Option<u32> {
        let pfn = Mm::alloc_pages(self, gfp, Order::new(order)?).ok()?;
        Some(pfn.0)
    }

    fn free_pages(&self, pfn: u32, order: u32) {
        if let Some(order) = Order::new(order) {
            Mm::free_pages(self, Pfn(pfn), order);
        }
    }

    #[inline(always)]
    fn page(&self, pfn: u32) -> Option<&Page> {
        self.map.valid(pfn)
    }

    #[inline(always)]
    fn slab_page(&self, pfn: u32) -> &Page {
        self.map.page(pfn)
    }

    #[inline(always)]
    fn direct_map(&self) -> *mut u8 {
        self.direct_map.base()
    }

    #[inline(always)]
    fn slab_state(&self) -> &SlabState {
        &self.state.slab
    }

    #[inline(always)]
    fn should_failslab(&self, cache: &Cache, gfp: Gfp) -> bool {
        let control = self.machine.control();
        is_armed(control, &control.failslab)
            && Mm::should_failslab(self, name_of(cache), gfp, cache.geometry.object_size)
    }

    fn account_slab(&self, reclaimable: bool, frames: i64) {
        let stat = if reclaimable {
            NodeStat::SlabReclaimable
        } else {
            NodeStat::SlabUnreclaimable
        };
        self.mod_node_stat(stat, frames);
    }

    #[inline]
    fn may_keep(&self, pfn: u32, empty: u32, order: u32) -> bool {
        let word = self.map.page(pfn).flags.load(Relaxed);
        let zone = &self.state.zones[zone_of(word) as usize];
        let share = zone.managed.load(Relaxed) / KEPT_SHARE;
        empty <= share >> order
            && zone.free_pages.load(Relaxed) > zone.watermark[WMARK_HIGH].load(Relaxed)
    }

    fn relax(&self) {
        self.machine.relax();
    }

    #[inline(always)]
    fn event(&self, kind: EventKind, a: u64, b: u64) {
        self.machine.event(kind, a, b);
    }
}

impl<M: Machine + 'static> Mm<M> {
    /// The slab allocator. It works once [`Mm::slab_init`] has run.
    #[inline(always)]
    pub fn slab(&self) -> Slab<'_, Self> {
        Slab::new(self)
    }

    /// Writes /proc/slabinfo: all caches, newest first.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn slabinfo(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        slabinfo::write(self.slab(), out)
    }

    /// Makes the first caches, those of kmalloc and of the page cache, and lets reclaim shrink them. `debug`, of
    /// [`CacheFlags::DEBUG`], applies to all caches. Called once, right after [`Mm::init`].
    ///
    /// # Errors
    /// If there is not a single free page, or no room for a shrinker.
    pub fn slab_init(&self, debug: CacheFlags) -> Result<(), AllocError> {
        self.slab().init(debug)?;
        self.register_shrinker(&SlabShrinker)
            .map_err(|_| AllocError)?;
        self.page_cache_init().map_err(|_| AllocError)
    }
}

/// Gives empty slabs back to reclaim. Its objects are frames of empty slabs and objects in this
/// CPU's magazines; of these, frames are what it frees.
#[derive(Debug)]
struct SlabShrinker;

impl<M: Machine + 'static> Shrinker<M> for SlabShrinker {
    fn name(&self) -> &'static str {
        "slab"
    }

    fn count_objects(&self, mm: &Mm<M>, _control: &ShrinkControl) -> u64 {
        mm.slab().shrinkable()
    }

    fn scan_objects(&self, mm: &Mm<M>, control: &ShrinkControl) -> u64 {
        match mm.slab().shrink_all(control.nr_to_scan) {
            0 => SHRINK_STOP,
            freed => freed,
        }
    }
}
