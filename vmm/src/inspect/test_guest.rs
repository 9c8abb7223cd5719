//! The real memory manager over host memory, and copies of that memory for the host's decoders:
//! to be audited as they are, or after a planted corruption.

use std::{mem::offset_of, ptr::NonNull, sync::atomic::Ordering::Relaxed};

use pagelab_abi::{
    PAGE_SIZE, fault::FaultAttr, gfp::Gfp, page::Page, root::Root, slab::CacheFlags,
    zone::ZoneModel,
};
use pagelab_mm::{
    Mm, Order, Pfn,
    machine::Machine,
    slab::KmemCache,
    testing::{TestMachine, boot_with, with_cpu},
    zone::ZoneConfig,
};
use zerocopy::IntoBytes;

use super::{
    AuditResult,
    audit::{self, Moment},
    decode::Snapshot,
    image::{PhysMem, SegmentedMemory},
};

/// RAM of the guest.
const RAM: u64 = 32 << 20;

/// RAM of a guest that has enough free pages to report some.
const REPORTING_RAM: u64 = 96 << 20;

/// Ends of DMA and NORMAL, so that there are three zones.
const LIMITS: [u64; 2] = [4 << 20, 20 << 20];

/// Where the root page is put: in memory that is reserved.
pub(super) const ROOT: u64 = 0x8000;

/// A memory manager and what a workload holds of it.
pub(super) struct TestGuest {
    ram: u64,
    pub(super) mm: Mm<TestMachine>,
    pub(super) pages: Vec<(Pfn, Order)>,
    pub(super) balloon: Vec<(Pfn, Order)>,
    pub(super) objects: Vec<(usize, NonNull<u8>)>,
    pub(super) caches: Vec<KmemCache>,
}

impl TestGuest {
    /// A guest with two CPUs, three zones and two caches besides those of kmalloc.
    pub(super) fn new(debug: CacheFlags) -> Self {
        Self::with_ram(RAM, debug)
    }

    fn with_ram(ram: u64, debug: CacheFlags) -> Self {
        let zones = ZoneConfig::with_limits(ZoneModel::Classic, &LIMITS).unwrap();
        let reserved = [(0, 1 << 20), (0x50_0000, 0x30_0000), (0xa0_1800, 0x3000)];
        let mm = boot_with(ram, zones, 2, &reserved);
        mm.slab_init(debug).unwrap();
        let slab = mm.slab();
        let small = slab.kmem_cache_create("small", 52, 0, CacheFlags::empty(), None);
        let large = slab.kmem_cache_create("large", 1500, 0, CacheFlags::RECLAIM_ACCOUNT, None);
        let caches = vec![small.unwrap(), large.unwrap()];
        Self {
            ram,
            mm,
            pages: Vec::new(),
            balloon: Vec::new(),
            objects: Vec::new(),
            caches,
        }
    }

    /// A guest in the midst of its work.
    pub(super) fn busy(debug: CacheFlags) -> Self {
        let mut guest = Self::new(debug);
        for step in 0..600u32 {
            with_cpu((step / 50 % 2) as usize, || guest.step(step * 7919));
        }
        guest
    }

    /// A guest that is reporting a free block to the host.
    pub(super) fn reporting() -> Self {
        let guest = Self::with_ram(REPORTING_RAM, CacheFlags::empty());
        let mut block = [(Pfn(0), Order::ZERO)];
        assert_eq!(guest.mm.report_isolate(Order::PAGEBLOCK, &mut block), 1);
        guest
    }

    /// One step of a workload, chosen by a number.
    pub(super) fn step(&mut self, number: u32) {
        let gfps = [
            Gfp::KERNEL,
            Gfp::HIGHUSER_MOVABLE,
            Gfp::KERNEL | Gfp::COMP,
            Gfp::KERNEL | Gfp::RECLAIMABLE,
            Gfp::ATOMIC,
            Gfp::KERNEL | Gfp::DMA,
        ];
        let pick = number as usize / 16;
        let gfp = gfps[pick % gfps.len()];
        match number % 16 {
            0..5 => {
                let order = Order::new([0, 0, 0, 1, 2, 4, 9][pick % 7]).unwrap();
                self.pages
                    .extend(self.mm.alloc_pages(gfp, order).map(|pfn| (pfn, order)));
            }
            5..9 if !self.pages.is_empty() => {
                let (pfn, order) = self.pages.swap_remove(pick % self.pages.len());
                self.mm.free_pages(pfn, order);
            }
            9..12 => {
                let cache = pick % self.caches.len();
                let object = self
                    .mm
                    .slab()
                    .kmem_cache_alloc(&self.caches[cache], Gfp::KERNEL);
                self.objects.extend(object.map(|object| (cache, object)));
            }
            12..14 if !self.objects.is_empty() => {
                let (cache, object) = self.objects.swap_remove(pick % self.objects.len());
                // SAFETY: it came from this cache and is forgotten here.
                unsafe { self.mm.slab().kmem_cache_free(&self.caches[cache], object) };
            }
            14 => self
                .balloon
                .extend(self.mm.balloon_inflate(Order::PAGEBLOCK)),
            15 if !self.balloon.is_empty() => {
                let (pfn, order) = self.balloon.swap_remove(pick % self.balloon.len());
                self.mm.balloon_deflate(pfn, order);
            }
            _ => {
                self.mm.drain_all_pages();
            }
        }
    }

    /// Gives everything back.
    pub(super) fn give_back(&mut self) {
        for (pfn, order) in self.pages.drain(..) {
            self.mm.free_pages(pfn, order);
        }
        for (pfn, order) in self.balloon.drain(..) {
            self.mm.balloon_deflate(pfn, order);
        }
        for (cache, object) in self.objects.drain(..) {
            // SAFETY: it came from this cache and is forgotten here.
            unsafe { self.mm.slab().kmem_cache_free(&self.caches[cache], object) };
        }
    }

    /// A copy of its memory at this moment.
    pub(super) fn image(&self) -> TestImage {
        TestImage::of(&self.mm, self.ram)
    }
}

/// A root page that a kernel would have.
fn root(mm: &Mm<TestMachine>) -> Root {
    let mut root = Root::new();
    root.mm = mm.layout();
    {
        let clock = mm.machine().clock();
        root.clock.count.store(clock.count.load(Relaxed), Relaxed);
        root.clock.hash.store(clock.hash.load(Relaxed), Relaxed);
        for (to, from) in root.clock.by_kind.iter().zip(&clock.by_kind) {
            to.store(from.load(Relaxed), Relaxed);
        }
        let control = mm.machine().control();
        let copy = |to: &FaultAttr, from: &FaultAttr| {
            to.seen.store(from.seen.load(Relaxed), Relaxed);
            to.injected.store(from.injected.load(Relaxed), Relaxed);
        };
        copy(&root.control.fail_page_alloc, &control.fail_page_alloc);
        copy(&root.control.failslab, &control.failslab);
    }
    root
}

/// A copy of a guest's memory, to be written on.
pub(super) struct TestImage {
    pub(super) memory: SegmentedMemory<Vec<u8>>,
}

impl TestImage {
    /// A copy of all RAM, with a root page.
    pub(super) fn of(mm: &Mm<TestMachine>, ram: u64) -> Self {
        let mut bytes = vec![0; ram as usize];
        let start = mm.machine().frame(0).unwrap();
        // SAFETY: all RAM is one allocation that starts with frame 0, and nobody else uses this
        // guest now.
        unsafe {
            start
                .as_ptr()
                .copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len())
        };
        let mut image = Self {
            memory: SegmentedMemory::flat(bytes, None).unwrap(),
        };
        image.write(ROOT, root(mm).as_mut_bytes());
        image
    }

    /// Its structures.
    pub(super) fn snapshot(&self) -> Snapshot<'_> {
        Snapshot::read(&self.memory, ROOT).unwrap()
    }

    /// The result of one audit.
    pub(super) fn audit(&self, name: &str) -> AuditResult {
        let audits = audit::all(&self.memory, ROOT, Moment::Between);
        audits.into_iter().find(|audit| audit.name == name).unwrap()
    }

    /// Overwrites memory.
    pub(super) fn write(&mut self, gpa: u64, bytes: &[u8]) {
        self.memory
            .slice_mut(gpa, bytes.len())
            .unwrap()
            .copy_from_slice(bytes);
    }

    /// A second copy.
    pub(super) fn copy(&self) -> Self {
        let bytes = self
            .memory
            .slice(0, self.memory.size() as usize)
            .unwrap()
            .to_vec();
        Self {
            memory: SegmentedMemory::flat(bytes, None).unwrap(),
        }
    }

    /// The eight bytes at an address.
    pub(super) fn u64(&self, gpa: u64) -> u64 {
        u64::from_le_bytes(self.memory.slice(gpa, 8).unwrap().try_into().unwrap())
    }

    /// The four bytes at an address.
    pub(super) fn u32(&self, gpa: u64) -> u32 {
        u32::from_le_bytes(self.memory.slice(gpa, 4).unwrap().try_into().unwrap())
    }

    /// Overwrites four bytes with what `change` makes of them.
    pub(super) fn change_u32(&mut self, gpa: u64, change: impl FnOnce(u32) -> u32) {
        let value = change(self.u32(gpa));
        self.write(gpa, &value.to_le_bytes());
    }

    /// Overwrites a field of a frame's descriptor; `field` is its offset.
    pub(super) fn change_page(&mut self, pfn: u32, field: usize, change: impl FnOnce(u32) -> u32) {
        let gpa = self.snapshot().mem_map.gpa_of(pfn) + field as u64;
        self.change_u32(gpa, change);
    }
}

/// Offsets of a descriptor's fields.
pub(super) const FLAGS: usize = offset_of!(Page, flags);
pub(super) const REFCOUNT: usize = offset_of!(Page, refcount);
pub(super) const NEXT: usize = offset_of!(Page, next);
pub(super) const PREV: usize = offset_of!(Page, prev);
pub(super) const PRIVATE: usize = offset_of!(Page, private);
pub(super) const MAPPING: usize = offset_of!(Page, mapping);

/// Frames of the guest.
pub(super) const FRAMES: u32 = (RAM / PAGE_SIZE) as u32;
