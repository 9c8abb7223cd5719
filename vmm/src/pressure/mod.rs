//! Memory pressure: what the balloon is asked for, and when.
//!
//! A profile is a list of steps on the event clock, so pressure is as reproducible as everything
//! else. What the guest gives up is another matter: [`Sample`] records requested beside achieved.

mod error;
mod grammar;
mod named;
mod profile;

pub use error::PressureError;
pub use named::{NAMED, NamedProfile};
pub use profile::{PressureProfile, Sample, Step};
