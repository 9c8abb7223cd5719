//! All that must hold of all caches, checked from the structures themselves.

use super::{
    CacheRef, Corruption, PageSource, Slab,
    list::list_of,
    memory::{address_of, first_frame},
};
use core::{fmt, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    PAGE_SHIFT,
    page::{NONE, PageFlags},
    slab::{CacheFlags, ListKind, MagazineEntry, ObjectState},
};

/// The first thing that does not hold.
#[derive(Clone, Copy, Debug)]
pub struct Violation<'a> {
    /// Name of the cache.
    pub cache: &'a str,
    /// What is wrong.
    pub what: What<'a>,
}

/// What is wrong in a cache. Slabs are named by the pfn of their first frame.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// A link leads outside memory, or not back to where it came from.
    Link(u32),
    /// A frame in a list is not the first one of a slab of this cache.
    NotASlab(u32),
    /// A slab is on the wrong list for its free objects.
    List(u32, ListKind),
    /// A state byte has no meaning: slab, object, value.
    State(u32, u32, u8),
    /// A slab counts free objects wrongly: slab, counted, found.
    Free(u32, u32, u32),
    /// An object below a slab's lowest free index is free: slab, object.
    Hint(u32, u32),
    /// A list counts its slabs wrongly: list, counted, found.
    Slabs(ListKind, u32, u32),
    /// The cache counts free objects wrongly: counted, found.
    CacheFree(u64, u64),
    /// The cache's slabs are not those grown less those reaped.
    Grown,
    /// A magazine holds more than its limit: CPU, objects.
    Overfull(usize, u32),
    /// A magazine's entry is no object of the cache, or not one that is in a magazine: CPU, slot.
    Entry(usize, u32),
    /// A magazine's entry is also in another slot: CPU, slot.
    Twice(usize, u32),
    /// Objects are marked as in a magazine but in none: marked, found.
    Lost(u64, u64),
    /// Debugging aids are damaged.
    Corrupt(Corruption<'a>),
    /// The list of caches is not as long as it says.
    Caches,
}

impl fmt::Display for Violation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cache {}: ", self.cache)?;
        match self.what {
            What::Link(pfn) => write!(f, "slab {pfn:#x}: broken link"),
            What::NotASlab(pfn) => write!(f, "frame {pfn:#x} is listed and not a slab of it"),
            What::List(pfn, list) => write!(f, "slab {pfn:#x} is on the wrong list {list:?}"),
            What::State(pfn, index, value) => {
                write!(f, "slab {pfn:#x}: object {index} has state {value}")
            }
            What::Free(pfn, counted, found) => write!(
                f,
                "slab {pfn:#x} counts {counted} free objects and has {found}"
            ),
            What::Hint(pfn, index) => write!(
                f,
                "slab {pfn:#x}: free object {index} is below the lowest free index"
            ),
            What::Slabs(list, counted, found) => {
                write!(f, "list {list:?} counts {counted} slabs and has {found}")
            }
            What::CacheFree(counted, found) => {
                write!(f, "{counted} free objects counted, {found} found")
            }
            What::Grown => f.write_str("slabs differ from those grown less those reaped"),
            What::Overfull(cpu, avail) => write!(f, "magazine of CPU {cpu} holds {avail}"),
            What::Entry(cpu, slot) => {
                write!(
                    f,
                    "magazine of CPU {cpu}: slot {slot} is no object in a magazine"
                )
            }
            What::Twice(cpu, slot) => {
                write!(
                    f,
                    "magazine of CPU {cpu}: slot {slot} is in a magazine twice"
                )
            }
            What::Lost(marked, found) => write!(
                f,
                "{marked} objects are marked as in a magazine, {found} are in one"
            ),
            What::Corrupt(corruption) => corruption.fmt(f),
            What::Caches => f.write_str("the list of caches has another length than counted"),
        }
    }
}

/// Sums over the slabs of a cache.
#[derive(Default)]
struct Sums {
    slabs: u64,
    free: u64,
    in_magazines: u64,
}

impl<'a, S: PageSource> Slab<'a, S> {
    /// Checks every cache: links, lists and counts; each object exactly once among allocated, free
    /// in its slab and in a magazine; and the debugging aids of each object. Only while no other
    /// CPU is in the allocator.
    ///
    /// # Errors
    /// The first [`Violation`].
    pub fn validate(&self) -> Result<(), Violation<'a>> {
        let _list = self.lock(&self.root().lock);
        let mut caches = 0;
        let expected = self.root().nr_caches.load(Relaxed);
        for cache in self.caches() {
            caches += 1;
            let violation = |what| Violation {
                cache: super::name_of(cache.desc),
                what,
            };
            if caches > expected {
                return Err(violation(What::Caches));
            }
            let _held = self.lock(&cache.lock);
            self.validate_cache(cache).map_err(violation)?;
        }
        if caches == expected {
            Ok(())
        } else {
            Err(Violation {
                cache: "(list)",
                what: What::Caches,
            })
        }
    }

    fn validate_cache(&self, cache: CacheRef<'a>) -> Result<(), What<'a>> {
        let mut sums = Sums::default();
        for kind in ListKind::ALL {
            self.validate_list(cache, kind, &mut sums)?;
        }
        let counted = cache.free_objects.load(Relaxed);
        if counted != sums.free {
            return Err(What::CacheFree(counted, sums.free));
        }
        if cache.grown.load(Relaxed) - cache.reaped.load(Relaxed) != sums.slabs {
            return Err(What::Grown);
        }
        let found = self.validate_magazines(cache)?;
        if found != sums.in_magazines {
            return Err(What::Lost(sums.in_magazines, found));
        }
        Ok(())
    }

    fn validate_list(
        &self,
        cache: CacheRef<'a>,
        kind: ListKind,
        sums: &mut Sums,
    ) -> Result<(), What<'a>> {
        let list = &cache.lists[kind as usize];
        let expected = list.count.load(Relaxed);
        let (mut count, mut before, mut pfn) = (0, NONE, list.head.load(Relaxed));
        while pfn != NONE {
            let page = self.source.page(pfn).ok_or(What::Link(before))?;
            if count == expected || page.prev.load(Relaxed) != before {
                return Err(What::Link(pfn));
            }
            let is_slab = page.flags.load(Relaxed) & PageFlags::SLAB.bits() != 0;
            if !is_slab
                || page.mapping.load(Relaxed) != cache.gpa
                || first_frame(pfn, cache.geometry.order) != pfn
            {
                return Err(What::NotASlab(pfn));
            }
            self.validate_slab(cache, kind, pfn, sums)?;
            count += 1;
            before = pfn;
            pfn = page.next.load(Relaxed);
        }
        sums.slabs += u64::from(count);
        if count == expected {
            Ok(())
        } else {
            Err(What::Slabs(kind, expected, count))
        }
    }

    fn validate_slab(
        &self,
        cache: CacheRef<'a>,
        kind: ListKind,
        pfn: u32,
        sums: &mut Sums,
    ) -> Result<(), What<'a>> {
        let word = self.word(pfn);
        let hint = if cache.has(CacheFlags::DESCRIPTOR_STATES) {
            0
        } else {
            self.source.slab_page(pfn).mapcount.load(Relaxed) as u32
        };
        let mut free = 0;
        for index in 0..cache.geometry.objects {
            let value = self.state(cache, pfn, index).load(Relaxed);
            let state = ObjectState::from_u8(value).ok_or(What::State(pfn, index, value))?;
            match state {
                ObjectState::Free if index < hint => return Err(What::Hint(pfn, index)),
                ObjectState::Free => free += 1,
                ObjectState::Magazine => sums.in_magazines += 1,
                ObjectState::Allocated => {}
            }
            let gpa = address_of(&cache, word, pfn, index);
            self.check_object(cache, gpa, state)
                .map_err(What::Corrupt)?;
        }
        if free != word.free() {
            return Err(What::Free(pfn, word.free(), free));
        }
        if list_of(free, cache.geometry.objects) != kind {
            return Err(What::List(pfn, kind));
        }
        sums.free += u64::from(free);
        Ok(())
    }

    /// Checks the magazines of all CPUs; returns how many objects are in them.
    fn validate_magazines(&self, cache: CacheRef<'a>) -> Result<u64, What<'a>> {
        let mut found = 0;
        for (cpu, slot, entry) in self.entries(cache) {
            let avail = slot + 1;
            if avail > cache.geometry.limit {
                return Err(What::Overfull(cpu, avail));
            }
            let pfn = first_frame((entry.gpa() >> PAGE_SHIFT) as u32, cache.geometry.order);
            let mine = self.source.page(pfn).is_some_and(|page| {
                page.flags.load(Relaxed) & PageFlags::SLAB.bits() != 0
                    && page.mapping.load(Relaxed) == cache.gpa
            });
            if !mine
                || entry.index() >= cache.geometry.objects
                || address_of(&cache, self.word(pfn), pfn, entry.index()) != entry.gpa()
                || self.state(cache, pfn, entry.index()).load(Relaxed)
                    != ObjectState::Magazine as u8
            {
                return Err(What::Entry(cpu, slot));
            }
            let same =
                |&(c, s, e): &(usize, u32, MagazineEntry)| e == entry && (c, s) != (cpu, slot);
            if self.entries(cache).any(|other| same(&other)) {
                return Err(What::Twice(cpu, slot));
            }
            found += 1;
        }
        Ok(found)
    }

    /// All magazine entries of a cache, with CPU and slot.
    fn entries(&self, cache: CacheRef<'a>) -> impl Iterator<Item = (usize, u32, MagazineEntry)> {
        let magazines = cache.desc.magazines.iter().enumerate();
        magazines
            .filter_map(|(cpu, magazine)| match magazine.load(Relaxed) {
                0 => None,
                // SAFETY: it is not 0 and stands in a live cache.
                gpa => Some((cpu, unsafe { self.magazine_at(gpa) })),
            })
            .flat_map(|(cpu, magazine)| {
                let avail = magazine.avail.load(Relaxed);
                let entries = magazine.entries.iter().zip(0..avail);
                entries.map(move |(entry, slot)| (cpu, slot, MagazineEntry(entry.load(Relaxed))))
            })
    }
}
