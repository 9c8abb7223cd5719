//! Who waited for what when no process of the program could ever run again.

use pagelab_abi::program::{Deadlock, WaitReason, Waiter};
use std::sync::atomic::Ordering::Relaxed;

/// The deadlock in a sentence, if there was one.
pub(super) fn reason(deadlock: &Deadlock) -> Option<String> {
    let count = deadlock.count.load(Relaxed) as usize;
    if count == 0 {
        return None;
    }
    let mut waiters: Vec<String> = deadlock.waiters.iter().take(count).map(describe).collect();
    let unnamed = count.saturating_sub(waiters.len());
    if unnamed > 0 {
        waiters.push(format!("{unnamed} more"));
    }
    Some(format!(
        "every process waited for ever, and all were killed: {}",
        waiters.join(", ")
    ))
}

fn describe(waiter: &Waiter) -> String {
    let name: Vec<u8> = waiter
        .comm
        .iter()
        .map(|byte| byte.load(Relaxed))
        .take_while(|&byte| byte != 0)
        .collect();
    let (pid, detail) = (waiter.pid.load(Relaxed), waiter.detail.load(Relaxed));
    let what = match WaitReason::from_u32(waiter.reason.load(Relaxed)) {
        Some(WaitReason::Child) => "for a child".to_owned(),
        Some(WaitReason::Vfork) => format!("for its vfork child {detail}"),
        Some(WaitReason::File) => "for a pipe or a lock".to_owned(),
        Some(WaitReason::Signal) => "for a signal".to_owned(),
        Some(WaitReason::Futex) => format!("at the futex {detail:#x}"),
        Some(WaitReason::Stopped) => "for SIGCONT".to_owned(),
        None => "for something unknown".to_owned(),
    };
    let name = String::from_utf8_lossy(&name).escape_debug().to_string();
    format!("{pid} ({name}) {what}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pagelab_abi::program::{MAX_WAITERS, ProgramEnd};

    #[test]
    fn a_deadlock_is_told_in_a_sentence() {
        let end = ProgramEnd::new();
        let deadlock = &end.deadlock;
        assert_eq!(reason(deadlock), None);
        for (waiter, (pid, reason, detail)) in deadlock.waiters.iter().zip([
            (1, WaitReason::Child as u32, 0),
            (4, WaitReason::Futex as u32, 0x1000),
            (5, 77, 0),
        ]) {
            waiter.pid.store(pid, Relaxed);
            waiter.reason.store(reason, Relaxed);
            waiter.detail.store(detail, Relaxed);
            for (to, byte) in waiter.comm.iter().zip(*b"sh") {
                to.store(byte, Relaxed);
            }
        }
        deadlock.count.store(3, Relaxed);
        assert_eq!(
            reason(deadlock).unwrap(),
            "every process waited for ever, and all were killed: 1 (sh) for a child, \
             4 (sh) at the futex 0x1000, 5 (sh) for something unknown"
        );
        // A guest may say anything.
        deadlock.count.store(u32::MAX, Relaxed);
        let text = reason(deadlock).unwrap();
        let unnamed = u32::MAX as usize - MAX_WAITERS;
        assert!(text.ends_with(&format!("{unnamed} more")), "{text}");
    }
}
