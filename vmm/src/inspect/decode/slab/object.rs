//! The objects of a slab.

use std::borrow::Cow;

use pagelab_abi::slab::{self, CacheFlags, ObjectState};

use super::{Cache, Slab};
use crate::inspect::{
    decode::{DecodeError, Snapshot, pfn_to_gpa},
    image::read_object,
};

/// The state bytes of a slab's objects.
#[derive(Clone, Debug)]
pub struct States<'s>(Bytes<'s>);

/// A byte for each object.
#[derive(Clone, Debug)]
enum Bytes<'s> {
    /// In the slab, or copied from there.
    Slab(Cow<'s, [u8]>),
    /// In the slab's descriptor: the first so many.
    Descriptor([u8; 4], usize),
}

impl States<'_> {
    fn bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Slab(bytes) => bytes,
            Bytes::Descriptor(bytes, count) => &bytes[..*count],
        }
    }

    /// An object's state byte.
    pub fn byte(&self, index: u32) -> Option<u8> {
        self.bytes().get(index as usize).copied()
    }

    /// All states in the order of the objects; none where the byte has no meaning.
    pub fn iter(&self) -> impl Iterator<Item = Option<ObjectState>> {
        self.bytes().iter().map(|&byte| ObjectState::from_u8(byte))
    }
}

/// Who allocated and who freed an object last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Track {
    /// `file:line` of the last allocation, if there was one.
    pub alloc: Option<String>,
    /// `file:line` of the last free, if there was one.
    pub free: Option<String>,
}

/// Longest name of a source file that is read.
const MAX_FILE_NAME: usize = 256;

impl<'m> Snapshot<'m> {
    /// The state bytes of a slab.
    ///
    /// # Errors
    /// If they are outside RAM.
    pub fn object_states(&self, cache: &Cache, slab: &Slab) -> Result<States<'m>, DecodeError> {
        let objects = cache.geometry.objects as usize;
        if cache.has(CacheFlags::DESCRIPTOR_STATES) {
            let bytes = slab.head.mapcount.to_le_bytes();
            let count = objects.min(bytes.len());
            return Ok(States(Bytes::Descriptor(bytes, count)));
        }
        let gpa = pfn_to_gpa(slab.pfn) + u64::from(cache.geometry.states_offset);
        if let Some(bytes) = self.mem().slice(gpa, objects) {
            return Ok(States(Bytes::Slab(bytes.into())));
        }
        let mut bytes = vec![0; objects];
        self.mem()
            .read(gpa, &mut bytes)
            .map_err(DecodeError::unreadable("slab"))?;
        Ok(States(Bytes::Slab(bytes.into())))
    }

    /// Objects of a cache that are in somebody's hands, counted one by one. Slabs that cannot be
    /// read have none.
    pub fn allocated_objects(&self, cache: &Cache) -> u64 {
        let count = |slab: &Slab| {
            let states = self.object_states(cache, slab).ok()?;
            let allocated = states
                .iter()
                .filter(|state| *state == Some(ObjectState::Allocated));
            Some(allocated.count() as u64)
        };
        self.slabs(cache).iter().filter_map(count).sum()
    }

    /// Physical address of what the caller gets for an object.
    pub fn object_gpa(&self, cache: &Cache, slab: &Slab, index: u32) -> u64 {
        let g = &cache.geometry;
        let place = u64::from(slab.word().colour()) + u64::from(index) * u64::from(g.size);
        pfn_to_gpa(slab.pfn) + place + u64::from(g.object_offset)
    }

    /// The slab and index of the object that starts at `gpa`; none if no object of this cache
    /// does.
    pub fn object_at(&self, cache: &Cache, gpa: u64) -> Option<(u32, u32)> {
        let g = &cache.geometry;
        let pfn = u32::try_from(gpa / pagelab_abi::PAGE_SIZE).ok()? & !((1 << g.order) - 1);
        let head = self.descriptor(pfn)?;
        if !head.flags().contains(pagelab_abi::page::PageFlags::SLAB) || head.mapping != cache.gpa {
            return None;
        }
        let first = u64::from(slab::SlabWord(head.private).colour()) + u64::from(g.object_offset);
        let offset = (gpa - pfn_to_gpa(pfn)).checked_sub(first)?;
        let index = offset / u64::from(g.size);
        let is_start = offset % u64::from(g.size) == 0 && index < u64::from(g.objects);
        is_start.then_some((pfn, index as u32))
    }

    /// Who allocated and freed an object last, if the cache tracks that and it can be read.
    pub fn object_track(&self, cache: &Cache, gpa: u64) -> Option<Track> {
        if !cache.has(CacheFlags::STORE_USER) {
            return None;
        }
        let mut offset = u64::from(cache.geometry.object_size).next_multiple_of(8);
        if cache.has(CacheFlags::RED_ZONE) {
            offset += 8;
        }
        let track: slab::Track = read_object(self.mem(), gpa.checked_add(offset)?).ok()?;
        Some(Track {
            alloc: self.place(track.alloc),
            free: self.place(track.free),
        })
    }

    /// A place in the guest's source.
    fn place(&self, place: slab::Place) -> Option<String> {
        if place.file == 0 || place.file_len as usize > MAX_FILE_NAME {
            return None;
        }
        let gpa = place.file.checked_sub(pagelab_abi::platform::KERNEL_BASE)?;
        let mut name = vec![0; place.file_len as usize];
        self.mem().read(gpa, &mut name).ok()?;
        Some(format!("{}:{}", String::from_utf8_lossy(&name), place.line))
    }
}
