//! The frame descriptors.

use std::{borrow::Cow, fmt, ops::Range, sync::atomic::Ordering::Relaxed};

use pagelab_abi::{
    PAGE_SHIFT,
    page::{self, PageFlags},
};
use zerocopy::FromBytes;

use super::DecodeError;
use crate::inspect::image::{OutsideRam, PhysMem};

/// Bytes of a descriptor.
const SIZE: usize = size_of::<page::Page>();

/// A copy of one frame's descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Flags, order, zone and migrate type, packed.
    pub word: u32,
    /// References.
    pub refcount: u32,
    /// Page-table entries that map the frame; in a slab four state bytes.
    pub mapcount: i32,
    /// The owner's word.
    pub private: u32,
    /// Next pfn in its list, or [`page::NONE`].
    pub next: u32,
    /// Previous pfn in its list, or [`page::NONE`].
    pub prev: u32,
    /// What the frame is part of.
    pub mapping: u64,
}

impl Descriptor {
    /// The flags.
    pub fn flags(&self) -> PageFlags {
        page::flags_of(self.word)
    }

    /// The order, 0 to 15.
    pub fn order(&self) -> u32 {
        page::order_of(self.word)
    }

    /// The zone's index, 0 to 7.
    pub fn zone(&self) -> u32 {
        page::zone_of(self.word)
    }

    /// The migrate type's number, 0 to 7.
    pub fn migrate(&self) -> u32 {
        page::migrate_of(self.word)
    }
}

/// All descriptors, valid or not: which are is settled by the pageblocks.
pub struct MemMap<'m> {
    pfns: Range<u32>,
    gpa: u64,
    bytes: Cow<'m, [u8]>,
}

impl fmt::Debug for MemMap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemMap({:#x}, pfns {:#x?})", self.gpa, self.pfns)
    }
}

impl<'m> MemMap<'m> {
    /// The map of `pfns` at `gpa`.
    pub(super) fn new(
        mem: &'m dyn PhysMem,
        gpa: u64,
        pfns: Range<u32>,
    ) -> Result<Self, DecodeError> {
        let len = pfns.len() * SIZE;
        let end = gpa.saturating_add(len as u64);
        if !mem.contains(&(gpa..end)) {
            return Err(DecodeError::unreadable("mem_map")(OutsideRam(gpa)));
        }
        let bytes = match mem.slice(gpa, len) {
            Some(bytes) => Cow::Borrowed(bytes),
            None => {
                let mut bytes = vec![0; len];
                mem.read(gpa, &mut bytes)
                    .map_err(DecodeError::unreadable("mem_map"))?;
                Cow::Owned(bytes)
            }
        };
        Ok(Self { pfns, gpa, bytes })
    }

    /// The frames that have a descriptor.
    pub fn pfns(&self) -> Range<u32> {
        self.pfns.clone()
    }

    /// A frame's descriptor, whether valid or not.
    #[inline]
    pub fn get(&self, pfn: u32) -> Option<Descriptor> {
        let at = pfn.checked_sub(self.pfns.start)? as usize * SIZE;
        let page = page::Page::read_from_bytes(self.bytes.get(at..at + SIZE)?).ok()?;
        Some(Descriptor {
            word: page.flags.load(Relaxed),
            refcount: page.refcount.load(Relaxed),
            mapcount: page.mapcount.load(Relaxed),
            private: page.private.load(Relaxed),
            next: page.next.load(Relaxed),
            prev: page.prev.load(Relaxed),
            mapping: page.mapping.load(Relaxed),
        })
    }

    /// The flags of a frame's descriptor, without the rest.
    #[inline]
    pub fn flags(&self, pfn: u32) -> Option<PageFlags> {
        let at = pfn.checked_sub(self.pfns.start)? as usize * SIZE;
        let word = self.bytes.get(at..at + 4)?.try_into().ok()?;
        Some(page::flags_of(u32::from_le_bytes(word)))
    }

    /// Where a frame's descriptor is; meaningful for frames in [`Self::pfns`].
    pub fn gpa_of(&self, pfn: u32) -> u64 {
        self.gpa + u64::from(pfn.wrapping_sub(self.pfns.start)) * SIZE as u64
    }

    /// The frame whose descriptor contains this address.
    pub fn pfn_at(&self, gpa: u64) -> Option<u32> {
        let index = gpa.checked_sub(self.gpa)? / SIZE as u64;
        (index < self.pfns.len() as u64).then(|| self.pfns.start + index as u32)
    }
}

/// Guest-physical address of a frame.
pub const fn pfn_to_gpa(pfn: u32) -> u64 {
    (pfn as u64) << PAGE_SHIFT
}
