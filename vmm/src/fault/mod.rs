//! Fault injection: what a user writes after `--fault`, and how it reaches the guest.
//!
//! The knobs are Linux's (Documentation/fault-injection/fault-injection.rst). The guest's
//! allocators look at an attribute in the root page; the host fills it in while the guest stands
//! at a doorbell, so arming a fault is itself a reproducible act. What fails in a device has an
//! [`Injector`] in the device. A bit that is turned over ([`BitflipSpec`]) is the
//! host's own act, and so is what its hardware would do ([`HostFault`]).

mod attr;
mod bitflip;
mod caller;
mod error;
mod held;
mod host;
mod inject;
mod knobs;
mod spec;

pub use attr::{Injected, arm, read, seed};
pub use bitflip::{BitflipSpec, is_bitflip};
pub use caller::CallerFilter;
pub use error::FaultError;
pub use held::release;
pub use host::{
    HOST_FAULTS, HostFault, LatencySpec, MachineCheckSpec, ReadonlyFrames, ReadonlySpec, Target,
    is_host_fault,
};
pub use inject::{Decision, Injector};
pub use spec::{FaultKind, FaultSpec, ReadWrite};
