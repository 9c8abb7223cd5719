//! The processes as they stand in RAM.

use super::Oom;
use crate::{machine::Machine, memcg::GroupId};
use core::{fmt, sync::atomic::Ordering::Relaxed};
use pagelab_abi::{
    mm_struct::{MMF_OOM_VICTIM, MmStruct, NR_RSS_STATS, RssStat},
    task::{COMM_LEN, TaskStruct},
};

/// A process with memory, as the OOM killer sees it. Amounts are in pages.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Its number.
    pub pid: u32,
    /// Its real user.
    pub uid: u32,
    /// Name of its program, NUL-padded.
    pub comm: [u8; COMM_LEN],
    /// -1000 (never killed) to 1000.
    pub oom_score_adj: i32,
    /// Physical address of its [`MmStruct`].
    pub mm: u64,
    /// Pages in all areas.
    pub total_vm: u64,
    /// Resident pages of each kind, and entries that lead to swap; index [`RssStat`].
    pub rss: [u64; NR_RSS_STATS],
    /// Page-table nodes.
    pub pgtables: u64,
    /// Its memory group; none for the root.
    pub group: Option<GroupId>,
    /// It has been killed, and has not ended yet.
    pub is_victim: bool,
    /// It runs in the memory of its parent, who is a candidate for it.
    pub in_vfork: bool,
}

impl Candidate {
    /// Resident pages (Linux: `get_mm_rss`).
    pub fn resident(&self) -> u64 {
        let all: u64 = self.rss.iter().sum();
        all - self.rss[RssStat::Swap as usize]
    }

    /// Its name, for people.
    pub fn name(&self) -> impl fmt::Display + '_ {
        Name(&self.comm)
    }
}

/// A NUL-padded name; what is no character of ASCII is a question mark.
struct Name<'a>(&'a [u8]);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        let bytes = self.0.iter().take_while(|byte| **byte != 0);
        for byte in bytes {
            let known = byte.is_ascii_graphic() || *byte == b' ';
            f.write_char(if known { char::from(*byte) } else { '?' })?;
        }
        Ok(())
    }
}

impl<'a, M: Machine + 'static> Oom<'a, M> {
    /// All processes, the oldest first.
    fn tasks(&self) -> impl Iterator<Item = &'a TaskStruct> {
        let at = |gpa: u64| {
            // SAFETY: by the contract of `new`, which holds as long as this value lives; all is
            // atomic.
            (gpa != 0).then(|| unsafe { self.mm.slab().object(gpa).cast::<TaskStruct>().as_ref() })
        };
        let first = at(self.tasks.head.load(Relaxed));
        core::iter::successors(first, move |task| at(task.next.load(Relaxed)))
    }

    /// Those with memory.
    pub(super) fn candidates(&self) -> impl Iterator<Item = Candidate> {
        self.tasks().filter_map(|task| self.candidate(task))
    }

    /// The process that runs, if it has memory.
    pub fn current(&self) -> Option<Candidate> {
        self.find(self.tasks.current.load(Relaxed))
    }

    /// The process with a number, if it has memory.
    pub fn find(&self, pid: u32) -> Option<Candidate> {
        let mut tasks = self.tasks();
        let task = tasks.find(|task| task.pid.load(Relaxed) == pid)?;
        self.candidate(task)
    }

    /// A parent of a vfork has the memory that its child runs in.
    fn candidate(&self, task: &TaskStruct) -> Option<Candidate> {
        let pid = task.pid.load(Relaxed);
        let own = task.mm.load(Relaxed);
        let gpa = if own == 0 { self.lent_by(pid)? } else { own };
        // SAFETY: by the contract of `new`; what is read is atomic.
        let mm = unsafe { self.mm.slab().object(gpa).cast::<MmStruct>().as_ref() };
        Some(Candidate {
            pid,
            uid: task.uid[0].load(Relaxed),
            comm: task.comm.each_ref().map(|byte| byte.load(Relaxed)),
            oom_score_adj: task.oom_score_adj.load(Relaxed).cast_signed(),
            mm: gpa,
            total_vm: mm.total_vm.load(Relaxed),
            rss: mm.rss.each_ref().map(|count| count.load(Relaxed)),
            pgtables: mm.pgtables.load(Relaxed),
            group: GroupId::from_number(task.memory_group.load(Relaxed)),
            is_victim: mm.flags.load(Relaxed) & MMF_OOM_VICTIM != 0,
            in_vfork: task.lender.load(Relaxed) != 0,
        })
    }

    /// The memory that a process has lent to its vfork child.
    fn lent_by(&self, pid: u32) -> Option<u64> {
        let mut tasks = self.tasks();
        let child = tasks.find(|task| task.lender.load(Relaxed) == pid)?;
        Some(child.mm.load(Relaxed)).filter(|mm| *mm != 0)
    }
}
