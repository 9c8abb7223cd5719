//! A run without faults in which each request that could be made to fail is seen.

use super::{RunConfig, RunError, actions, run};
use crate::{
    fault::{FaultKind, FaultSpec, ReadWrite},
    machine::Machine,
    report::Report,
};
use pagelab_abi::{PAGE_SIZE, gfp::Gfp};
use std::sync::atomic::Ordering::Relaxed;

/// A request that an injector would have counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Events before it; none for a device's request, which devices do not know.
    pub event: Option<u64>,
    /// The process on whose behalf it was made; 0 for none.
    pub pid: u32,
    /// That process's name.
    pub comm: String,
    /// Order and flags, cache and flags, or direction.
    pub request: String,
    /// Return addresses on the kernel's stack, innermost first; empty for a device's request.
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

/// The allocation at which the guest stands.
pub(super) fn allocation(machine: &Machine) -> Result<Candidate, RunError> {
    let root = machine.root()?;
    let control = &root.control;
    let text = |bytes: &[u8]| {
        let len = bytes.iter().position(|byte| *byte == 0);
        String::from_utf8_lossy(&bytes[..len.unwrap_or(bytes.len())]).into_owned()
    };
    let candidate = &control.candidate;
    let cache = candidate.cache.each_ref().map(|byte| byte.load(Relaxed));
    let gfp = Gfp::from_bits_retain(candidate.gfp.load(Relaxed));
    let what = match text(&cache) {
        none if none.is_empty() => {
            let pages = u64::from(candidate.size.load(Relaxed)) / PAGE_SIZE;
            format!("order {}", pages.max(1).ilog2())
        }
        cache => cache,
    };
    let flags: Vec<&str> = gfp.iter_names().map(|(name, _)| name).collect();
    let comm = control
        .caller
        .comm
        .each_ref()
        .map(|byte| byte.load(Relaxed));
    Ok(Candidate {
        event: Some(root.clock.count.load(Relaxed)),
        pid: control.caller.pid.load(Relaxed),
        comm: text(&comm),
        request: format!("{what}, {}", flags.join("|")),
        stack: machine.call_stack()?,
    })
}

/// The requests that a device has taken down.
pub(super) fn requests(machine: &Machine, kind: FaultKind) -> Vec<Candidate> {
    let Some(disk) = actions::disk_of(machine, kind) else {
        return Vec::new();
    };
    let request = |direction: &ReadWrite| Candidate {
        request: direction.name().to_owned(),
        ..Candidate::default()
    };
    disk.injector().observed().iter().map(request).collect()
}
