//! Who was killed for want of memory.

use super::text::{grouped, mebibytes};
use crate::size::ByteSize;
use pagelab_abi::{
    PAGE_SIZE,
    mm_struct::RssStat,
    oom::{self, OOM_KILLS, OomConstraint, OomKills},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::{fmt, sync::atomic::Ordering::Relaxed};

/// The OOM killer's work.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Oom {
    /// Processes that were killed.
    pub count: u64,
    /// The first of them, at most eight.
    pub kills: Vec<OomKill>,
}

/// A process that was killed for want of memory, and what it had before.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OomKill {
    /// Event at which its memory was free.
    pub event: u64,
    /// Its number.
    pub pid: u32,
    /// Name of its program.
    pub comm: String,
    /// Why it was this one.
    pub reason: OomReason,
    /// Number of the process whose allocation found no memory.
    pub invoker: u32,
    /// Order of that allocation.
    pub order: u32,
    /// All areas in bytes.
    pub total_vm: ByteSize,
    /// Resident private memory in bytes.
    pub anon_rss: ByteSize,
    /// Resident pages of files in bytes.
    pub file_rss: ByteSize,
    /// Resident shared memory in bytes.
    pub shmem_rss: ByteSize,
    /// What it had on the swap device in bytes.
    pub swap: ByteSize,
    /// Page tables in bytes.
    pub pgtables: ByteSize,
    /// What became free at once in bytes.
    pub freed: ByteSize,
    /// Its adjustment, -1000 to 1000.
    pub oom_score_adj: i32,
}

/// Why a process was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OomReason {
    /// No memory was left, and it was the worst of all.
    Worst,
    /// Its memory group was at its limit, and it was the worst of the group.
    WorstOfGroup,
    /// It needed a page itself, and nobody could be killed for it.
    OwnFault,
    /// The guest gives a reason that does not exist.
    Unknown,
}

impl From<&OomKills> for Oom {
    fn from(kills: &OomKills) -> Self {
        let count = kills.count.load(Relaxed);
        let kept = usize::try_from(count).map_or(OOM_KILLS, |count| count.min(OOM_KILLS));
        Self {
            count,
            kills: kills.kills[..kept].iter().map(OomKill::from).collect(),
        }
    }
}

impl From<&oom::OomKill> for OomKill {
    fn from(kill: &oom::OomKill) -> Self {
        let comm = kill.comm.each_ref().map(|byte| byte.load(Relaxed));
        let name = comm.split(|byte| *byte == 0).next().unwrap_or_default();
        let bytes = |pages: &std::sync::atomic::AtomicU64| {
            ByteSize(pages.load(Relaxed).saturating_mul(PAGE_SIZE))
        };
        let rss = |kind: RssStat| bytes(&kill.rss[kind as usize]);
        Self {
            event: kill.event.load(Relaxed),
            pid: kill.pid.load(Relaxed),
            comm: String::from_utf8_lossy(name).into_owned(),
            reason: match OomConstraint::from_u32(kill.constraint.load(Relaxed)) {
                Some(OomConstraint::None) => OomReason::Worst,
                Some(OomConstraint::Memcg) => OomReason::WorstOfGroup,
                Some(OomConstraint::Fault) => OomReason::OwnFault,
                None => OomReason::Unknown,
            },
            invoker: kill.invoker.load(Relaxed),
            order: kill.order.load(Relaxed),
            total_vm: bytes(&kill.total_vm),
            anon_rss: rss(RssStat::Anon),
            file_rss: rss(RssStat::File),
            shmem_rss: rss(RssStat::Shmem),
            swap: rss(RssStat::Swap),
            pgtables: bytes(&kill.pgtables),
            freed: bytes(&kill.freed),
            oom_score_adj: kill.oom_score_adj.load(Relaxed).cast_signed(),
        }
    }
}

impl Oom {
    /// Lines about all kills, each behind `start`.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, start: &str) -> fmt::Result {
        for kill in &self.kills {
            writeln!(f, "{start}{kill}")?;
        }
        let more = self.count.saturating_sub(self.kills.len() as u64);
        if more > 0 {
            writeln!(f, "{start}out of memory: {} more killed", grouped(more))?;
        }
        Ok(())
    }
}

impl fmt::Display for OomKill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, comm, .. } = self;
        let comm: String = comm.escape_debug().collect();
        write!(
            f,
            "out of memory: killed process {pid} ({comm}) at event {}, which freed {}",
            grouped(self.event),
            mebibytes(self.freed.0)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hostile_guest_says_is_read() {
        let kills = OomKills::new();
        kills.count.store(u64::MAX, Relaxed);
        let kill = &kills.kills[7];
        kill.constraint.store(99, Relaxed);
        kill.freed.store(u64::MAX, Relaxed);
        for byte in &kill.comm {
            byte.store(0x9b, Relaxed);
        }
        let oom = Oom::from(&kills);
        assert_eq!((oom.count, oom.kills.len()), (u64::MAX, OOM_KILLS));
        assert_eq!(oom.kills[7].reason, OomReason::Unknown);
        assert_eq!(oom.kills[7].comm.chars().count(), 16);
        assert_eq!(oom.kills[7].freed, ByteSize(u64::MAX));
    }

    #[test]
    fn each_kill_has_a_line_and_the_rest_one() {
        struct Lines<'a>(&'a Oom);
        impl fmt::Display for Lines<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.write(f, "> ")
            }
        }
        let kills = OomKills::new();
        kills.count.store(9, Relaxed);
        let kill = &kills.kills[0];
        kill.pid.store(7, Relaxed);
        kill.event.store(12345, Relaxed);
        kill.freed.store(256, Relaxed);
        for (to, from) in kill.comm.iter().zip(*b"a\x1bz") {
            to.store(from, Relaxed);
        }
        let text = Lines(&Oom::from(&kills)).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "> out of memory: killed process 7 (a\\u{1b}z) at event 12,345, which freed 1M"
        );
        assert_eq!(lines.last(), Some(&"> out of memory: 1 more killed"));
        assert_eq!(lines.len(), OOM_KILLS + 1);
    }
}
