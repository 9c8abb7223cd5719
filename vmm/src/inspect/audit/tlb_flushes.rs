//! The CPU is made to forget each translation that is gone or allows less than it did.
//!
//! What a CPU has cached cannot be seen, and what becomes of a flush that was lost differs from CPU to
//! CPU: where KVM interprets ring 0 it sees each store to a page table, and an emulator may forget
//! everything at each exit. So this looks at two moments, at what of the page tables is less at the later one,
//! and at the guest's account of its flushes in between.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed};

use pagelab_abi::{PAGE_SHIFT, PAGE_SIZE, tlb::Flush};

use super::{AuditResult, Findings};
use crate::inspect::decode::{Budget, DecodeError, Snapshot, UserPage};

pub(super) const NAME: &str = "tlb-flushes";
const CHECKS: &str =
    "each translation that went or lost rights since an audit before was flushed since then";

/// What page tables say at a moment that is between two operations of the memory manager.
#[derive(Clone, Debug)]
pub struct Translations {
    /// Flushes up to then.
    tlb_gen: u64,
    /// By the address space's number, which is never used twice.
    spaces: BTreeMap<u64, Space>,
}

#[derive(Clone, Debug)]
struct Space {
    name: String,
    /// In ascending order.
    pages: Vec<Translation>,
}

/// A page, small or large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Translation {
    va: u64,
    /// First frame.
    pfn: u32,
    /// Small pages.
    pages: u32,
    /// Whether it has been used: of others the CPU caches nothing (Intel SDM volume 3, 4.10.2.2).
    is_used: bool,
    can_write: bool,
    can_execute: bool,
    /// A CPU that knows it to be dirty does not set the bit again.
    is_dirty: bool,
}

impl Translations {
    /// What the page tables say now. None if they are too large to read.
    ///
    /// # Errors
    /// If the address spaces cannot be decoded.
    pub fn take(snapshot: &Snapshot<'_>) -> Result<Option<Self>, DecodeError> {
        let mut budget = Budget::new(snapshot);
        let tasks = snapshot.tasks()?;
        let mut spaces = BTreeMap::new();
        for mm in snapshot.user_mms()? {
            let found = snapshot.user_pages(&mm, &mut budget);
            if found.is_cut {
                return Ok(None);
            }
            let task = tasks.iter().find(|task| task.mm == mm.gpa);
            let space = Space {
                name: task.map_or_else(
                    || format!("address space {}", mm.id()),
                    |task| format!("pid {} ({})", task.pid, task.comm),
                ),
                pages: found.pages.iter().filter_map(Translation::of).collect(),
            };
            spaces.insert(mm.id(), space);
        }
        Ok(Some(Self {
            spaces,
            tlb_gen: snapshot.root.tlb.tlb_gen.load(Relaxed),
        }))
    }
}

impl Translation {
    fn of(page: &UserPage) -> Option<Self> {
        let [user, can_write, can_execute] = page.rights();
        if !user {
            return None;
        }
        Some(Self {
            va: page.va(),
            pfn: page.pfn()?,
            pages: page.frames() as u32,
            is_used: page.accessed(),
            can_write,
            can_execute,
            is_dirty: can_write && page.dirty(),
        })
    }

    const fn end(&self) -> u64 {
        self.va + ((self.pages as u64) << PAGE_SHIFT)
    }

    /// The frame of an address in it.
    const fn frame(&self, va: u64) -> u64 {
        self.pfn as u64 + ((va - self.va) >> PAGE_SHIFT)
    }

    /// What a CPU that goes on with this could do wrongly at an address, when the tables say `now`.
    fn lost(&self, now: Option<&Self>, va: u64) -> Option<&'static str> {
        let Some(now) = now else {
            return Some("is gone");
        };
        let lost = [
            (now.frame(va) != self.frame(va), "leads elsewhere"),
            (self.can_write && !now.can_write, "cannot be written"),
            (self.can_execute && !now.can_execute, "cannot be executed"),
            (self.is_dirty && !now.is_dirty, "is clean"),
        ];
        let found = lost.into_iter().find(|(is_lost, _)| *is_lost);
        found.map(|(_, what)| what)
    }
}

/// Compares two moments of which `now` is the later one, that of the snapshot. None if nobody can tell: there
/// is no address space that is in both, or the guest has flushed too often in between to account for it.
pub fn tlb_flushes(
    snapshot: &Snapshot<'_>,
    before: &Translations,
    now: &Translations,
) -> Option<AuditResult> {
    let flushes: Vec<Flush> = snapshot.root.tlb.since(before.tlb_gen)?.collect();
    let both = before.spaces.iter();
    let mut both = both
        .filter_map(|(id, before)| Some((before, now.spaces.get(id)?)))
        .peekable();
    both.peek()?;
    let mut findings = Findings::new();
    for (before, now) in both {
        before.compare(now, &flushes, &mut findings);
    }
    Some(findings.into_result(NAME, CHECKS))
}

impl Space {
    fn compare(&self, now: &Self, flushes: &[Flush], findings: &mut Findings) {
        for translation in self.pages.iter().filter(|page| page.is_used) {
            let mut va = translation.va;
            while va < translation.end() {
                let at = now.pages.partition_point(|page| page.end() <= va);
                let same = now.pages.get(at).filter(|page| page.va <= va);
                if let Some(lost) = translation.lost(same, va)
                    && !flushes.iter().any(|flush| flush.covers(va))
                {
                    let name = &self.name;
                    findings.add(|| {
                        format!("{name}: the page at {va:#x} {lost}, and the CPU was not told")
                    });
                }
                // A large page that is as it was says the same of all its small ones.
                va = match same {
                    Some(same) if same.pages == translation.pages => translation.end(),
                    _ => va + PAGE_SIZE,
                };
            }
        }
    }
}
