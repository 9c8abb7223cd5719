//! Zones.

use std::{ops::Range, sync::atomic::Ordering::Relaxed};

use pagelab_abi::{
    mm::MmState,
    page::{MIGRATE_TYPES, MigrateType, NR_ORDERS},
    zone::{self, MAX_ZONES, ZoneKind, ZoneModel},
};

use super::DecodeError;

/// A copy of one zone's numbers. Amounts are in frames.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Its place among the zones, as in the frame descriptors.
    pub index: usize,
    /// What it is for.
    pub kind: ZoneKind,
    /// Not zero if a CPU was changing the free lists at that moment.
    pub lock: u32,
    /// First frame.
    pub start_pfn: u32,
    /// From the first frame to the last, holes included; 0 for an empty zone.
    pub spanned: u32,
    /// Frames that are RAM.
    pub present: u64,
    /// Frames that the page allocator was given.
    pub managed: u64,
    /// Frames on the free lists.
    pub free: u64,
    /// Frames in the balloon.
    pub balloon: u64,
    /// Free frames that are being reported to the host.
    pub isolated: u64,
    /// Frames out of service because their memory is broken.
    pub hwpoison: u64,
    /// Frames in pageblocks of type HighAtomic.
    pub highatomic: u64,
    /// Watermarks: min, low, high, promo.
    pub watermark: [u64; 4],
    /// Frames kept back from requests whose highest zone is the index.
    pub lowmem_reserve: [u64; MAX_ZONES],
    /// Frames moved at once between a per-CPU list and the free lists.
    pub pcp_batch: u64,
    /// Frames that a per-CPU list set may hold.
    pub pcp_high: u64,
    /// Blocks taken from another migrate type's lists.
    pub fallbacks: u64,
    /// The free lists by order and migrate type.
    pub lists: [[FreeListHead; MIGRATE_TYPES]; NR_ORDERS],
}

/// The head of a free list. What hangs from it is read by
/// [`Snapshot::walk_free_list`](super::Snapshot::walk_free_list).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeListHead {
    /// First pfn, or [`pagelab_abi::page::NONE`].
    pub head: u32,
    /// Last pfn, or [`pagelab_abi::page::NONE`].
    pub tail: u32,
    /// Blocks, as the guest counts them.
    pub count: u32,
}

impl Zone {
    /// The zones of a state that stands at `gpa`: those of its model, ascending, inside the map.
    pub(super) fn decode_all(state: &MmState, gpa: u64) -> Result<Vec<Self>, DecodeError> {
        let field = |field, found: u32, expected: String| DecodeError::Field {
            what: "the memory manager's state",
            gpa,
            field,
            found: found.into(),
            expected,
        };
        let Some(model) = ZoneModel::from_u32(state.model) else {
            return Err(field("model", state.model, "0 or 1".into()));
        };
        let kinds = model.zones();
        if state.nr_zones as usize != kinds.len() {
            let expected = format!("{}, the zones of {}", kinds.len(), model.name());
            return Err(field("nr_zones", state.nr_zones, expected));
        }
        let mut zones = Vec::with_capacity(kinds.len());
        let mut floor = state.start_pfn;
        for (index, (&kind, zone)) in kinds.iter().zip(&state.zones).enumerate() {
            if zone.kind != kind as u32 {
                return Err(field("zones.kind", zone.kind, format!("{}", kind as u32)));
            }
            if zone.spanned > 0 {
                let end = zone.start_pfn.checked_add(zone.spanned);
                if zone.start_pfn < floor || end.is_none_or(|end| end > state.end_pfn) {
                    let expected = format!(
                        "a zone of {} frames between pfn {floor:#x} and {:#x}",
                        zone.spanned, state.end_pfn
                    );
                    return Err(field("zones.start_pfn", zone.start_pfn, expected));
                }
                floor = zone.start_pfn + zone.spanned;
            }
            zones.push(Self::decode(index, kind, zone));
        }
        Ok(zones)
    }

    fn decode(index: usize, kind: ZoneKind, zone: &zone::Zone) -> Self {
        let lists = zone.free_area.each_ref().map(|area| {
            area.free_list.each_ref().map(|list| FreeListHead {
                head: list.head.load(Relaxed),
                tail: list.tail.load(Relaxed),
                count: list.count.load(Relaxed),
            })
        });
        Self {
            index,
            kind,
            lock: zone.lock.load(Relaxed),
            start_pfn: zone.start_pfn,
            spanned: zone.spanned,
            present: zone.present.into(),
            managed: zone.managed.load(Relaxed).into(),
            free: zone.free_pages.load(Relaxed).into(),
            balloon: zone.balloon_pages.load(Relaxed).into(),
            isolated: zone.isolated_pages.load(Relaxed).into(),
            hwpoison: zone.hwpoison_pages.load(Relaxed).into(),
            highatomic: zone.highatomic_pages.load(Relaxed).into(),
            watermark: zone.watermark.each_ref().map(|w| w.load(Relaxed).into()),
            lowmem_reserve: zone
                .lowmem_reserve
                .each_ref()
                .map(|reserve| reserve.load(Relaxed).into()),
            pcp_batch: zone.pcp_batch.load(Relaxed).into(),
            pcp_high: zone.pcp_high.load(Relaxed).into(),
            fallbacks: zone.nr_fallbacks.load(Relaxed),
            lists,
        }
    }

    /// Linux's name.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// Its frames, holes included.
    pub fn pfns(&self) -> Range<u32> {
        self.start_pfn..self.start_pfn + self.spanned
    }

    /// Whether it has RAM.
    pub fn is_populated(&self) -> bool {
        self.present > 0
    }

    /// The head of a free list.
    pub fn list(&self, order: u32, migrate: MigrateType) -> FreeListHead {
        self.lists[order as usize][migrate as usize]
    }

    /// Free blocks of an order as the guest counts them (Linux: `nr_free`).
    pub fn nr_free(&self, order: usize) -> u64 {
        self.lists[order]
            .iter()
            .map(|list| u64::from(list.count))
            .sum()
    }
}
