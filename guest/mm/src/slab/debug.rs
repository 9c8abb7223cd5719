//! Red zones, poison and tracking: what `slab_debug` switches on.

use super::{
    CacheRef, PageSource, Slab,
    geometry::{RED_LEN, track_offset},
    misuse::At,
    name_of,
};
use core::{fmt, panic::Location, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    PAGE_SHIFT,
    slab::{
        Cache, CacheFlags, ObjectState, POISON_END, POISON_FREE, POISON_INUSE, Place, RED_ACTIVE,
        RED_INACTIVE, Track,
    },
};

/// Bytes of an overwritten area that a report quotes.
const QUOTED: usize = 8;

/// An area of an object's place that was written by somebody who should not have.
#[derive(Clone, Copy, Debug)]
pub struct Corruption<'a> {
    cache: &'a str,
    area: &'static str,
    object: usize,
    /// First overwritten byte.
    address: usize,
    expected: u8,
    found: [u8; QUOTED],
    found_len: u8,
    allocated: At,
    freed: At,
}

impl fmt::Display for Corruption<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cache {}: {} of object {:#x} overwritten at {:#x}: expected {:#04x}, found",
            self.cache, self.area, self.object, self.address, self.expected
        )?;
        for byte in &self.found[..usize::from(self.found_len)] {
            write!(f, " {byte:02x}")?;
        }
        if self.allocated.is_known() {
            write!(f, "; last allocated{}", self.allocated)?;
            write!(f, ", last freed{}", self.freed)?;
        }
        Ok(())
    }
}

/// Byte `i` of a red zone.
const fn red_byte(active: bool, i: usize) -> u8 {
    let word = if active { RED_ACTIVE } else { RED_INACTIVE };
    word.to_le_bytes()[i % 8]
}

/// Byte `i` of a free object of `len` bytes.
const fn free_byte(len: usize, i: usize) -> u8 {
    if i + 1 == len {
        POISON_END
    } else {
        POISON_FREE
    }
}

/// One of the areas that surround or fill an object, from its start in bytes.
#[derive(Clone, Copy)]
struct Area {
    name: &'static str,
    from: isize,
    len: usize,
}

/// The red zones before and behind an object.
fn red_zones(cache: &Cache) -> [Area; 2] {
    let size = cache.geometry.object_size as usize;
    [
        Area {
            name: "left red zone",
            from: -(RED_LEN as isize),
            len: RED_LEN as usize,
        },
        Area {
            name: "right red zone",
            from: size as isize,
            len: size.next_multiple_of(8) - size + RED_LEN as usize,
        },
    ]
}

/// The object itself.
fn body(cache: &Cache) -> Area {
    Area {
        name: "poison",
        from: 0,
        len: cache.geometry.object_size as usize,
    }
}

impl<'a, S: PageSource> Slab<'a, S> {
    /// Prepares a new object as a free one. The constructor has run.
    pub(super) fn debug_init(&self, cache: CacheRef<'a>, gpa: u64) {
        if cache.has(CacheFlags::RED_ZONE) {
            self.fill_red(cache, gpa, false);
        }
        if cache.has(CacheFlags::POISON) {
            self.fill_free(cache, gpa);
        }
        if cache.has(CacheFlags::STORE_USER) {
            self.set_track(cache, gpa, Track::default());
        }
    }

    /// Checks a free object and makes it an allocated one.
    #[cold]
    pub(super) fn debug_alloc(
        &self,
        cache: CacheRef<'a>,
        gpa: u64,
        caller: &'static Location<'static>,
    ) {
        if let Err(corruption) = self.check_object(cache, gpa, ObjectState::Free) {
            panic!("slab: {corruption}");
        }
        if cache.has(CacheFlags::RED_ZONE) {
            self.fill_red(cache, gpa, true);
        }
        if cache.has(CacheFlags::POISON) {
            let len = body(&cache).len;
            self.fill(gpa, body(&cache), |i| {
                if i + 1 == len {
                    POISON_END
                } else {
                    POISON_INUSE
                }
            });
        }
        if cache.has(CacheFlags::STORE_USER) {
            let mut track = self.track(cache, gpa);
            track.alloc = place(caller);
            self.set_track(cache, gpa, track);
        }
    }

    /// Checks an allocated object and makes it a free one.
    #[cold]
    pub(super) fn debug_free(
        &self,
        cache: CacheRef<'a>,
        gpa: u64,
        caller: &'static Location<'static>,
    ) {
        if let Err(corruption) = self.check_object(cache, gpa, ObjectState::Allocated) {
            panic!("slab: {corruption}");
        }
        if cache.has(CacheFlags::RED_ZONE) {
            self.fill_red(cache, gpa, false);
        }
        if cache.has(CacheFlags::POISON) {
            self.fill_free(cache, gpa);
        }
        if cache.has(CacheFlags::STORE_USER) {
            let mut track = self.track(cache, gpa);
            track.free = place(caller);
            self.set_track(cache, gpa, track);
        }
    }

    /// Checks the areas of an object in the given state.
    pub(super) fn check_object(
        &self,
        cache: CacheRef<'a>,
        gpa: u64,
        state: ObjectState,
    ) -> Result<(), Corruption<'a>> {
        let active = state == ObjectState::Allocated;
        if cache.has(CacheFlags::RED_ZONE) {
            for zone in red_zones(&cache) {
                self.compare(cache, gpa, zone, |i| red_byte(active, i))?;
            }
        }
        if cache.has(CacheFlags::POISON) && !active {
            let area = body(&cache);
            self.compare(cache, gpa, area, |i| free_byte(area.len, i))?;
        }
        Ok(())
    }

    /// Where an object was freed last, if that is tracked.
    #[cold]
    pub(super) fn last_free(&self, cache: CacheRef<'a>, gpa: u64) -> At {
        self.tracked(cache, gpa, |track| track.free)
    }

    /// Where an object was allocated last, if that is tracked.
    pub(super) fn last_alloc(&self, cache: CacheRef<'a>, gpa: u64) -> At {
        self.tracked(cache, gpa, |track| track.alloc)
    }

    fn tracked(&self, cache: CacheRef<'a>, gpa: u64, which: fn(Track) -> Place) -> At {
        if cache.has(CacheFlags::STORE_USER) {
            At(which(self.track(cache, gpa)))
        } else {
            At::default()
        }
    }

    /// The state bytes of a slab against its count of free objects: letter F.
    #[cold]
    pub(super) fn check_slab(&self, cache: CacheRef<'a>, pfn: u32) {
        let mut free = 0;
        for index in 0..cache.geometry.objects {
            match ObjectState::from_u8(self.state(cache, pfn, index).load(Relaxed)) {
                Some(ObjectState::Free) => free += 1,
                Some(ObjectState::Magazine | ObjectState::Allocated) => {}
                None => inconsistent(cache, pfn, "a state byte has no meaning"),
            }
        }
        if free != self.word(pfn).free() {
            inconsistent(cache, pfn, "the count of free objects is wrong");
        }
        if self.source.slab_page(pfn).mapping.load(Relaxed) != cache.gpa {
            inconsistent(cache, pfn, "the frame names another cache");
        }
    }

    fn fill_red(&self, cache: CacheRef<'a>, gpa: u64, active: bool) {
        for zone in red_zones(&cache) {
            self.fill(gpa, zone, |i| red_byte(active, i));
        }
    }

    fn fill_free(&self, cache: CacheRef<'a>, gpa: u64) {
        let area = body(&cache);
        self.fill(gpa, area, |i| free_byte(area.len, i));
    }

    /// Writes an area of an object.
    fn fill(&self, gpa: u64, area: Area, byte: impl Fn(usize) -> u8) {
        let start = self.pointer(gpa).wrapping_offset(area.from);
        for i in 0..area.len {
            // SAFETY: the area lies in the object's place, see `geometry`, and the caller holds
            // the object: nobody else may touch it now.
            unsafe { start.add(i).write(byte(i)) };
        }
    }

    /// Compares an area of an object.
    fn compare(
        &self,
        cache: CacheRef<'a>,
        gpa: u64,
        area: Area,
        byte: impl Fn(usize) -> u8,
    ) -> Result<(), Corruption<'a>> {
        let start = self.pointer(gpa).wrapping_offset(area.from);
        // SAFETY: as in `fill`.
        let read = |i: usize| unsafe { start.add(i).read() };
        let Some(wrong) = (0..area.len).find(|&i| read(i) != byte(i)) else {
            return Ok(());
        };
        let mut found = [0; QUOTED];
        let found_len = QUOTED.min(area.len - wrong);
        for (i, quoted) in found[..found_len].iter_mut().enumerate() {
            *quoted = read(wrong + i);
        }
        Err(Corruption {
            cache: name_of(cache.desc),
            area: area.name,
            object: self.pointer(gpa) as usize,
            address: start.wrapping_add(wrong) as usize,
            expected: byte(wrong),
            found,
            found_len: found_len as u8,
            allocated: self.last_alloc(cache, gpa),
            freed: self.last_free(cache, gpa),
        })
    }

    fn track_pointer(&self, cache: CacheRef<'a>, gpa: u64) -> *mut Track {
        self.pointer(gpa + u64::from(track_offset(&cache.geometry)))
            .cast()
    }

    fn track(&self, cache: CacheRef<'a>, gpa: u64) -> Track {
        // SAFETY: the track lies in the object's place, aligned to 8, and was written by
        // `debug_init`.
        unsafe { self.track_pointer(cache, gpa).read() }
    }

    fn set_track(&self, cache: CacheRef<'a>, gpa: u64, track: Track) {
        // SAFETY: as in `track`; the caller holds the object.
        unsafe { self.track_pointer(cache, gpa).write(track) }
    }
}

/// A source line as it is kept.
fn place(caller: &'static Location<'static>) -> Place {
    let file = caller.file();
    Place {
        file: file.as_ptr() as u64,
        file_len: file.len() as u32,
        line: caller.line(),
    }
}

#[cold]
fn inconsistent(cache: CacheRef<'_>, pfn: u32, what: &str) -> ! {
    panic!(
        "slab: cache {}: slab at {:#x} is inconsistent: {what}",
        cache.desc_name(),
        u64::from(pfn) << PAGE_SHIFT,
    )
}
