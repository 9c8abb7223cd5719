//! All structures of a guest at one moment.

use std::{fmt, ops::Range, sync::atomic::Ordering::Relaxed};

use pagelab_abi::{
    mm::MmState,
    page::{MAX_ORDER, PAGEBLOCK_ORDER, Page},
    root::Root,
    slab::SlabState,
    zone,
};

use super::{
    Cpu, DecodeError, Descriptor, Frames, MemMap, Pageblocks, Regions, VmStat, Zone,
    block::KeptBlocks, mem_map::pfn_to_gpa,
};
use crate::inspect::image::{PhysMem, find_root, read_object, read_root};

/// The structures of a guest that stands still, read from its memory. What is small was copied;
/// frame descriptors, pageblocks and slabs are read when they are asked for.
pub struct Snapshot<'m> {
    mem: &'m dyn PhysMem,
    /// Physical address of the root page.
    pub root_gpa: u64,
    /// The root page.
    pub root: Box<Root>,
    /// Physical address of the memory manager's state.
    pub state_gpa: u64,
    state: Box<MmState>,
    /// The blocks of each zone, as far as they were asked for.
    blocks: Vec<KeptBlocks>,
    /// The zones, lowest first.
    pub zones: Vec<Zone>,
    /// The CPUs.
    pub cpus: Vec<Cpu>,
    /// The counters.
    pub vmstat: VmStat,
    /// The frame descriptors.
    pub mem_map: MemMap<'m>,
    /// The pageblocks.
    pub pageblocks: Pageblocks<'m>,
    /// All RAM, as the guest was told.
    pub memory: Regions,
    /// What was taken before the page allocator began.
    pub reserved: Regions,
}

impl fmt::Debug for Snapshot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("root_gpa", &self.root_gpa)
            .field("state_gpa", &self.state_gpa)
            .field("zones", &self.zones)
            .finish_non_exhaustive()
    }
}

impl<'m> Snapshot<'m> {
    /// Reads the structures of the guest whose root page is at `root_gpa`.
    ///
    /// # Errors
    /// [`DecodeError`] names what cannot be read and where.
    pub fn read(mem: &'m dyn PhysMem, root_gpa: u64) -> Result<Self, DecodeError> {
        let root = Box::new(read_root(mem, root_gpa)?);
        Self::from_root(mem, root_gpa, root)
    }

    /// Searches memory for the root page first.
    ///
    /// # Errors
    /// [`DecodeError::NoRoot`] if there is none, and as [`Self::read`].
    pub fn find(mem: &'m dyn PhysMem) -> Result<Self, DecodeError> {
        let (gpa, root) = find_root(mem)?.ok_or(DecodeError::NoRoot)?;
        Self::from_root(mem, gpa, Box::new(root))
    }

    fn from_root(
        mem: &'m dyn PhysMem,
        root_gpa: u64,
        root: Box<Root>,
    ) -> Result<Self, DecodeError> {
        let gpa = root.mm.state;
        if gpa == 0 {
            return Err(DecodeError::NotReady { root: root_gpa });
        }
        let state: Box<MmState> = read_object(mem, gpa)
            .map(Box::new)
            .map_err(DecodeError::unreadable("memory manager's state"))?;
        check(&root, &state, gpa)?;
        let pfns = state.start_pfn..state.end_pfn;
        let zones = Zone::decode_all(&state, gpa)?;
        let cpus = Cpu::decode_all(mem, &state, gpa, zones.len())?;
        Ok(Self {
            mem,
            root_gpa,
            root,
            state_gpa: gpa,
            vmstat: VmStat::decode(&state, &cpus),
            mem_map: MemMap::new(mem, state.mem_map, pfns.clone())?,
            pageblocks: Pageblocks::new(mem, state.pageblocks, pfns)?,
            memory: Regions::decode(&state.memory, "the table of memory", gpa)?,
            reserved: Regions::decode(&state.memory_reserved, "the table of reserved memory", gpa)?,
            blocks: zones.iter().map(|_| KeptBlocks::default()).collect(),
            zones,
            cpus,
            state,
        })
    }

    /// The memory that the snapshot is of.
    pub fn mem(&self) -> &'m dyn PhysMem {
        self.mem
    }

    /// A frame's descriptor, if its pageblock says that it is valid.
    #[inline]
    pub fn descriptor(&self, pfn: u32) -> Option<Descriptor> {
        let pageblock = self.pageblocks.of(pfn)?;
        pageblock
            .described()
            .contains(&pfn)
            .then(|| self.mem_map.get(pfn))
            .flatten()
    }

    /// All frames that have a descriptor.
    pub fn pfns(&self) -> Range<u32> {
        self.mem_map.pfns()
    }

    /// The frames that the page allocator was given, and those that it was not: RAM without and
    /// with reservations.
    pub fn ram(&self) -> (Frames, Frames) {
        let ram = self.memory.whole_frames();
        let reserved = self.reserved.touched_frames().intersection(&ram);
        (ram, reserved)
    }

    /// Where the blocks of a zone are kept.
    pub(super) fn kept_blocks(&self, zone: usize) -> Option<&KeptBlocks> {
        self.blocks.get(zone)
    }

    /// The memory manager's root structure.
    pub(super) fn mm_state(&self) -> &MmState {
        &self.state
    }

    /// The slab allocator's root structure.
    pub(super) fn slab_state(&self) -> &SlabState {
        &self.state.slab
    }

    /// Where the map of the swap slots is; 0 without swap.
    pub(super) fn swap_gpa(&self) -> u64 {
        self.state.swap.load(Relaxed)
    }

    /// Frames that boot took for the frame descriptors.
    pub fn memmap_pages(&self) -> u64 {
        self.state.memmap_pages
    }

    /// Frames of RAM in all zones, as the guest says.
    pub fn present_pages(&self) -> u64 {
        self.state.present_pages
    }

    /// Frames on the free lists of all zones (Linux: `NR_FREE_PAGES`).
    pub fn free_pages(&self) -> u64 {
        self.zones.iter().map(|zone| zone.free).sum()
    }

    /// Frames out of service because their memory is broken, over all zones.
    pub fn hwpoison_pages(&self) -> u64 {
        self.zones.iter().map(|zone| zone.hwpoison).sum()
    }

    /// Frames in the balloon, over all zones.
    pub fn balloon_pages(&self) -> u64 {
        self.zones.iter().map(|zone| zone.balloon).sum()
    }

    /// KiB that the min watermarks add up to in low memory.
    pub fn min_free_kbytes(&self) -> u64 {
        self.state.min_free_kbytes.load(Relaxed).into()
    }

    /// Distance between watermarks, in 1/10000 of a zone.
    pub fn watermark_scale_factor(&self) -> u64 {
        self.state.watermark_scale_factor.load(Relaxed).into()
    }

    /// Runs of background reclaim in a row that freed nothing.
    pub fn kswapd_failures(&self) -> u32 {
        self.state.kswapd_failures.load(Relaxed)
    }

    /// Physical address of the first byte of a frame.
    pub fn gpa(&self, pfn: u32) -> u64 {
        pfn_to_gpa(pfn)
    }
}

/// Checks what all decoders rely on.
fn check(root: &Root, state: &MmState, gpa: u64) -> Result<(), DecodeError> {
    if state.version != pagelab_abi::VERSION {
        return Err(DecodeError::Version {
            gpa,
            found: state.version,
            expected: pagelab_abi::VERSION,
        });
    }
    let require = |holds: bool, field, found: u64, expected: String| {
        let what = "the memory manager's state";
        if holds {
            Ok(())
        } else {
            Err(DecodeError::Field {
                what,
                gpa,
                field,
                found,
                expected,
            })
        }
    };
    let exact = |field, found: u64, expected: usize| {
        require(found == expected as u64, field, found, expected.to_string())
    };
    exact("size", root.mm.state_size, size_of::<MmState>())?;
    exact("page_stride", state.page_stride.into(), size_of::<Page>())?;
    exact(
        "zone_stride",
        state.zone_stride.into(),
        size_of::<zone::Zone>(),
    )?;
    exact(
        "pageblock_order",
        state.pageblock_order.into(),
        PAGEBLOCK_ORDER as usize,
    )?;
    let block = 1 << MAX_ORDER;
    for (field, pfn) in [("start_pfn", state.start_pfn), ("end_pfn", state.end_pfn)] {
        require(
            pfn % block == 0,
            field,
            pfn.into(),
            format!("a multiple of {block}"),
        )?;
    }
    let expected = format!("above start_pfn, {}", state.start_pfn);
    require(
        state.start_pfn < state.end_pfn,
        "end_pfn",
        state.end_pfn.into(),
        expected,
    )
}
