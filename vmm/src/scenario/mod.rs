//! A run from boot to verdict.
//!
//! * [`RunConfig`]: all that decides a run. `plan`: what it means for machine and guest.
//! * `run`: the loop from doorbell to doorbell. `agenda`, `actions`: what the host does, and when.
//! * [`ForkPoint`]: a booted guest, from which many runs go on; an [`Experimenter`] makes them, and moves on
//!   to where their faults strike. `lead_in`: what runs have in common up to there. [`fates`]: which bit flips
//!   are one.
//! * [`resume`]: goes on with a run that was kept in a file.
//! * `recorder`: what happens, for a trace.
//! * `flip`: bits turned over. `host_act`: what the host's own hardware would do. `turns`: how often a guest may ring. `observe`: what the host sees.
//! * `summary`: the report. [`TransparentHugepage`]: the guest's huge pages. [`view`]: texts as in
//!   Linux's /proc.

mod actions;
mod agenda;
mod candidates;
mod config;
mod deadlock;
mod ending;
mod error;
mod experimenter;
mod flip;
mod fork_point;
mod host_act;
mod kept;
mod lead_in;
mod observe;
mod plan;
mod probe;
mod recorder;
mod run;
mod stop;
mod summary;
mod thp;
mod turns;
mod view;

pub use candidates::{Candidate, Observed, observe};
pub use config::{ConfigError, Cpu, Inspection, RunConfig, ZoneLimits, ZoneModel, slab_debug};
pub use error::RunError;
pub use experimenter::{Experimenter, Fate, fates};
pub use fork_point::ForkPoint;
pub use kept::{Resume, resume};
pub use probe::{Check, Mode, Probe, ProbeError};
pub use run::{run, run_recorded};
pub use stop::{StopAt, StopError};
pub use thp::TransparentHugepage;
pub use view::{Since, devices, lru_view, process_view, task_view, view};
