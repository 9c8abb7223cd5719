//! Pages for the tests: a small memory with a first-fit page allocator of its own, which can be
//! told to fail, and which checks what the slab allocator hands back.

use crate::slab::PageSource;
use pagelab_abi::{
    PAGE_SIZE,
    event::EventKind,
    gfp::Gfp,
    page::{FLAGS_MASK, MigrateType, NONE, Page, PageFlags, pack},
    slab::{Cache, SlabState},
};
use std::{
    alloc::{Layout, alloc_zeroed, dealloc},
    cell::{Cell, RefCell},
    sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed},
};

/// First frame of the memory, so that a pfn is never by accident an index.
const START: u32 = 0x100;

pub(super) struct TestSource {
    pub(super) state: SlabState,
    memory: *mut u8,
    pages: Vec<Page>,
    pub(super) cpu: Cell<usize>,
    /// Page allocations until one fails; counted down.
    pub(super) fail_page: Cell<Option<u64>>,
    /// Slab allocations until one fails; counted down.
    pub(super) fail_slab: Cell<Option<u64>>,
    pub(super) allocated: Cell<u64>,
    pub(super) calls: Cell<u64>,
    pub(super) gfps: RefCell<Vec<Gfp>>,
    pub(super) slab_frames: Cell<[i64; 2]>,
    /// Whether empty slabs may stay with their cache beyond its own limit.
    pub(super) plentiful: Cell<bool>,
    pub(super) events: RefCell<Vec<(EventKind, u64, u64)>>,
}

impl TestSource {
    pub(super) fn new(frames: u32) -> Self {
        // SAFETY: the size is not 0.
        let memory = unsafe { alloc_zeroed(Self::layout(frames)) };
        assert!(!memory.is_null());
        // Garbage, as in a machine after a warm boot.
        // SAFETY: freshly allocated with this size.
        unsafe { memory.write_bytes(0xcd, frames as usize * PAGE_SIZE as usize) };
        let page = || Page {
            flags: AtomicU32::new(PageFlags::BUDDY.bits()),
            refcount: AtomicU32::new(0),
            mapcount: AtomicI32::new(0),
            private: AtomicU32::new(0),
            next: AtomicU32::new(NONE),
            prev: AtomicU32::new(NONE),
            mapping: AtomicU64::new(0),
        };
        Self {
            state: SlabState::new(),
            memory,
            pages: (0..frames).map(|_| page()).collect(),
            cpu: Cell::new(0),
            fail_page: Cell::new(None),
            fail_slab: Cell::new(None),
            allocated: Cell::new(0),
            calls: Cell::new(0),
            gfps: RefCell::new(Vec::new()),
            slab_frames: Cell::new([0; 2]),
            plentiful: Cell::new(false),
            events: RefCell::new(Vec::new()),
        }
    }

    fn layout(frames: u32) -> Layout {
        // As aligned as the largest block that kmalloc asks for.
        Layout::from_size_align((frames * PAGE_SIZE as u32) as usize, 4 << 20).unwrap()
    }

    fn countdown(counter: &Cell<Option<u64>>) -> bool {
        match counter.get() {
            Some(1) => {
                counter.set(None);
                true
            }
            Some(n) => {
                counter.set(Some(n - 1));
                false
            }
            None => false,
        }
    }

    fn is_free(&self, index: u32) -> bool {
        let flags = self.pages[index as usize].flags.load(Relaxed);
        flags & PageFlags::BUDDY.bits() != 0
    }

    pub(super) fn frames(&self) -> u32 {
        self.pages.len() as u32
    }
}

impl Drop for TestSource {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.memory, Self::layout(self.frames())) }
    }
}

impl PageSource for TestSource {
    fn cpu(&self) -> usize {
        self.cpu.get()
    }

    fn may_keep(&self, _pfn: u32, _empty: u32, _order: u32) -> bool {
        self.plentiful.get()
    }

    fn alloc_pages(&self, gfp: Gfp, order: u32) -> Option<u32> {
        assert!(!gfp.contains(Gfp::HIGHMEM), "slabs are in the direct map");
        self.calls.set(self.calls.get() + 1);
        self.gfps.borrow_mut().push(gfp);
        if Self::countdown(&self.fail_page) {
            return None;
        }
        let block = 1 << order;
        let first = (0..self.frames())
            .step_by(block as usize)
            .find(|&i| i + block <= self.frames() && (i..i + block).all(|j| self.is_free(j)))?;
        for i in first..first + block {
            let compound = gfp.contains(Gfp::COMP);
            let flags = match (i == first, compound) {
                (true, true) => PageFlags::ALLOCATED | PageFlags::HEAD,
                (true, false) => PageFlags::ALLOCATED,
                (false, true) => PageFlags::TAIL,
                (false, false) => PageFlags::empty(),
            };
            let word = pack(flags, order, 1, MigrateType::Unmovable);
            self.pages[i as usize].flags.store(word, Relaxed);
        }
        self.pages[first as usize].refcount.store(1, Relaxed);
        if gfp.contains(Gfp::ZERO) {
            let start = self
                .direct_map()
                .wrapping_add(((START + first) as usize) << 12);
            // SAFETY: the frames were free.
            unsafe { start.write_bytes(0, (block as usize) << 12) };
        }
        self.allocated.set(self.allocated.get() + u64::from(block));
        self.event(
            EventKind::PageAlloc,
            u64::from(START + first),
            u64::from(order),
        );
        Some(START + first)
    }

    fn free_pages(&self, pfn: u32, order: u32) {
        let page = self.page(pfn).unwrap();
        let flags = page.flags.load(Relaxed);
        let expected = PageFlags::ALLOCATED
            | if order > 0 {
                PageFlags::HEAD
            } else {
                PageFlags::empty()
            };
        assert_eq!(
            flags & FLAGS_MASK,
            expected.bits(),
            "a clean, allocated head"
        );
        assert_eq!(pagelab_abi::page::order_of(flags), order);
        assert_eq!(page.mapcount.load(Relaxed), 0);
        assert_eq!(page.refcount.swap(0, Relaxed), 1);
        for i in 0..1 << order {
            let page = &self.pages[(pfn - START + i) as usize];
            page.flags.store(PageFlags::BUDDY.bits(), Relaxed);
            // SAFETY: the frame is free; nobody has a reference into it.
            unsafe {
                self.direct_map()
                    .wrapping_add(((pfn + i) as usize) << 12)
                    .write_bytes(0xcd, PAGE_SIZE as usize);
            }
        }
        self.allocated.set(self.allocated.get() - (1 << order));
        self.event(EventKind::PageFree, u64::from(pfn), u64::from(order));
    }

    fn page(&self, pfn: u32) -> Option<&Page> {
        self.pages.get(pfn.checked_sub(START)? as usize)
    }

    fn slab_page(&self, pfn: u32) -> &Page {
        self.page(pfn).expect("a frame of this memory")
    }

    fn slab_state(&self) -> &SlabState {
        &self.state
    }

    fn direct_map(&self) -> *mut u8 {
        self.memory.wrapping_sub((START as usize) << 12)
    }

    fn should_failslab(&self, _cache: &Cache, _gfp: Gfp) -> bool {
        Self::countdown(&self.fail_slab)
    }

    fn account_slab(&self, reclaimable: bool, frames: i64) {
        let mut now = self.slab_frames.get();
        now[usize::from(reclaimable)] += frames;
        assert!(now[usize::from(reclaimable)] >= 0);
        self.slab_frames.set(now);
    }

    fn event(&self, kind: EventKind, a: u64, b: u64) {
        self.events.borrow_mut().push((kind, a, b));
    }
}
