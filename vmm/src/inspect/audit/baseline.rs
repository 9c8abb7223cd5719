//! What was in use when the workload began.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Census;
use crate::inspect::decode::{BlockState, Cache, DecodeError, FrameSet, Snapshot};

/// What was in use at one moment, to compare with later: take it when the guest rings Ready.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Baseline {
    /// Frames allocated and not in slabs, by zone index.
    pub(super) allocated: Vec<u64>,
    /// The first frames of these allocations.
    pub(super) heads: FrameSet,
    /// Objects in use by cache, without the allocator's own caches.
    pub(super) objects: BTreeMap<String, u64>,
}

impl Baseline {
    /// Takes it.
    ///
    /// # Errors
    /// If the slab caches cannot be decoded.
    pub fn take(snapshot: &Snapshot<'_>) -> Result<Self, DecodeError> {
        Ok(Self::of(
            snapshot,
            &Census::of(snapshot),
            &snapshot.caches()?,
        ))
    }

    pub(super) fn of(snapshot: &Snapshot<'_>, census: &Census, caches: &[Cache]) -> Self {
        let mut heads = FrameSet::new(snapshot.pfns());
        for zone in &snapshot.zones {
            for block in snapshot.blocks(zone).flatten() {
                if block.state == BlockState::Allocated && !block.is_slab() {
                    heads.insert(block.pfn);
                }
            }
        }
        let zones = census.zones.iter();
        let objects = caches
            .iter()
            .filter(|cache| !cache.is_internal())
            .map(|cache| (cache.name.clone(), snapshot.allocated_objects(cache)));
        Self {
            allocated: zones
                .map(|zone| zone.frames(BlockState::Allocated) - zone.slab)
                .collect(),
            heads,
            objects: objects.collect(),
        }
    }
}
