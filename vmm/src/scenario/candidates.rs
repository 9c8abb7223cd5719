//! A run without faults in which each request that could be made to fail is seen.

use super::{RunConfig, RunError, actions, run};
use crate::{
    fault::{FaultKind, FaultSpec},
    machine::Machine,
    report::Report,
};
use pagelab_abi::{PAGE_SIZE, fault::FaultCandidate, gfp::Gfp};
use std::sync::atomic::Ordering::Relaxed;

/// A request that an injector would have counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Events before it.
    pub event: Option<u64>,
    /// The process on whose behalf it was made; 0 for none.
    pub pid: u32,
    /// That process's name.
    pub comm: String,
    /// Order and flags, cache and flags, or direction.
    pub request: String,
    /// Return addresses on the kernel's stack, innermost first.
    pub stack: Vec<u64>,
}

/// What was seen of a run.
#[derive(Debug)]
pub struct Observed {
    /// The report of the run, which is that of a run without an observer.
    pub report: Report,
    /// The candidates, in order: the n-th one is that of `nth=N`.
    pub candidates: Vec<Candidate>,
}

/// Runs as configured, and takes down each candidate of `spec`, of which none fails.
///
/// # Errors
/// As [`super::run`].
pub fn observe(config: &RunConfig, spec: &FaultSpec) -> Result<Observed, RunError> {
    let config = RunConfig {
        observe: Some(spec.clone()),
        ..config.clone()
    };
    run::observed(&config)
}

/// What the guest asks for where it stands: an allocation, or requests of the disk that `kind` is about.
pub(super) fn here(machine: &Machine, kind: FaultKind) -> Result<Vec<Candidate>, RunError> {
    let root = machine.root()?;
    let asked = match actions::disk_of(machine, kind) {
        Some(mut disk) => disk
            .take_observed()
            .into_iter()
            .map(|direction| direction.name().to_owned())
            .collect(),
        None => vec![allocation(&root.control.candidate)],
    };
    let caller = &root.control.caller;
    let who = Candidate {
        event: Some(root.clock.count.load(Relaxed)),
        pid: caller.pid.load(Relaxed),
        comm: text(&caller.comm.each_ref().map(|byte| byte.load(Relaxed))),
        stack: machine.call_stack()?,
        ..Candidate::default()
    };
    let candidate = |request| Candidate {
        request,
        ..who.clone()
    };
    Ok(asked.into_iter().map(candidate).collect())
}

/// Order or cache, and flags.
fn allocation(request: &FaultCandidate) -> String {
    let what = match text(&request.cache.each_ref().map(|byte| byte.load(Relaxed))) {
        none if none.is_empty() => {
            let pages = u64::from(request.size.load(Relaxed)) / PAGE_SIZE;
            format!("order {}", pages.max(1).ilog2())
        }
        cache => cache,
    };
    let gfp = Gfp::from_bits_retain(request.gfp.load(Relaxed));
    let flags: Vec<&str> = gfp.iter_names().map(|(name, _)| name).collect();
    format!("{what}, {}", flags.join("|"))
}

/// The bytes before the first zero.
fn text(bytes: &[u8]) -> String {
    let len = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..len.unwrap_or(bytes.len())]).into_owned()
}
