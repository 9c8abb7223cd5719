//! What the allocators have to do.

use super::heaps::Heap;
use std::{fmt, hint::black_box, ptr::NonNull};

/// Pairs of an allocation and a free in one iteration.
pub(crate) const PAIRS: usize = 1000;

/// A row of the table.
#[derive(Clone, Copy)]
pub(crate) enum Row {
    /// Pairs of this size.
    Pair(usize),
    /// All of [`PAIRS`] allocations of this size before all frees.
    Bulk(usize),
    /// Random sizes of all magnitudes up to `largest`, a power of two, with `held` objects alive.
    Mixed { held: usize, largest: usize },
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pair(size) => write!(f, "pair {size}"),
            Self::Bulk(size) => write!(f, "{PAIRS} objects of {size}"),
            Self::Mixed { held, largest } => write!(f, "mixed {held} up to {largest}"),
        }
    }
}

/// All rows.
pub(crate) const ROWS: [Row; 17] = [
    Row::Pair(8),
    Row::Pair(64),
    Row::Pair(192),
    Row::Pair(512),
    Row::Pair(1024),
    Row::Pair(4096),
    Row::Pair(8192),
    Row::Bulk(8),
    Row::Bulk(64),
    Row::Bulk(192),
    Row::Bulk(512),
    Row::Bulk(1024),
    Row::Bulk(4096),
    Row::Bulk(8192),
    Row::Mixed {
        held: 1000,
        largest: 1024,
    },
    Row::Mixed {
        held: 10_000,
        largest: 1024,
    },
    Row::Mixed {
        held: 10_000,
        largest: 8192,
    },
];

/// Knuth's MMIX generator: the same sequence for both.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 32) as usize * limit) >> 32
    }

    /// A size up to `largest`, a power of two: all magnitudes alike, as in a kernel.
    fn size(&mut self, largest: usize) -> usize {
        let bits = largest.trailing_zeros() as usize;
        let magnitude = 3 + self.below(bits - 2);
        (1 << (magnitude - 1)) + 1 + self.below(1 << (magnitude - 1))
    }
}

/// A free right after each allocation.
pub(crate) fn pairs(heap: &mut impl Heap, size: usize) {
    for _ in 0..PAIRS {
        let object = heap.alloc(black_box(size));
        heap.free(black_box(object), size);
    }
}

/// All allocations before all frees, which come in the same order. `held` is empty.
pub(crate) fn bulk(heap: &mut impl Heap, held: &mut Vec<NonNull<u8>>, size: usize) {
    held.extend((0..PAIRS).map(|_| heap.alloc(black_box(size))));
    for object in held.drain(..) {
        heap.free(object, size);
    }
}

/// Objects of random sizes and lifetimes: one is replaced at a time.
pub(crate) struct Mixed {
    held: Vec<(NonNull<u8>, usize)>,
    steps: Vec<(usize, usize)>,
    next: usize,
}

impl Mixed {
    /// Allocates what is held at first.
    pub(crate) fn new(heap: &mut impl Heap, held: usize, largest: usize) -> Self {
        let mut random = Random(1);
        let held = (0..held)
            .map(|_| random.size(largest))
            .map(|size| (heap.alloc(size), size))
            .collect::<Vec<_>>();
        let steps = (0..1 << 16)
            .map(|_| (random.below(held.len()), random.size(largest)))
            .collect();
        Self {
            held,
            steps,
            next: 0,
        }
    }

    /// Replaces [`PAIRS`] objects.
    pub(crate) fn run(&mut self, heap: &mut impl Heap) {
        for _ in 0..PAIRS {
            let (slot, size) = self.steps[self.next % self.steps.len()];
            self.next += 1;
            let (object, old) = self.held[slot];
            heap.free(object, old);
            self.held[slot] = (heap.alloc(size), size);
        }
    }

    /// Frees what is held.
    pub(crate) fn end(self, heap: &mut impl Heap) {
        for (object, size) in self.held {
            heap.free(object, size);
        }
    }
}
