//! On whose behalf and from where an allocation is made: Linux's task-filter and stacktrace filter.

use super::FaultError;
use pagelab_abi::task::COMM_LEN;
use std::fmt;

/// Which allocations are candidates, by who asks for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerFilter {
    /// Only those on behalf of the process with this number.
    pub pid: Option<u32>,
    /// Only those on behalf of processes of this name; empty for any.
    pub comm: String,
    /// Only those on behalf of processes that have written 1 to their /proc/self/make-it-fail.
    pub task_filter: bool,
    /// Only those from within the kernel's function of this name; empty for any.
    pub site: String,
}

impl CallerFilter {
    /// All.
    pub const fn new() -> Self {
        Self {
            pid: None,
            comm: String::new(),
            task_filter: false,
            site: String::new(),
        }
    }
}

impl Default for CallerFilter {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for CallerFilter {
    /// The knobs that are set, each after a comma.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(pid) = self.pid {
            write!(f, ",pid={pid}")?;
        }
        if !self.comm.is_empty() {
            write!(f, ",comm={}", self.comm)?;
        }
        if self.task_filter {
            write!(f, ",task-filter=1")?;
        }
        if !self.site.is_empty() {
            write!(f, ",site={}", self.site)?;
        }
        Ok(())
    }
}

/// `comm=sh`.
pub(super) fn comm(value: &str) -> Result<String, FaultError> {
    if value.is_empty() || value.len() >= COMM_LEN || value.contains('\0') {
        return Err(FaultError::BadValue {
            knob: "comm",
            value: value.to_owned(),
            allowed: "a process's name of 1 to 15 bytes, as in /proc/PID/comm",
        });
    }
    Ok(value.to_owned())
}

/// `site=fork`.
pub(super) fn site(value: &str) -> Result<String, FaultError> {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if value.is_empty() || !value.chars().all(is_letter) {
        return Err(FaultError::BadValue {
            knob: "site",
            value: value.to_owned(),
            allowed: "the name of a function of the guest's kernel, such as fork",
        });
    }
    Ok(value.to_owned())
}
