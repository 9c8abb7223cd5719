//! The virtual machine: KVM, memory, boot, one vCPU, and what is left of a guest that crashed.
//!
//! [`Machine::new`] builds it, [`Machine::run`] runs the guest to its next [`Stop`]. Between two
//! runs the host reads and writes the guest's memory; the guest stands still.
//!
//! * [`memory`]: where RAM is. [`kernel`], [`boot`], `initramfs`: how the guest starts (PVH).
//! * [`host`]: /dev/kvm and what can be wrong with it. [`doctor`]: the same, asked for.
//! * `devices`: what the guest finds at its ports and in the hole below 4 GiB.
//! * `run`: the loop. `watchdog`: ends it. `vcpu`, `cpuid`, [`registers`]: the CPU.
//! * `machine_check`: the host says that memory is broken.
//! * `host_tsc`: whose time-stamp counter the guest's programs read.
//! * [`snapshot`]: all of it at a moment, to go back to and to fork.
//! * `latency`: memory that the host is slow to supply.
//! * `slots`: how KVM is given memory; read-only frames.
//! * `dirty_log`: which frames the guest stores to. `write_log`: which this process does.
//! * [`root`]: the page through which host and guest talk.
//! * `event_log`: what the guest records of each event.
//! * [`crash`]: registers, failing instruction and backtrace of a guest that came to grief.
//! * [`call_sites`]: the code of a function, by its name.
//! * [`embedded`]: the guest's kernel that the program carries.
//! * [`testing`]: whether tests that need KVM can run here, and guests of a few instructions.

//!
//! One thread does it all; there are no locks but those of `devices`.

pub mod boot;
pub mod call_sites;
mod config;
mod cpuid;
pub mod crash;
mod devices;
mod dirty_log;
mod disk;
pub mod doctor;
pub mod embedded;
mod error;
mod event_log;
#[cfg(test)]
mod guest_tests;
pub mod host;
mod host_tsc;
mod initramfs;
pub mod kernel;
mod latency;
#[expect(
    clippy::module_inception,
    reason = "the machine is the subject of `machine`"
)]
mod machine;
mod machine_check;
pub mod memory;
pub mod registers;
pub mod root;
mod run;
mod slots;
pub mod snapshot;
mod stop;
pub mod testing;
#[cfg(test)]
mod tests;
mod tiny;
mod vcpu;
mod watchdog;
mod write_log;

pub use config::MachineConfig;
pub use devices::{MachineBalloon, MachineDisk};
pub use disk::{DiskError, DiskSource};
pub use error::MachineError;
pub use initramfs::Initramfs;
pub use kernel::Kernel;
pub use latency::{Handler, LatencyConfig, LatencyError};
pub use machine::{FirstLine, Machine};
pub use machine_check::MachineCheckError;
pub use memory::{GuestMemory, MAX_MEMORY, MIN_MEMORY};
pub use slots::ReadonlyError;
pub use snapshot::{Outputs, Snapshot, SnapshotError};
pub use stop::Stop;
