//! How many frames are what.

use crate::inspect::decode::{Block, BlockState, Snapshot};

/// The frames of one zone by what they are, as the frame descriptors tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZoneCensus {
    frames: [u64; BlockState::ALL.len()],
    /// Frames in slabs; [`BlockState::Allocated`] contains them.
    pub slab: u64,
    /// Frames of kmalloc allocations without a cache; [`BlockState::Allocated`] contains them.
    pub large_kmalloc: u64,
    /// Places where the tiling is broken.
    pub faults: u64,
}

impl ZoneCensus {
    /// Frames in this state.
    pub fn frames(&self, state: BlockState) -> u64 {
        self.frames[state as usize]
    }

    /// Frames that are the page allocator's: all but reserved ones.
    pub fn managed(&self) -> u64 {
        self.frames.iter().sum::<u64>() - self.frames(BlockState::Reserved)
    }

    fn count(&mut self, block: &Block) {
        self.frames[block.state as usize] += u64::from(block.pages());
        if block.is_slab() {
            self.slab += u64::from(block.pages());
        }
        if block.is_large_kmalloc() {
            self.large_kmalloc += u64::from(block.pages());
        }
    }
}

/// The frames of all zones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// By zone index.
    pub zones: Vec<ZoneCensus>,
}

impl Census {
    /// Counts.
    pub fn of(snapshot: &Snapshot<'_>) -> Self {
        let zones = snapshot.zones.iter().map(|zone| {
            let mut census = ZoneCensus::default();
            for block in snapshot.blocks(zone) {
                match block {
                    Ok(block) => census.count(&block),
                    Err(_) => census.faults += 1,
                }
            }
            census
        });
        Self {
            zones: zones.collect(),
        }
    }

    /// Frames in this state, over all zones.
    pub fn frames(&self, state: BlockState) -> u64 {
        self.zones.iter().map(|zone| zone.frames(state)).sum()
    }

    /// Frames in slabs, over all zones.
    pub fn slab(&self) -> u64 {
        self.zones.iter().map(|zone| zone.slab).sum()
    }

    /// Frames of kmalloc allocations without a cache, over all zones.
    pub fn large_kmalloc(&self) -> u64 {
        self.zones.iter().map(|zone| zone.large_kmalloc).sum()
    }
}
