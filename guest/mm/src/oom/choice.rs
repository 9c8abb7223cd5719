//! Who is the worst (Linux mm/oom_kill.c: `oom_badness`, `select_bad_process`).

use super::Candidate;
use pagelab_abi::{
    mm_struct::RssStat,
    oom::{OOM_SCORE_ADJ_MAX, OOM_SCORE_ADJ_MIN},
};

/// How much would become free with a process, in pages, and its `oom_score_adj` in thousandths of
/// `total`. None if it is never killed.
pub fn badness(task: &Candidate, total: u64) -> Option<i64> {
    if task.oom_score_adj == OOM_SCORE_ADJ_MIN {
        return None;
    }
    let pages = task.resident() + task.rss[RssStat::Swap as usize] + task.pgtables;
    // What is in RAM was written by nobody but the kernel, yet a sum of it must not end it.
    let pages = i64::try_from(pages).unwrap_or(i64::MAX);
    let share = i64::try_from(total / OOM_SCORE_ADJ_MAX as u64).unwrap_or(i64::MAX);
    let adj = i64::from(task.oom_score_adj).saturating_mul(share);
    Some(pages.saturating_add(adj))
}

/// /proc/PID/oom_score: 0 to 2000 (Linux fs/proc/base.c: `proc_oom_score`).
pub fn oom_score(task: &Candidate, total: u64) -> u64 {
    let Some(badness) = badness(task, total) else {
        return 0;
    };
    let total = i64::try_from(total.max(1)).unwrap_or(i64::MAX);
    let score = (1000 + badness.saturating_mul(1000) / total) * 2 / 3;
    score.max(0).unsigned_abs()
}

/// The worst; of equals the youngest. Who has been killed already has nothing more to give, and the
/// child of a vfork has only what is its parent's.
pub(super) fn select(tasks: impl Iterator<Item = Candidate>, total: u64) -> Option<Candidate> {
    let mut chosen: Option<(i64, Candidate)> = None;
    for task in tasks {
        if task.is_victim || task.in_vfork {
            continue;
        }
        let Some(points) = badness(&task, total) else {
            continue;
        };
        if chosen.as_ref().is_none_or(|(worst, _)| points >= *worst) {
            chosen = Some((points, task));
        }
    }
    chosen.map(|(_, task)| task)
}
