//! The allocators under one interface.

use bitmap_allocator::{BitAlloc, BitAlloc1M};
use buddy_system_allocator::FrameAllocator;
use pagelab_abi::gfp::Gfp;
use pagelab_mm::{Config, Memblock, Mm, Order, Pfn, testing::BenchMachine, zone::ZoneConfig};

/// Frames that each allocator has: 1 GiB.
pub(crate) const FRAMES: usize = 1 << 18;

/// An allocator of frames.
pub(crate) trait Frames {
    /// Its name in the table.
    const NAME: &'static str;
    /// One with [`FRAMES`] free frames.
    fn new() -> Self;
    /// Takes a block of 2^`order` frames.
    fn get(&mut self, order: u32) -> u32;
    /// Gives it back.
    fn put(&mut self, frame: u32, order: u32);
}

/// Ours.
pub(crate) struct Pagelab<const CLOCK: bool>(Mm<BenchMachine<CLOCK>>);

impl<const CLOCK: bool> Frames for Pagelab<CLOCK> {
    const NAME: &'static str = if CLOCK {
        "pagelab-mm"
    } else {
        "without the clock"
    };

    fn new() -> Self {
        // A little more, so that the metadata does not lie in the frames that count.
        let size = (FRAMES as u64) << 12;
        let mut memblock = Memblock::new();
        memblock.add(0, size).expect("room for a region");
        memblock.reserve(0, 4096).expect("room for a region");
        let config = Config {
            zones: ZoneConfig::X86_64,
            cpus: 1,
            direct_map_end: size,
        };
        let machine = BenchMachine::new(size);
        Self(Mm::init(machine, &mut memblock, config).expect("memory for the metadata"))
    }

    #[inline]
    fn get(&mut self, order: u32) -> u32 {
        let order = Order::new(order).expect("an order up to 10");
        match self.0.alloc_pages(Gfp::KERNEL, order) {
            Ok(pfn) => pfn.0,
            Err(error) => panic!("{error}"),
        }
    }

    #[inline]
    fn put(&mut self, frame: u32, order: u32) {
        let order = Order::new(order).expect("an order up to 10");
        self.0.free_pages(Pfn(frame), order);
    }
}

/// The crate `buddy_system_allocator`.
pub(crate) struct Buddy(FrameAllocator<11>);

impl Frames for Buddy {
    const NAME: &'static str = "buddy_system_allocator";

    fn new() -> Self {
        let mut frames = FrameAllocator::new();
        frames.add_frame(1, FRAMES);
        Self(frames)
    }

    #[inline]
    fn get(&mut self, order: u32) -> u32 {
        self.0.alloc(1 << order).expect("enough frames") as u32
    }

    #[inline]
    fn put(&mut self, frame: u32, order: u32) {
        self.0.dealloc(frame as usize, 1 << order);
    }
}

/// The crate `bitmap-allocator`.
pub(crate) struct Bitmap(Box<BitAlloc1M>);

impl Frames for Bitmap {
    const NAME: &'static str = "bitmap-allocator";

    fn new() -> Self {
        let mut frames = Box::new(BitAlloc1M::DEFAULT);
        frames.insert(1..FRAMES);
        Self(frames)
    }

    #[inline]
    fn get(&mut self, order: u32) -> u32 {
        let frame = if order == 0 {
            self.0.alloc()
        } else {
            self.0.alloc_contiguous(None, 1 << order, order as usize)
        };
        frame.expect("enough frames") as u32
    }

    #[inline]
    fn put(&mut self, frame: u32, order: u32) {
        let was_allocated = if order == 0 {
            self.0.dealloc(frame as usize)
        } else {
            self.0.dealloc_contiguous(frame as usize, 1 << order)
        };
        assert!(was_allocated);
    }
}
