//! Arguments of the memory system calls, with Linux's names and numbers
//! (include/uapi/asm-generic/mman-common.h, mman.h, arch/x86/include/uapi/asm/mman.h).

use bitflags::bitflags;

bitflags! {
    /// Rights asked for, `PROT_`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Prot: u32 {
        /// Loads.
        const READ = 1;
        /// Stores.
        const WRITE = 2;
        /// Instruction fetches.
        const EXEC = 4;
        /// For atomic operations; no meaning here.
        const SEM = 8;
        /// mprotect: from the start of the stack area on.
        const GROWSDOWN = 0x100_0000;
        /// mprotect: to the end of an area that grows up; there is none on x86.
        const GROWSUP = 0x200_0000;
    }
}

bitflags! {
    /// Kind of a mapping, `MAP_`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MapFlags: u32 {
        /// Stores are seen by everybody who maps the same.
        const SHARED = 0x1;
        /// Stores are one's own.
        const PRIVATE = 0x2;
        /// At this address, whatever is there.
        const FIXED = 0x10;
        /// Not from a file.
        const ANONYMOUS = 0x20;
        /// Below 2 GiB.
        const BIT32 = 0x40;
        /// Grows down on faults.
        const GROWSDOWN = 0x100;
        /// Without meaning today.
        const DENYWRITE = 0x800;
        /// Without meaning today.
        const EXECUTABLE = 0x1000;
        /// mlock it.
        const LOCKED = 0x2000;
        /// Not counted as committed memory.
        const NORESERVE = 0x4000;
        /// Bring the pages in at once.
        const POPULATE = 0x8000;
        /// With `POPULATE`: only what needs no I/O.
        const NONBLOCK = 0x1_0000;
        /// For a stack; no meaning here.
        const STACK = 0x2_0000;
        /// Of large pages that were set aside.
        const HUGETLB = 0x4_0000;
        /// Synchronous page faults; only for direct-access files.
        const SYNC = 0x8_0000;
        /// At this address, unless something is there.
        const FIXED_NOREPLACE = 0x10_0000;
    }
}

/// The bits of [`MapFlags`] that say whether a mapping is shared.
pub const MAP_TYPE: u32 = 0xf;
/// In [`MAP_TYPE`]: shared, and unknown flags are refused.
pub const MAP_SHARED_VALIDATE: u32 = 3;

bitflags! {
    /// What mremap may do, `MREMAP_`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MremapFlags: u32 {
        /// Move if there is no room.
        const MAYMOVE = 1;
        /// To this address, whatever is there.
        const FIXED = 2;
        /// Leave the old area, without its pages.
        const DONTUNMAP = 4;
    }
}

bitflags! {
    /// What msync does, `MS_`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MsyncFlags: u32 {
        /// Begin to write.
        const ASYNC = 1;
        /// Let other mappings see what is in the file.
        const INVALIDATE = 2;
        /// Write, and wait until that is done.
        const SYNC = 4;
    }
}

bitflags! {
    /// What mlockall locks, `MCL_`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MlockallFlags: u32 {
        /// What there is.
        const CURRENT = 1;
        /// What is going to be mapped.
        const FUTURE = 2;
        /// Pages once they are there.
        const ONFAULT = 4;
    }
}

/// mlock2: pages once they are there.
pub const MLOCK_ONFAULT: u32 = 1;

/// madvise: nothing special.
pub const MADV_NORMAL: u32 = 0;
/// madvise: accesses at random.
pub const MADV_RANDOM: u32 = 1;
/// madvise: accesses from the start to the end.
pub const MADV_SEQUENTIAL: u32 = 2;
/// madvise: will be needed.
pub const MADV_WILLNEED: u32 = 3;
/// madvise: not needed, the content may go.
pub const MADV_DONTNEED: u32 = 4;
/// madvise: not needed until it is written again.
pub const MADV_FREE: u32 = 8;
/// madvise: make a hole in the file.
pub const MADV_REMOVE: u32 = 9;
/// madvise: fork leaves it out.
pub const MADV_DONTFORK: u32 = 10;
/// madvise: fork takes it along.
pub const MADV_DOFORK: u32 = 11;
/// madvise: equal pages may be merged.
pub const MADV_MERGEABLE: u32 = 12;
/// madvise: equal pages stay apart.
pub const MADV_UNMERGEABLE: u32 = 13;
/// madvise: large pages wanted.
pub const MADV_HUGEPAGE: u32 = 14;
/// madvise: large pages not wanted.
pub const MADV_NOHUGEPAGE: u32 = 15;
/// madvise: not in a core dump.
pub const MADV_DONTDUMP: u32 = 16;
/// madvise: in a core dump.
pub const MADV_DODUMP: u32 = 17;
/// madvise: fork gives the child zeros.
pub const MADV_WIPEONFORK: u32 = 18;
/// madvise: fork gives the child the content.
pub const MADV_KEEPONFORK: u32 = 19;
/// madvise: not needed soon.
pub const MADV_COLD: u32 = 20;
/// madvise: reclaim it now.
pub const MADV_PAGEOUT: u32 = 21;
/// madvise: fault it in for loads.
pub const MADV_POPULATE_READ: u32 = 22;
/// madvise: fault it in for stores.
pub const MADV_POPULATE_WRITE: u32 = 23;
