//! ELF cores of physical memory: the format of QEMU's `dump-guest-memory`.
//!
//! RAM is in `PT_LOAD` segments, found by `p_paddr`. Notes hold the CPUs: `CORE` (`NT_PRSTATUS`)
//! for debuggers, and `QEMU` with the control registers. What neither holds, EFER above all, is in
//! a `PAGELAB` note of our own, which other readers skip.

mod note;
mod read;
mod write;

pub(super) use read::parse;
pub use write::{SaveReport, VirtualView, save};
