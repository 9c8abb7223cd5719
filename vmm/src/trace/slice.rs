//! System calls and page faults as bars: each lasts until the next one begins, or another process has the
//! CPU. The clock has no event for their ends.

use super::Event;
use pagelab_abi::event::EventKind;
use serde_json::{Value, json};
use syscalls::x86_64::Sysno;

/// Bits of a page fault's error code (Intel SDM 3A, 4.7).
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const FETCH: u64 = 1 << 4;

/// A bar that has begun.
#[derive(Debug)]
pub(super) struct Slice {
    /// The event that began it.
    pub(super) start: u64,
    /// Whose it is.
    pub(super) pid: u32,
    /// What is written on it.
    pub(super) name: String,
    /// What is written beside it.
    pub(super) arguments: Value,
}

impl Slice {
    /// The bar that begins with this event, if one does.
    pub(super) fn begin(event: &Event) -> Option<Self> {
        let [a, b] = event.arguments;
        let (name, arguments) = match event.kind? {
            EventKind::Syscall => (call(a), json!({"first argument": format!("{b:#x}")})),
            EventKind::Fault => (fault(b), json!({"address": format!("{a:#x}")})),
            _ => return None,
        };
        Some(Self {
            start: event.number,
            pid: event.pid,
            name,
            arguments,
        })
    }
}

/// Name of a system call.
fn call(number: u64) -> String {
    let known = usize::try_from(number).ok().and_then(Sysno::new);
    known.map_or_else(
        || format!("system call {number}"),
        |call| call.name().to_owned(),
    )
}

/// Name of a page fault with this error code.
fn fault(code: u64) -> String {
    let access = match code {
        code if code & FETCH != 0 => "fetch",
        code if code & WRITE != 0 => "write",
        _ => "read",
    };
    let by = if code & USER == 0 {
        " by the kernel"
    } else {
        ""
    };
    format!("{access} fault{by}")
}
