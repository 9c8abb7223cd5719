//! What a process has said of itself by prctl and its kin, and asks again.

/// The CPU that there is.
const CPU_0: u64 = 1;

/// Bits without an effect here but those that Linux's programs see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prctl {
    /// Others of the same user may look into it.
    pub(crate) is_dumpable: bool,
    /// It keeps its capabilities when it is root no longer.
    pub(crate) keeps_caps: bool,
    /// execve gives it no more rights than it has.
    pub(crate) no_new_privs: bool,
    /// It adopts the orphans among its descendants.
    pub(crate) is_subreaper: bool,
    /// Nanoseconds by which a wake-up may be late.
    pub(crate) timer_slack: u64,
    /// CPUs that it may run on, of which one is there.
    pub(crate) cpus: u64,
}

/// Nanoseconds by which a wake-up may be late (Linux: `init_task.timer_slack_ns`).
pub(crate) const DEFAULT_SLACK: u64 = 50_000;

impl Prctl {
    /// What the first process has.
    pub(super) const fn new() -> Self {
        Self {
            is_dumpable: true,
            keeps_caps: false,
            no_new_privs: false,
            is_subreaper: false,
            timer_slack: DEFAULT_SLACK,
            cpus: CPU_0,
        }
    }

    /// What a child has of it.
    pub(super) const fn inherited(self) -> Self {
        Self {
            is_subreaper: false,
            ..self
        }
    }

    /// What a new program has of it.
    pub(crate) const fn after_exec(self, same_rights: bool) -> Self {
        Self {
            is_dumpable: same_rights,
            keeps_caps: false,
            ..self
        }
    }
}
