//! A mix of allocations and frees: a table of things that are held, and steps that each fill or
//! empty one place of it at random.

use super::{
    content::count,
    lru::LRU,
    objects::{OBJECTS, Object, Objects},
    pages::{self, Block},
    rng::Rng,
};
use crate::{memory::Memory, root::progress};
use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};
use pagelab_abi::gfp::Gfp;
use pagelab_mm::Order;

/// Things that can be held at once.
const PLACES: usize = 1024;

/// Largest order that is asked for with `ZERO`: clearing large blocks would be most of the run, as
/// a host that interprets ring 0 takes a step for each word.
const MAX_ZEROED: u32 = 2;

/// What a workload is made of: shares of its allocations, in sum not 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recipe {
    /// Page blocks of mixed orders and flags.
    pub(super) pages: u32,
    /// Single pages for programs.
    pub(super) high: u32,
    /// Objects of the workload's caches.
    pub(super) slab: u32,
    /// kmalloc.
    pub(super) kmalloc: u32,
}

#[derive(Clone, Copy)]
enum Thing {
    Block(Block),
    Object(Object),
}

/// A thing and the stamp in its content.
#[derive(Clone, Copy)]
struct Held {
    thing: Thing,
    stamp: u64,
}

/// The table; too large for a stack.
struct Places(UnsafeCell<[Option<Held>; PLACES]>);

// SAFETY: reached only through the one `Mix` that exists at a time.
unsafe impl Sync for Places {}

static PLACES_TABLE: Places = Places(UnsafeCell::new([None; PLACES]));
static IN_USE: AtomicBool = AtomicBool::new(false);

/// The state of the mix.
pub(super) struct Mix {
    mm: &'static Memory,
    recipe: Recipe,
    rng: Rng,
    places: &'static mut [Option<Held>; PLACES],
}

impl Mix {
    /// A mix that holds nothing.
    ///
    /// # Panics
    /// If there is another one.
    pub(super) fn new(mm: &'static Memory, recipe: Recipe, seed: u64) -> Self {
        assert!(
            !IN_USE.swap(true, Relaxed),
            "there is one workload at a time"
        );
        // SAFETY: `IN_USE` lets only one `Mix` exist.
        let places = unsafe { &mut *PLACES_TABLE.0.get() };
        Self {
            mm,
            recipe,
            rng: Rng::new(seed),
            places,
        }
    }

    /// One allocation, or one check and free.
    pub(super) fn step(&mut self) {
        let place = self.rng.below(PLACES as u32) as usize;
        count(&progress().steps);
        match self.places[place].take() {
            Some(held) => self.give_back(held),
            None => {
                let stamp = self.rng.next();
                if let Some(thing) = self.take_new(stamp) {
                    self.places[place] = Some(Held { thing, stamp });
                    let held = &progress().held;
                    held.store(held.load(Relaxed) + 1, Relaxed);
                }
            }
        }
    }

    /// Gives everything back.
    pub(super) fn free_all(&mut self) {
        for place in 0..PLACES {
            if let Some(held) = self.places[place].take() {
                count(&progress().steps);
                self.give_back(held);
            }
        }
    }

    fn take_new(&mut self, stamp: u64) -> Option<Thing> {
        let Recipe {
            pages,
            high,
            slab,
            kmalloc,
        } = self.recipe;
        let choice = self.rng.below(pages + high + slab + kmalloc);
        if choice < pages {
            let order = pages::order(&mut self.rng);
            let mut gfp = *self.rng.pick(&pages::MIXED);
            if order.get() > MAX_ZEROED {
                gfp.remove(Gfp::ZERO);
            }
            return pages::alloc(self.mm, gfp, order, stamp).map(Thing::Block);
        }
        if choice < pages + high {
            let gfp = *self.rng.pick(&pages::HIGH);
            return pages::alloc(self.mm, gfp, Order::ZERO, stamp).map(Thing::Block);
        }
        const FLAGS: [Gfp; 4] = [
            Gfp::KERNEL,
            Gfp::KERNEL.union(Gfp::ZERO),
            Gfp::ATOMIC,
            Gfp::KERNEL.union(Gfp::NORETRY),
        ];
        let gfp = *self.rng.pick(&FLAGS);
        let objects = OBJECTS.read();
        let objects = objects.as_ref()?;
        let object = if choice < pages + high + slab {
            objects.alloc(&mut self.rng, gfp, stamp)
        } else {
            objects.kmalloc(&mut self.rng, gfp, stamp)
        };
        object.map(Thing::Object)
    }

    fn give_back(&mut self, Held { thing, stamp }: Held) {
        let held = &progress().held;
        held.store(held.load(Relaxed) - 1, Relaxed);
        match thing {
            Thing::Block(block) => pages::free(self.mm, block, stamp),
            Thing::Object(object) => {
                if let Some(objects) = OBJECTS.read().as_ref() {
                    objects.free(object, stamp);
                }
            }
        }
    }
}

/// Makes the caches.
pub(super) fn create_caches() {
    *OBJECTS.write() = Some(Objects::new());
}

/// Frees the unused objects and ends the caches. False if something was left in them.
pub(super) fn destroy_caches() -> bool {
    let mut objects = OBJECTS.write();
    let Some(mut objects) = objects.take() else {
        return true;
    };
    while let Some(object) = LRU.take() {
        objects.free_shrinkable(object);
    }
    objects.destroy()
}
