//! The host side of pagelab: boots the guest, watches it from outside, squeezes it, judges it.
//!
//! ```text
//! cli ── scenario ── machine ── devices
//!            │  └─ fault, pressure: what is done to the guest, and when
//!            ├─ inspect: what is seen of it, from raw memory
//!            └─ report: what is said of it
//! ```
//!
//! A run is a conversation. The guest goes on until it rings the doorbell
//! ([`machine::Machine::run`]); there it stands still, the host reads its memory ([`inspect`]),
//! writes fault attributes and balloon targets, arms the event clock for the next stop, and lets
//! it go on. [`scenario`] holds that conversation, [`report`] is its outcome.
//!
//! * [`machine`]: KVM, memory, boot, the run loop, crash reports, the doctor.
//! * [`devices`]: serial console, doorbells, virtio-mmio, balloon; no KVM in them.
//! * [`inspect`]: the independent judge: page-table walker, decoders, audits, saved images. It
//!   shares layouts (`pagelab-abi`) with the guest and no logic.
//! * [`fault`], [`pressure`]: the grammars of `--fault` and `--pressure`.
//! * [`trace`]: what happened, event by event, as a file that trace viewers draw.
//! * [`campaign`]: experiment files, and what became of each of their runs.
//! * [`store`]: disks with files, from and to directories.
//! * [`size`]: bytes as people write them.
//!
//! # Locks and threads
//!
//! One thread does all of a run, so that it depends on nothing but the guest and its configuration. Forks
//! of one snapshot ([`machine::snapshot`]) share nothing that any of them changes, so each thread can have its own.
//! The only locks are those of [`devices`], whose order stands there.

pub mod campaign;
pub mod cli;
pub mod devices;
pub mod fault;
pub mod inspect;
pub mod machine;
mod nearest;
pub mod pressure;
pub mod program;
pub mod report;
pub mod scenario;
pub mod size;
pub mod store;
pub mod trace;
