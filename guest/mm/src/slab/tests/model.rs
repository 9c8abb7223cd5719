//! Random sequences against a naive model: a map from address to size and content.

use super::*;
use pagelab_abi::PAGE_SIZE;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Byte that the model's constructor leaves.
const CONSTRUCTED: u8 = 0x3c;

/// Sizes and alignments of the model's caches; the last one has a constructor.
const CACHES: [(u32, u32); 4] = [(24, 0), (200, 64), (1500, 8), (96, 0)];

#[derive(Clone, Debug)]
enum Step {
    Kmalloc { size: usize, flags: u32 },
    Krealloc { which: usize, size: usize },
    Alloc { cache: usize },
    Free { which: usize },
    Shrink { cache: usize },
    ShrinkAll { frames: u64 },
    Drain,
    FailPage { after: u64 },
    FailSlab { after: u64 },
    Cpu { cpu: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![8 => 0..300usize, 4 => 300..9000usize, 1 => 9000..70_000usize];
    prop_oneof![
        12 => (size.clone(), 0..8u32).prop_map(|(size, flags)| Step::Kmalloc { size, flags }),
        3 => (any::<usize>(), size).prop_map(|(which, size)| Step::Krealloc { which, size }),
        12 => (0..CACHES.len()).prop_map(|cache| Step::Alloc { cache }),
        18 => any::<usize>().prop_map(|which| Step::Free { which }),
        1 => (0..CACHES.len()).prop_map(|cache| Step::Shrink { cache }),
        1 => (1..40u64).prop_map(|frames| Step::ShrinkAll { frames }),
        1 => Just(Step::Drain),
        2 => (1..6u64).prop_map(|after| Step::FailPage { after }),
        2 => (1..6u64).prop_map(|after| Step::FailSlab { after }),
        2 => (0..3usize).prop_map(|cpu| Step::Cpu { cpu }),
    ]
}

/// What the model knows of an allocation.
#[derive(Clone, Copy)]
struct Held {
    object: NonNull<u8>,
    size: usize,
    byte: u8,
    cache: Option<usize>,
}

struct World {
    bench: Bench,
    caches: Vec<KmemCache>,
    held: BTreeMap<usize, Held>,
    next_byte: u8,
}

impl World {
    fn new(debug: CacheFlags) -> Self {
        let bench = Bench::with(400, debug);
        let caches = (0..CACHES.len())
            .map(|i| {
                let ctor: Option<crate::slab::Constructor> =
                    (i == CACHES.len() - 1).then_some(|object| fill(object, 96, CONSTRUCTED));
                bench
                    .slab()
                    .kmem_cache_create(
                        &format!("model-{i}"),
                        CACHES[i].0,
                        CACHES[i].1,
                        CacheFlags::empty(),
                        ctor,
                    )
                    .unwrap()
            })
            .collect();
        Self {
            bench,
            caches,
            held: BTreeMap::new(),
            next_byte: 1,
        }
    }

    /// Takes an allocation into the model: no overlap, and a content of its own.
    fn keep(&mut self, object: NonNull<u8>, size: usize, cache: Option<usize>) {
        let start = object.as_ptr() as usize;
        if size > 0 {
            let before = self.held.range(..start + size).next_back();
            if let Some((&other, held)) = before {
                assert!(other + held.size <= start, "overlap at {start:#x}");
            }
            self.next_byte = self.next_byte.wrapping_add(1);
            fill(object, size, self.next_byte);
            let byte = self.next_byte;
            self.held.insert(
                start,
                Held {
                    object,
                    size,
                    byte,
                    cache,
                },
            );
        }
    }

    fn forget(&mut self, which: usize) -> Option<Held> {
        let nth = which.checked_rem(self.held.len())?;
        let key = *self.held.keys().nth(nth)?;
        let held = self.held.remove(&key)?;
        assert!(
            holds(held.object, held.size, held.byte),
            "content is not as written"
        );
        Some(held)
    }

    fn free(&self, held: Held) {
        match held.cache {
            None => self.bench.kfree(held.object),
            Some(cache) => {
                if cache == CACHES.len() - 1 {
                    // The owner restores what the constructor made.
                    fill(held.object, held.size, CONSTRUCTED);
                }
                self.bench.free(&self.caches[cache], held.object);
            }
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Kmalloc { size, flags } => {
                let mut gfp = if flags & 1 == 0 {
                    Gfp::KERNEL
                } else {
                    Gfp::ATOMIC
                };
                gfp.set(Gfp::ZERO, flags & 2 != 0);
                gfp.set(Gfp::DMA, flags == 5);
                if let Ok(object) = self.bench.slab().kmalloc(size, gfp) {
                    if gfp.contains(Gfp::ZERO) {
                        assert!(holds(object, size, 0));
                    }
                    if size.is_power_of_two() {
                        assert!((object.as_ptr() as usize).is_multiple_of(size.min(4096)));
                    }
                    self.keep(object, size, None);
                }
            }
            Step::Krealloc { which, size } => {
                let Some(old) = self.forget(which) else {
                    return;
                };
                if old.cache.is_some() {
                    return self.keep(old.object, old.size, old.cache);
                }
                // SAFETY: the model has forgotten the old pointer.
                let new = unsafe {
                    self.bench
                        .slab()
                        .krealloc(Some(old.object), size, Gfp::KERNEL)
                };
                match new {
                    Ok(object) => {
                        assert!(holds(object, old.size.min(size), old.byte));
                        self.keep(object, size, None);
                    }
                    Err(_) => {
                        assert!(holds(old.object, old.size, old.byte));
                        self.keep(old.object, old.size, None);
                    }
                }
            }
            Step::Alloc { cache } => {
                let slab = self.bench.slab();
                if let Ok(object) = slab.kmem_cache_alloc(&self.caches[cache], Gfp::KERNEL) {
                    let (size, align) = CACHES[cache];
                    assert!((object.as_ptr() as usize).is_multiple_of(align.max(8) as usize));
                    if cache == CACHES.len() - 1 {
                        assert!(holds(object, size as usize, CONSTRUCTED));
                    }
                    self.keep(object, size as usize, Some(cache));
                }
            }
            Step::Free { which } => {
                if let Some(held) = self.forget(which) {
                    self.free(held);
                }
            }
            Step::Shrink { cache } => {
                self.bench.slab().kmem_cache_shrink(&self.caches[cache]);
            }
            Step::ShrinkAll { frames } => {
                self.bench.slab().shrink_all(frames);
            }
            Step::Drain => self.bench.slab().drain_local(),
            Step::FailPage { after } => self.bench.source.fail_page.set(Some(after)),
            Step::FailSlab { after } => self.bench.source.fail_slab.set(Some(after)),
            Step::Cpu { cpu } => self.bench.source.cpu.set(cpu),
        }
    }

    /// Everything goes back, and nothing is left.
    fn end(mut self) {
        while let Some(held) = self.forget(0) {
            self.free(held);
        }
        for cache in std::mem::take(&mut self.caches) {
            self.bench.slab().kmem_cache_destroy(cache).unwrap();
        }
        for cpu in 0..3 {
            self.bench.source.cpu.set(cpu);
            self.bench.slab().drain_local();
        }
        self.bench.slab().shrink_all(u64::MAX);
        self.bench.check();
        let left = self.bench.source.allocated.get();
        // Descriptors of caches and magazines.
        assert!(left * PAGE_SIZE < 40 * 1024 * 2, "{left} frames are left");
    }
}

fn run(debug: CacheFlags, steps: &[Step], check_every: usize) {
    let mut world = World::new(debug);
    for (i, step) in steps.iter().enumerate() {
        world.run(step);
        world.bench.source.events.borrow_mut().clear();
        if i.is_multiple_of(check_every) {
            world.bench.check();
        }
    }
    world.end();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn behaves_as_the_model(steps in prop::collection::vec(step(), 1..200)) {
        run(CacheFlags::empty(), &steps, 3);
    }

    #[test]
    fn behaves_as_the_model_with_debugging(steps in prop::collection::vec(step(), 1..100)) {
        run(CacheFlags::DEBUG, &steps, 10);
    }
}
