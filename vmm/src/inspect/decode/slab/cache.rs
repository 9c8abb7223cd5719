//! Cache descriptors.

use std::{collections::BTreeSet, sync::atomic::Ordering::Relaxed};

use pagelab_abi::{
    PAGE_SIZE,
    percpu::MAX_CPUS,
    slab::{self, CacheFlags, DESCRIPTOR_OBJECTS, Geometry, ListKind, MAX_SLAB_ORDER, NAME_LEN},
};

use crate::inspect::{
    decode::{DecodeError, Snapshot},
    image::read_object,
};

/// Caches that are read; a list that is longer is taken for a broken one.
pub const MAX_CACHES: usize = 4096;

/// A copy of one cache's descriptor.
#[derive(Clone, Debug)]
pub struct Cache {
    /// Physical address of the descriptor.
    pub gpa: u64,
    /// Its name; what is not UTF-8 is replaced.
    pub name: String,
    /// Its number in events.
    pub index: u32,
    /// How objects lie in slabs: checked, so that arithmetic with it cannot go wrong.
    pub geometry: Geometry,
    /// Physical addresses of the CPUs' magazines, 0 where there is none.
    pub magazines: [u64; MAX_CPUS],
    /// Not zero if a CPU held the lock.
    pub lock: u32,
    /// Whether it has a constructor.
    pub has_ctor: bool,
    /// Slabs by [`ListKind`].
    pub lists: [SlabListHead; 3],
    /// Objects free in slabs, as the guest counts them.
    pub free_objects: u64,
    /// Allocations served without a magazine.
    pub allocs: u64,
    /// Allocations that failed.
    pub alloc_failures: u64,
    /// Slabs added so far.
    pub grown: u64,
    /// Slabs given back so far.
    pub reaped: u64,
    /// Colour of the next slab.
    pub next_colour: u32,
}

/// The head of a list of slabs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlabListHead {
    /// First pfn, or [`pagelab_abi::page::NONE`].
    pub head: u32,
    /// Slabs, as the guest counts them.
    pub count: u32,
}

impl Cache {
    /// The head of a list.
    pub fn list(&self, kind: ListKind) -> SlabListHead {
        self.lists[kind as usize]
    }

    /// Slabs on all lists, as the guest counts them.
    pub fn slabs(&self) -> u64 {
        self.lists.iter().map(|list| u64::from(list.count)).sum()
    }

    /// Objects in all slabs, as the guest counts them.
    pub fn objects(&self) -> u64 {
        self.slabs() * u64::from(self.geometry.objects)
    }

    /// Its properties.
    pub fn flags(&self) -> CacheFlags {
        CacheFlags::from_bits_retain(self.geometry.flags)
    }

    /// Whether it has this property.
    pub fn has(&self, flag: CacheFlags) -> bool {
        self.flags().contains(flag)
    }

    /// Whether it is one of the allocator's own.
    pub fn is_internal(&self) -> bool {
        self.has(CacheFlags::INTERNAL)
    }

    fn decode(gpa: u64, cache: &slab::Cache) -> Result<Self, DecodeError> {
        check(&cache.geometry, gpa)?;
        let len = cache
            .name
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(NAME_LEN);
        Ok(Self {
            gpa,
            name: String::from_utf8_lossy(&cache.name[..len]).into_owned(),
            index: cache.index,
            geometry: cache.geometry,
            magazines: cache.magazines.each_ref().map(|gpa| gpa.load(Relaxed)),
            lock: cache.lock.load(Relaxed),
            has_ctor: cache.ctor != 0,
            lists: cache.lists.each_ref().map(|list| SlabListHead {
                head: list.head.load(Relaxed),
                count: list.count.load(Relaxed),
            }),
            free_objects: cache.free_objects.load(Relaxed),
            allocs: cache.allocs.load(Relaxed),
            alloc_failures: cache.alloc_failures.load(Relaxed),
            grown: cache.grown.load(Relaxed),
            reaped: cache.reaped.load(Relaxed),
            next_colour: cache.next_colour.load(Relaxed),
        })
    }
}

/// Checks that objects, their states and the colours fit into a slab.
fn check(geometry: &Geometry, gpa: u64) -> Result<(), DecodeError> {
    let require = |holds: bool, field, found: u32, expected: &dyn Fn() -> String| {
        let what = "the cache";
        let found = found.into();
        if holds {
            Ok(())
        } else {
            Err(DecodeError::Field {
                what,
                gpa,
                field,
                found,
                expected: expected(),
            })
        }
    };
    let g = geometry;
    require(g.order <= MAX_SLAB_ORDER, "order", g.order, &|| {
        format!("at most {MAX_SLAB_ORDER}")
    })?;
    let bytes = (PAGE_SIZE as u32) << g.order;
    let within = || format!("within the slab's {bytes} bytes");
    require((1..=bytes).contains(&g.size), "size", g.size, &within)?;
    require(
        (1..=g.size).contains(&g.object_size),
        "object_size",
        g.object_size,
        &|| format!("1 to {}", g.size),
    )?;
    let room = g.size - g.object_size;
    require(
        g.object_offset <= room,
        "object_offset",
        g.object_offset,
        &|| format!("at most {room}"),
    )?;
    let most = bytes / g.size;
    require(
        (1..=most).contains(&g.objects),
        "objects",
        g.objects,
        &|| format!("1 to {most}"),
    )?;
    let in_descriptor = g.flags & CacheFlags::DESCRIPTOR_STATES.bits() != 0;
    let states = if in_descriptor { 0 } else { g.objects };
    if in_descriptor {
        let expected = || format!("at most {DESCRIPTOR_OBJECTS}");
        require(
            g.objects <= DESCRIPTOR_OBJECTS,
            "objects",
            g.objects,
            &expected,
        )?;
    }
    let fits = g.states_offset <= bytes && bytes - g.states_offset >= states;
    require(fits, "states_offset", g.states_offset, &within)?;
    let aligned = g.align.is_power_of_two() && g.align >= 8;
    require(aligned, "align", g.align, &|| {
        "a power of two of at least 8".into()
    })
}

impl Snapshot<'_> {
    /// All caches, newest first.
    ///
    /// # Errors
    /// If a descriptor cannot be read or is impossible, or the list does not end.
    pub fn caches(&self) -> Result<Vec<Cache>, DecodeError> {
        let state = self.slab_state();
        let mut caches = Vec::new();
        let mut seen = BTreeSet::new();
        let mut gpa = state.caches.load(Relaxed);
        let field = |field, found: u64, expected: String| DecodeError::Field {
            what: "the list of caches",
            gpa: self.state_gpa,
            field,
            found,
            expected,
        };
        while gpa != 0 {
            if !seen.insert(gpa) || caches.len() == MAX_CACHES {
                let expected = format!("0 after at most {MAX_CACHES} different caches");
                return Err(field("next", gpa, expected));
            }
            let cache: slab::Cache =
                read_object(self.mem(), gpa).map_err(DecodeError::unreadable("cache"))?;
            caches.push(Cache::decode(gpa, &cache)?);
            gpa = cache.next.load(Relaxed);
        }
        let count = u64::from(state.nr_caches.load(Relaxed));
        if count != caches.len() as u64 {
            return Err(field(
                "nr_caches",
                count,
                format!("{}, as the list has", caches.len()),
            ));
        }
        Ok(caches)
    }
}
