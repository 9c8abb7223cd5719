//! Blocks of frames as the frame descriptors tile memory.

use std::{cell::OnceCell, fmt, ops::Range, slice};

use pagelab_abi::page::{MAX_ORDER, PAGEBLOCK_PAGES, PageFlags, PageblockState};

use super::{Snapshot, Zone, free_list::Described, mem_map::Descriptor};

/// What the frames of a block are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockState {
    /// On a free list.
    Free,
    /// On a per-CPU list.
    Pcp,
    /// In the hands of an owner.
    Allocated,
    /// In the balloon.
    Offline,
    /// Being reported to the host.
    Isolated,
    /// Out of service: its memory is broken.
    Hwpoison,
    /// Never given to the page allocator.
    Reserved,
}

impl BlockState {
    /// All states, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Free,
        Self::Pcp,
        Self::Allocated,
        Self::Offline,
        Self::Isolated,
        Self::Hwpoison,
        Self::Reserved,
    ];

    const FLAGS: PageFlags = PageFlags::BUDDY
        .union(PageFlags::PCP)
        .union(PageFlags::ALLOCATED)
        .union(PageFlags::OFFLINE)
        .union(PageFlags::ISOLATED)
        .union(PageFlags::RESERVED);

    /// The name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Pcp => "per-CPU",
            Self::Allocated => "allocated",
            Self::Offline => "balloon",
            Self::Isolated => "isolated",
            Self::Hwpoison => "hwpoison",
            Self::Reserved => "reserved",
        }
    }

    /// The state of a head with these flags: exactly one of those that are states has to be set, or
    /// `HWPOISON` alone.
    pub fn of(flags: PageFlags) -> Option<Self> {
        if flags == PageFlags::HWPOISON {
            return Some(Self::Hwpoison);
        }
        let state = flags & Self::FLAGS;
        Some(match state {
            PageFlags::BUDDY => Self::Free,
            PageFlags::PCP => Self::Pcp,
            PageFlags::ALLOCATED => Self::Allocated,
            PageFlags::OFFLINE => Self::Offline,
            PageFlags::ISOLATED => Self::Isolated,
            PageFlags::RESERVED => Self::Reserved,
            _ => return None,
        })
    }
}

/// A block: a head and the frames that share its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its first frame.
    pub pfn: u32,
    /// What it is.
    pub state: BlockState,
    /// The descriptor of the first frame.
    pub head: Descriptor,
}

impl Block {
    /// Its order.
    pub fn order(&self) -> u32 {
        self.head.order()
    }

    /// Its number of frames.
    pub fn pages(&self) -> u32 {
        1 << self.order()
    }

    /// Its frames.
    pub fn pfns(&self) -> Range<u32> {
        self.pfn..self.pfn + self.pages()
    }

    /// Whether it is a kmalloc allocation too large for a cache.
    pub fn is_large_kmalloc(&self) -> bool {
        self.state == BlockState::Allocated && self.head.flags().contains(PageFlags::LARGE_KMALLOC)
    }

    /// Whether it is a slab.
    pub fn is_slab(&self) -> bool {
        self.state == BlockState::Allocated && self.head.flags().contains(PageFlags::SLAB)
    }
}

/// Where the tiling breaks. The walk goes on with the next pageblock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockFault {
    /// The frame.
    pub pfn: u32,
    /// The packed word of its descriptor.
    pub word: u32,
    /// What is wrong there.
    pub kind: BlockFaultKind,
}

/// What is wrong where the tiling breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockFaultKind {
    /// A block should start here, but the flags are not those of a head.
    NotAHead,
    /// The order is impossible, or smaller than that of an untouched pageblock.
    Order,
    /// The head is not aligned to its order.
    Unaligned,
    /// The block does not end where the zone does, or reaches into a pageblock without RAM.
    TooLong,
    /// The zone in the descriptor is another one.
    Zone,
}

impl fmt::Display for BlockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            BlockFaultKind::NotAHead => "should start a block",
            BlockFaultKind::Order => "starts a block of an impossible order",
            BlockFaultKind::Unaligned => "starts a block that is not aligned to its order",
            BlockFaultKind::TooLong => "starts a block that is longer than the memory there",
            BlockFaultKind::Zone => "starts a block that names another zone",
        };
        write!(f, "pfn {:#x} {what}: {}", self.pfn, Described(self.word))
    }
}

/// The blocks of a zone, ascending. Frames of pageblocks that are holes or wholly reserved are
/// left out: nothing describes them.
#[derive(Debug)]
pub struct Blocks<'s>(Source<'s>);

#[derive(Debug)]
enum Source<'s> {
    Kept(slice::Iter<'s, Result<Block, BlockFault>>),
    Read(Tiling<'s>),
}

/// Reads the blocks of a zone from the frame descriptors.
#[derive(Debug)]
struct Tiling<'s> {
    snapshot: &'s Snapshot<'s>,
    zone: &'s Zone,
    at: u32,
    end: u32,
}

/// The blocks of one zone, once they were asked for: nearly every audit goes through them.
#[derive(Debug, Default)]
pub(super) struct KeptBlocks(OnceCell<Option<Kept>>);

/// Blocks that tile these frames.
#[derive(Debug)]
struct Kept {
    frames: Range<u32>,
    blocks: Vec<Result<Block, BlockFault>>,
}

/// Blocks of a zone that are kept: 3 MiB. Those of a zone with more are read each time.
const MAX_KEPT: usize = 1 << 16;

impl KeptBlocks {
    /// Those of the zone that `tiling` goes through; none if there are too many.
    fn of(&self, tiling: &mut Tiling<'_>) -> Option<&[Result<Block, BlockFault>]> {
        let frames = tiling.at..tiling.end;
        let kept = self.0.get_or_init(|| {
            let blocks: Vec<_> = tiling.take(MAX_KEPT + 1).collect();
            (blocks.len() <= MAX_KEPT).then(|| Kept {
                frames: frames.clone(),
                blocks,
            })
        });
        let kept = kept.as_ref().filter(|kept| kept.frames == frames)?;
        Some(&kept.blocks)
    }
}

impl<'m> Snapshot<'m> {
    /// The blocks of a zone.
    pub fn blocks<'s>(&'s self, zone: &'s Zone) -> Blocks<'s> {
        let Range { start, end } = zone.pfns();
        let tiling = || Tiling {
            snapshot: self,
            zone,
            at: start / PAGEBLOCK_PAGES * PAGEBLOCK_PAGES,
            end: end
                .next_multiple_of(PAGEBLOCK_PAGES)
                .min(self.mem_map.pfns().end),
        };
        let kept = self.kept_blocks(zone.index);
        match kept.and_then(|kept| kept.of(&mut tiling())) {
            Some(blocks) => Blocks(Source::Kept(blocks.iter())),
            None => Blocks(Source::Read(tiling())),
        }
    }
}

impl Iterator for Blocks<'_> {
    type Item = Result<Block, BlockFault>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Kept(blocks) => blocks.next().copied(),
            Source::Read(tiling) => tiling.next(),
        }
    }
}

impl Iterator for Tiling<'_> {
    type Item = Result<Block, BlockFault>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.end {
            let pageblock = self.snapshot.pageblocks.of(self.at)?;
            let next_pageblock = pageblock.pfn + PAGEBLOCK_PAGES;
            if matches!(
                pageblock.state(),
                PageblockState::Hole | PageblockState::Reserved
            ) {
                self.at = next_pageblock;
                continue;
            }
            let pfn = self.at;
            let head = self.snapshot.mem_map.get(pfn)?;
            let untouched = pageblock.state() == PageblockState::Untouched;
            let found = self.check(pfn, &head, untouched);
            self.at = match &found {
                Ok(block) => block.pfns().end,
                Err(_) => next_pageblock,
            };
            return Some(found);
        }
        None
    }
}

impl Tiling<'_> {
    fn check(&self, pfn: u32, head: &Descriptor, untouched: bool) -> Result<Block, BlockFault> {
        let fault = |kind| {
            Err(BlockFault {
                pfn,
                word: head.word,
                kind,
            })
        };
        let Some(state) = BlockState::of(head.flags()) else {
            return fault(BlockFaultKind::NotAHead);
        };
        if head.zone() as usize != self.zone.index {
            return fault(BlockFaultKind::Zone);
        }
        let pages = 1 << head.order();
        if head.order() > MAX_ORDER || (untouched && pages < PAGEBLOCK_PAGES) {
            return fault(BlockFaultKind::Order);
        }
        if !pfn.is_multiple_of(pages) {
            return fault(BlockFaultKind::Unaligned);
        }
        // An aligned block of at most a pageblock is inside the one that is known to have RAM.
        let fits =
            pages <= self.end - pfn && (pages <= PAGEBLOCK_PAGES || self.has_ram(pfn..pfn + pages));
        if !fits {
            return fault(BlockFaultKind::TooLong);
        }
        Ok(Block {
            pfn,
            state,
            head: *head,
        })
    }

    /// Whether all pageblocks of a range have descriptors.
    fn has_ram(&self, pfns: Range<u32>) -> bool {
        self.snapshot.pageblocks.within(pfns).all(|pageblock| {
            !matches!(
                pageblock.state(),
                PageblockState::Hole | PageblockState::Reserved
            )
        })
    }
}
