//! Planted bugs: what campaigns and audits must find. Built only with the feature `mutations`, which the
//! product does not have; without it [`is_planted`] is a constant and nothing is left of them.
//!
//! Each is a mistake of a kind that real kernels had, and shows only once something goes wrong: an
//! allocation, a request to a disk, or memory that gets short. One at a time is planted, by its name on the
//! kernel's command line.

use core::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Mutation {
    /// fork without memory half-way does not give back what the child already has.
    ForkUndo = 1,
    /// A page of a file that is to be copied keeps a reference if there is no memory for the copy.
    RefcountLeak,
    /// A store to a shared page without memory for a copy goes to the shared page.
    CowReuse,
    /// A slot that cannot be read is free again, while an entry still leads to it.
    SwapSlotReuse,
    /// A page that cannot be written to swap keeps a reference.
    SwapWriteLeak,
    /// An area that cannot be cut in two places for want of memory gives one object back twice.
    SlabDoubleFree,
    /// An allocation that fails leaves a zone's watermark one page lower.
    WatermarkOffByOne,
    /// A store to a page of a file for which there is no room on the disk goes on, and the page stays clean.
    LostDirty,
    /// A copy that cannot be mapped for want of a table is still counted.
    RssLeak,
    /// mprotect that fails for want of memory has changed the area's rights already.
    MprotectUndo,
    /// execve that fails half-way does not give back the new program's memory.
    ExecUndo,
    /// mprotect of several areas flushes once, at its end, and not if it fails before.
    LostTlbFlush,
}

impl Mutation {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::ForkUndo,
        Self::RefcountLeak,
        Self::CowReuse,
        Self::SwapSlotReuse,
        Self::SwapWriteLeak,
        Self::SlabDoubleFree,
        Self::WatermarkOffByOne,
        Self::LostDirty,
        Self::RssLeak,
        Self::MprotectUndo,
        Self::ExecUndo,
        Self::LostTlbFlush,
    ];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ForkUndo => "fork-undo",
            Self::RefcountLeak => "refcount-leak",
            Self::CowReuse => "cow-reuse",
            Self::SwapSlotReuse => "swap-slot-reuse",
            Self::SwapWriteLeak => "swap-write-leak",
            Self::SlabDoubleFree => "slab-double-free",
            Self::WatermarkOffByOne => "watermark-off-by-one",
            Self::LostDirty => "lost-dirty",
            Self::RssLeak => "rss-leak",
            Self::MprotectUndo => "mprotect-undo",
            Self::ExecUndo => "exec-undo",
            Self::LostTlbFlush => "lost-tlb-flush",
        }
    }
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no bug has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownMutation;

impl FromStr for Mutation {
    type Err = UnknownMutation;

    fn from_str(name: &str) -> Result<Self, UnknownMutation> {
        let mut all = Self::ALL.into_iter();
        all.find(|mutation| mutation.name() == name)
            .ok_or(UnknownMutation)
    }
}

/// Number of the bug that is planted; 0 for none. There is one memory manager in a kernel.
static PLANTED: AtomicU32 = AtomicU32::new(0);

/// Plants a bug, and digs out any other. Without the feature `mutations` nothing looks at it.
pub fn plant(mutation: Mutation) {
    PLANTED.store(mutation as u32, Relaxed);
}

/// Whether this bug is planted.
#[inline(always)]
pub fn is_planted(mutation: Mutation) -> bool {
    cfg!(feature = "mutations") && PLANTED.load(Relaxed) == mutation as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_its_name_and_none_is_in_the_product() {
        for (number, mutation) in (1..).zip(Mutation::ALL) {
            assert_eq!(mutation as u32, number);
            assert_eq!(mutation.name().parse(), Ok(mutation));
        }
        assert_eq!("bug".parse::<Mutation>(), Err(UnknownMutation));
        assert!(!is_planted(Mutation::CowReuse));
    }
}
