//! /sys/fs/cgroup: groups of processes and what they may have (Linux kernel/cgroup/cgroup.c,
//! mm/memcontrol.c; Documentation/admin-guide/cgroup-v2.rst). A directory is a memory group, which lives as
//! long as the directory's inode does.
//!
//! The top is the group that the command line makes, or the root. The only controller, memory, is
//! always enabled for all children, and a group may have both processes and children.

use super::{
    knob::number,
    memory::mm,
    task::{group_has_members, group_members, set_memory_group},
};
use core::{
    fmt::{self, Write},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use pagelab_abi::{
    PAGE_SIZE,
    errno::Errno,
    lru::LruList,
    memcg::{MemoryGroup, NO_LIMIT},
};
use pagelab_mm::memcg::GroupId;

/// The directory of a group.
#[derive(Debug)]
pub(crate) struct CgroupDir {
    /// Number of the group; 0 for the root.
    pub(super) group: u32,
    /// It was made by mkdir, and ends with the directory.
    is_own: bool,
}

impl CgroupDir {
    /// The top directory, of a group that somebody else ends.
    pub(super) const fn top(group: Option<GroupId>) -> Self {
        let group = match group {
            Some(group) => group.number(),
            None => 0,
        };
        Self {
            group,
            is_own: false,
        }
    }

    /// A new group in this one.
    ///
    /// # Errors
    /// EAGAIN if there are too many.
    pub(super) fn new_child(&self) -> Result<Self, Errno> {
        let parent = GroupId::from_number(self.group);
        let group = mm().memory_group_create_in(parent).ok_or(Errno::EAGAIN)?;
        Ok(Self {
            group: group.number(),
            is_own: true,
        })
    }

    /// Whether a process is in the group itself.
    pub(super) fn has_members(&self) -> bool {
        group_has_members(self.group)
    }

    /// A file of this name.
    pub(super) fn file(&self, name: &[u8]) -> Option<CgroupFile> {
        let mut files = self.files();
        files
            .find(|(known, _)| *known == name)
            .map(|(_, file)| file)
    }

    /// All files; the root has no limits.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'static [u8], CgroupFile)> {
        let is_root = self.group == 0;
        let files = CgroupFile::ALL.into_iter();
        files.filter(move |(_, file)| !is_root || file.is_of_root())
    }
}

impl Drop for CgroupDir {
    fn drop(&mut self) {
        if let Some(group) = GroupId::from_number(self.group)
            && self.is_own
        {
            mm().memory_group_remove(group);
        }
    }
}

/// A file in the directory of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CgroupFile {
    Procs,
    Controllers,
    SubtreeControl,
    Events,
    MemoryCurrent,
    MemoryPeak,
    MemoryMin,
    MemoryLow,
    MemoryHigh,
    MemoryMax,
    MemoryEvents,
    MemoryStat,
    MemoryReclaim,
    SwapCurrent,
    SwapPeak,
    SwapMax,
    SwapEvents,
}

impl CgroupFile {
    const ALL: [(&'static [u8], Self); 17] = [
        (b"cgroup.procs", Self::Procs),
        (b"cgroup.controllers", Self::Controllers),
        (b"cgroup.subtree_control", Self::SubtreeControl),
        (b"cgroup.events", Self::Events),
        (b"memory.current", Self::MemoryCurrent),
        (b"memory.peak", Self::MemoryPeak),
        (b"memory.min", Self::MemoryMin),
        (b"memory.low", Self::MemoryLow),
        (b"memory.high", Self::MemoryHigh),
        (b"memory.max", Self::MemoryMax),
        (b"memory.events", Self::MemoryEvents),
        (b"memory.stat", Self::MemoryStat),
        (b"memory.reclaim", Self::MemoryReclaim),
        (b"memory.swap.current", Self::SwapCurrent),
        (b"memory.swap.peak", Self::SwapPeak),
        (b"memory.swap.max", Self::SwapMax),
        (b"memory.swap.events", Self::SwapEvents),
    ];

    /// Whether the root has it, too.
    const fn is_of_root(self) -> bool {
        matches!(self, Self::Procs | Self::Controllers | Self::SubtreeControl)
    }

    /// Permissions.
    pub(super) const fn mode(self) -> u32 {
        match self {
            Self::Procs
            | Self::SubtreeControl
            | Self::MemoryMin
            | Self::MemoryLow
            | Self::MemoryHigh
            | Self::MemoryMax
            | Self::SwapMax => 0o644,
            Self::MemoryReclaim => 0o200,
            _ => 0o444,
        }
    }

    /// Writes what holds of a group.
    pub(super) fn show(self, number: u32, out: &mut dyn Write) -> fmt::Result {
        match self {
            Self::Procs => {
                return group_members(number).try_for_each(|pid| writeln!(out, "{pid}"));
            }
            Self::Controllers | Self::SubtreeControl => return writeln!(out, "memory"),
            Self::MemoryReclaim => return Err(fmt::Error),
            _ => {}
        }
        let Some(group) = GroupId::from_number(number) else {
            return Err(fmt::Error);
        };
        let counts = mm().memory_group(group);
        match self {
            Self::Events => {
                let populated = u32::from(group_has_members(number));
                writeln!(out, "populated {populated}\nfrozen 0")
            }
            Self::MemoryCurrent => bytes(out, &counts.usage),
            Self::MemoryPeak => bytes(out, &counts.peak),
            Self::SwapCurrent => bytes(out, &counts.swap_usage),
            Self::SwapPeak => bytes(out, &counts.swap_peak),
            Self::MemoryEvents => lines(
                out,
                &[
                    ("low", &counts.low_events),
                    ("high", &counts.high_events),
                    ("max", &counts.max_events),
                    ("oom", &counts.oom_events),
                    ("oom_kill", &counts.oom_kills),
                ],
            ),
            Self::SwapEvents => lines(
                out,
                &[
                    ("max", &counts.swap_max_events),
                    ("fail", &counts.swap_max_events),
                ],
            ),
            Self::MemoryStat => stat(group, out),
            _ => match self.limit(counts) {
                Some(limit) => show_limit(out, limit),
                None => Err(fmt::Error),
            },
        }
    }

    /// The limit that the file sets.
    fn limit(self, group: &MemoryGroup) -> Option<&AtomicU64> {
        Some(match self {
            Self::MemoryMin => &group.min,
            Self::MemoryLow => &group.low,
            Self::MemoryHigh => &group.high,
            Self::MemoryMax => &group.max,
            Self::SwapMax => &group.swap_max,
            _ => return None,
        })
    }

    /// Takes a text.
    ///
    /// # Errors
    /// EINVAL for what it does not take, or if it takes nothing; ESRCH for a process that there is not;
    /// EAGAIN if not so much could be reclaimed.
    pub(super) fn store(self, number: u32, text: &str) -> Result<(), Errno> {
        match self {
            Self::Procs => {
                let pid = super::knob::number(text).ok_or(Errno::EINVAL)?;
                let pid = u32::try_from(pid).map_err(|_| Errno::ESRCH)?;
                return set_memory_group(pid, number);
            }
            Self::SubtreeControl => {
                let known = |word: &str| matches!(word, "+memory");
                let all = text.split_ascii_whitespace().all(known);
                return if all { Ok(()) } else { Err(Errno::EINVAL) };
            }
            _ => {}
        }
        let group = GroupId::from_number(number).ok_or(Errno::EINVAL)?;
        if self == Self::MemoryReclaim {
            let pages = size(text).ok_or(Errno::EINVAL)? / PAGE_SIZE;
            let done = mm().reclaim_from_group(group, pages);
            return done.map_err(|_| Errno::EAGAIN);
        }
        let counts = mm().memory_group(group);
        let limit = self.limit(counts).ok_or(Errno::EINVAL)?;
        let pages = match text.trim() {
            "max" => NO_LIMIT,
            other => size(other).ok_or(Errno::EINVAL)? / PAGE_SIZE,
        };
        match self {
            Self::MemoryMax => mm().set_memory_max(group, pages),
            Self::MemoryHigh => mm().set_memory_high(group, pages),
            Self::SwapMax => mm().set_swap_max(group, pages),
            _ => limit.store(pages, Relaxed),
        }
        Ok(())
    }
}

/// Bytes with a unit, as Linux's `memparse` reads them.
fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, shift) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 10),
        b'm' | b'M' => (&text[..text.len() - 1], 20),
        b'g' | b'G' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    number(digits)?.checked_mul(1 << shift)
}

/// Pages, in bytes.
fn bytes(out: &mut dyn Write, pages: &AtomicU64) -> fmt::Result {
    writeln!(out, "{}", pages.load(Relaxed).saturating_mul(PAGE_SIZE))
}

fn show_limit(out: &mut dyn Write, limit: &AtomicU64) -> fmt::Result {
    if limit.load(Relaxed) == NO_LIMIT {
        writeln!(out, "max")
    } else {
        bytes(out, limit)
    }
}

fn lines(out: &mut dyn Write, lines: &[(&str, &AtomicU64)]) -> fmt::Result {
    lines
        .iter()
        .try_for_each(|(name, count)| writeln!(out, "{name} {}", count.load(Relaxed)))
}

fn stat(group: GroupId, out: &mut dyn Write) -> fmt::Result {
    let stat = mm().memory_group_stat(group);
    for (name, pages) in [
        ("anon", stat.anon),
        ("file", stat.file),
        ("shmem", stat.shmem),
        ("swapcached", stat.swap_cached),
    ] {
        writeln!(out, "{name} {}", pages * PAGE_SIZE)?;
    }
    for list in LruList::ALL {
        let pages = stat.lists[list as usize];
        writeln!(out, "{} {}", list.name(), pages * PAGE_SIZE)?;
    }
    writeln!(out, "pgscan {}\npgsteal {}", stat.pgscan, stat.pgsteal)
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("4096\n", 4096),
            ("2k", 2048),
            ("3M", 3 << 20),
            ("1G", 1 << 30),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "M", "-1", "1MB", "99999999999999G"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
