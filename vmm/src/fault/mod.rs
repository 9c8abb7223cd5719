//! Fault injection: what a user writes after `--fault`, and how it reaches the guest.
//!
//! The knobs are Linux's (Documentation/fault-injection/fault-injection.rst). The guest's
//! allocators look at an attribute in the root page; the host fills it in while the guest stands
//! at a doorbell, so arming a fault is itself a reproducible act.

mod attr;
mod error;
mod spec;

pub use attr::{Injected, arm, read};
pub use error::FaultError;
pub use spec::{FaultKind, FaultSpec};
