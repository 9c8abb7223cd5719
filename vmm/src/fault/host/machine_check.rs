//! The grammar of `--fault machine_check`: the memory of one frame breaks at one event.

use super::{AT, Written};
use crate::{
    fault::{FaultError, knobs},
    inspect::frames::FrameClass,
};
use std::fmt;

/// The fault's name.
pub(super) const MACHINE_CHECK: &str = "machine_check";

const KNOBS: [&str; 6] = ["pfn", "pid", "gva", "nth", "of", "at"];

/// One frame whose memory breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineCheckSpec {
    /// Which.
    pub target: Target,
    /// Event; none for the end of boot.
    pub at: Option<u64>,
}

/// Which frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The one with this number.
    Frame(u32),
    /// The one that a process has at an address.
    User(u32, u64),
    /// The n-th, from 1 and in ascending order, of those that are something at that event.
    Nth(u64, FrameClass),
}

impl MachineCheckSpec {
    pub(super) fn read(text: &str) -> Result<Self, FaultError> {
        let mut written = Written::read(text, MACHINE_CHECK, &KNOBS)?;
        let target = target(&mut written)?;
        let at = written.optional("at", AT)?;
        written.finish()?;
        Ok(Self { target, at })
    }
}

pub(super) fn target(written: &mut Written<'_>) -> Result<Target, FaultError> {
    const PFN: &str = "a frame's number, if neither gva= nor nth= is given";
    if let Some(va) = written.optional("gva", "an address of the process, such as 0x401000")? {
        return Ok(Target::User(
            written.small("pid", "a process's number")?,
            va,
        ));
    }
    const NTH: &str = "a number from 1";
    let Some(nth) = written.optional("nth", NTH)? else {
        return Ok(Target::Frame(written.small("pfn", PFN)?));
    };
    if nth == 0 {
        return Err(knobs::bad("nth", "0", NTH));
    }
    let class = match written.take("of") {
        None => FrameClass::User,
        Some(name) => FrameClass::from_name(name)
            .ok_or_else(|| knobs::bad("of", name, "user, anon, file, free, slab or kernel"))?,
    };
    Ok(Target::Nth(nth, class))
}

impl fmt::Display for MachineCheckSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MACHINE_CHECK)?;
        self.target.fmt(f)
    }
}

impl fmt::Display for Target {
    /// The knobs, each after a comma.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(pfn) => write!(f, ",pfn={pfn:#x}"),
            Self::User(pid, va) => write!(f, ",pid={pid},gva={va:#x}"),
            Self::Nth(nth, class) => write!(f, ",nth={nth},of={}", class.name()),
        }
    }
}
