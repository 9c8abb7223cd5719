//! Frames by what they are at a moment.

use pagelab_abi::page::{PageFlags, is_anon};

use super::decode::{Block, BlockState, Snapshot};

/// What frames are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameClass {
    /// A program's or a file's: in a list of reclaim.
    User,
    /// Those of them that are anonymous.
    Anon,
    /// The others of them.
    File,
    /// Free, in a per-CPU list or not.
    Free,
    /// In a slab, or kmalloc memory.
    Slab,
    /// What else the kernel has: page tables, its own workload.
    Kernel,
}

impl FrameClass {
    const ALL: [Self; 6] = [
        Self::User,
        Self::Anon,
        Self::File,
        Self::Free,
        Self::Slab,
        Self::Kernel,
    ];

    /// The name in a fault's knob.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Anon => "anon",
            Self::File => "file",
            Self::Free => "free",
            Self::Slab => "slab",
            Self::Kernel => "kernel",
        }
    }

    /// The class of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    fn has(self, block: &Block) -> bool {
        let flags = block.head.flags();
        let allocated = block.state == BlockState::Allocated;
        let is_user = allocated && flags.contains(PageFlags::LRU);
        let is_slab = flags.intersects(PageFlags::SLAB | PageFlags::LARGE_KMALLOC);
        match self {
            Self::User => is_user,
            Self::Anon => is_user && is_anon(block.head.mapping),
            Self::File => is_user && !is_anon(block.head.mapping),
            Self::Free => matches!(block.state, BlockState::Free | BlockState::Pcp),
            Self::Slab => allocated && is_slab,
            Self::Kernel => allocated && !is_user && !is_slab,
        }
    }
}

impl Snapshot<'_> {
    /// The frames of a class, ascending within each zone, zone by zone.
    pub fn frames_of(&self, class: FrameClass) -> impl Iterator<Item = u32> {
        let blocks = self
            .zones
            .iter()
            .flat_map(|zone| self.blocks(zone).flatten());
        blocks
            .filter(move |block| class.has(block))
            .flat_map(|block| block.pfns())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::test_programs::Programs;

    #[test]
    fn each_frame_is_of_one_class() {
        let programs = Programs::new();
        let image = programs.image();
        let snapshot = image.snapshot();
        let count = |class| snapshot.frames_of(class).count();
        assert_eq!(
            count(FrameClass::User),
            count(FrameClass::Anon) + count(FrameClass::File)
        );
        assert!(count(FrameClass::Anon) > 0 && count(FrameClass::Slab) > 0);
        let all: usize = [
            FrameClass::User,
            FrameClass::Free,
            FrameClass::Slab,
            FrameClass::Kernel,
        ]
        .map(count)
        .iter()
        .sum();
        let managed: u64 = snapshot.zones.iter().map(|zone| zone.managed).sum();
        assert_eq!(all as u64, managed);
        assert_eq!(FrameClass::from_name("anon"), Some(FrameClass::Anon));
        assert_eq!(FrameClass::from_name("anno"), None);
    }
}
