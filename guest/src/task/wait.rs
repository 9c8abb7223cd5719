//! What a parent asks about its children.

use super::{Pid, Slot, Task, Tasks, Usage, WaitFor};
use linux_raw_sys::general::{WCONTINUED, WEXITED, WNOHANG, WNOWAIT, WUNTRACED};
use pagelab_abi::{errno::Errno, task::TaskState};

/// Which children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitTarget {
    /// All.
    Any,
    /// One.
    Pid(Pid),
    /// Those of a group.
    Group(Pid),
}

/// A child whose state has changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Changed {
    pub(crate) pid: Pid,
    /// As wait4 gives it.
    pub(crate) status: u32,
    /// Its real user.
    pub(crate) uid: u32,
    /// What it and the children that it has waited for have used.
    pub(crate) usage: Usage,
}

/// What a wait came to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Waited {
    /// A child's state has changed.
    Child(Changed),
    /// None has, and the caller does not want to wait.
    Nothing,
    /// The caller waits now.
    Blocked,
}

/// Status of a process that a signal has stopped (Linux include/uapi/linux/wait.h).
const fn stopped(signal: u32) -> u32 {
    signal << 8 | 0x7f
}

/// Status of one that goes on.
const CONTINUED: u32 = 0xffff;

impl Tasks {
    /// Looks for a child whose state has changed as `options` want; takes a zombie away, unless
    /// they say WNOWAIT.
    ///
    /// # Errors
    /// ECHILD if there is no such child.
    pub(crate) fn wait(
        &mut self,
        slot: Slot,
        target: WaitTarget,
        options: u32,
    ) -> Result<Waited, Errno> {
        let parent = self.get(slot).pid();
        let mut any = false;
        let mut found = None;
        for (child, task) in self.iter() {
            if task.ppid() != parent || !target.includes(task) {
                continue;
            }
            any = true;
            if let Some(status) = task.news(options) {
                found = Some((
                    child,
                    Changed {
                        pid: task.pid(),
                        status,
                        uid: task.cred().uid.real,
                        usage: self.usage_of_child(child),
                    },
                ));
                break;
            }
        }
        if let Some((child, changed)) = found {
            if options & WNOWAIT == 0 {
                self.take_news(slot, child, changed.usage);
            }
            return Ok(Waited::Child(changed));
        }
        if !any {
            return Err(Errno::ECHILD);
        }
        if options & WNOHANG != 0 {
            return Ok(Waited::Nothing);
        }
        self.get_mut(slot).wait_for(WaitFor::Child);
        Ok(Waited::Blocked)
    }

    fn take_news(&mut self, parent: Slot, child: Slot, usage: Usage) {
        if self.get(child).state() == TaskState::Zombie {
            self.add_child_usage(parent, usage);
            self.remove(child);
        } else {
            self.get_mut(child).signals.stop_news = None;
        }
    }
}

impl WaitTarget {
    fn includes(self, task: &Task) -> bool {
        match self {
            Self::Any => true,
            Self::Pid(pid) => task.pid() == pid,
            Self::Group(group) => task.pgid() == group,
        }
    }
}

impl Task {
    /// The status that its parent has not seen, if the options ask for its kind.
    fn news(&self, options: u32) -> Option<u32> {
        if self.state() == TaskState::Zombie {
            return (options & WEXITED != 0).then(|| self.exit_code());
        }
        match self.signals.stop_news? {
            0 => (options & WCONTINUED != 0).then_some(CONTINUED),
            signal => (options & WUNTRACED != 0).then_some(stopped(signal)),
        }
    }
}
