//! The allocators under one interface.

use pagelab_abi::{gfp::Gfp, slab::CacheFlags};
use pagelab_mm::{Config, Memblock, Mm, testing::BenchMachine, zone::ZoneConfig};
use std::{alloc::Layout, ptr::NonNull};
use talc::{DefaultBinning, base::Talc, source::Manual};

/// Memory that each allocator has.
const MEMORY: usize = 256 << 20;

/// Something that allocates.
pub(crate) trait Heap {
    /// Its name in the table.
    const NAME: &'static str;

    /// At least `size` bytes, which is not 0.
    fn alloc(&mut self, size: usize) -> NonNull<u8>;

    /// Frees what `alloc` returned for this size.
    fn free(&mut self, object: NonNull<u8>, size: usize);
}

/// Ours.
pub(crate) struct Kmalloc<const CLOCK: bool>(Mm<BenchMachine<CLOCK>>);

impl<const CLOCK: bool> Kmalloc<CLOCK> {
    /// With all of its memory free.
    pub(crate) fn new() -> Self {
        let mut memblock = Memblock::new();
        memblock.add(0, MEMORY as u64).unwrap();
        memblock.reserve(0, 1 << 20).unwrap();
        let zones = ZoneConfig::X86_64;
        let config = Config {
            zones,
            cpus: 1,
            direct_map_end: zones.direct_map_end(MEMORY as u64),
        };
        let mm = Mm::init(BenchMachine::new(MEMORY as u64), &mut memblock, config).unwrap();
        mm.slab_init(CacheFlags::empty()).unwrap();
        Self(mm)
    }
}

impl<const CLOCK: bool> Heap for Kmalloc<CLOCK> {
    const NAME: &'static str = if CLOCK {
        "pagelab"
    } else {
        "without the clock"
    };

    #[inline]
    fn alloc(&mut self, size: usize) -> NonNull<u8> {
        self.0.slab().kmalloc(size, Gfp::KERNEL).unwrap()
    }

    #[inline]
    fn free(&mut self, object: NonNull<u8>, _size: usize) {
        // SAFETY: the object came from `alloc` and is not used again.
        unsafe { self.0.slab().kfree(object) }
    }
}

/// The crate `talc`.
pub(crate) struct Talced {
    talc: Talc<Manual, DefaultBinning>,
    _memory: Vec<u8>,
}

impl Talced {
    /// With all of its memory free.
    pub(crate) fn new() -> Self {
        let mut memory = vec![0u8; MEMORY];
        let mut talc = Talc::new(Manual);
        // SAFETY: the memory outlives the allocator and is used by nobody else.
        unsafe { talc.claim(memory.as_mut_ptr(), MEMORY) }.unwrap();
        Self {
            talc,
            _memory: memory,
        }
    }
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

impl Heap for Talced {
    const NAME: &'static str = "talc";

    #[inline]
    fn alloc(&mut self, size: usize) -> NonNull<u8> {
        // SAFETY: the size is not 0.
        unsafe { self.talc.allocate(layout(size)) }.unwrap()
    }

    #[inline]
    fn free(&mut self, object: NonNull<u8>, size: usize) {
        // SAFETY: the object came from `alloc` for this size and is not used again.
        unsafe { self.talc.deallocate(object.as_ptr(), layout(size)) }
    }
}
