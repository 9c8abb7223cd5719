//! A disk and its driver tell the same story.

use std::sync::atomic::Ordering::Relaxed;

use pagelab_abi::swap::DiskIo;

use super::{AuditResult, Findings};
use crate::devices::block::Counters;
use crate::inspect::decode::Snapshot;

/// Names of the two audits.
pub(super) const NAMES: [&str; 2] = ["swap-io", "file-io"];

/// Compares the guest's account of its swap device with the device's own.
pub fn swap_io(snapshot: &Snapshot<'_>, device: &Counters, size: u64) -> AuditResult {
    let guest = &snapshot.root.swap_io;
    let mut findings = compare("swap device", guest, device, size);
    let errors = [
        &guest.read_errors,
        &guest.write_errors,
        &guest.flush_errors,
        &guest.unanswered,
    ];
    let errors = errors.iter().fold(0_u64, |sum, counter| {
        sum.saturating_add(counter.load(Relaxed))
    });
    let reported = guest.reported.load(Relaxed);
    findings.require(reported <= errors, || {
        format!("{reported} errors reached the workload, but there were only {errors}")
    });
    let checks = "every answer of the swap device, each injected error among them, was seen by the guest as \
                  what it was, and no request was malformed";
    findings.into_result(NAMES[0], checks)
}

/// Compares the guest's account of its disk with files with the disk's own. One error of writing is told to
/// each who has the file open, so those that were told are not counted here.
pub fn file_io(snapshot: &Snapshot<'_>, device: &Counters, size: u64) -> AuditResult {
    let findings = compare("disk", &snapshot.root.file_io, device, size);
    let checks = "every answer of the disk with files, each injected error among them, was seen by the guest \
                  as what it was, and no request was malformed";
    findings.into_result(NAMES[1], checks)
}

fn compare(name: &str, guest: &DiskIo, device: &Counters, size: u64) -> Findings {
    let mut findings = Findings::new();
    let pages = guest.pages.load(Relaxed);
    // A guest without a driver for it has no account.
    findings.require(pages == size / pagelab_abi::PAGE_SIZE || pages == 0, || {
        format!("the guest sees {pages} pages on a {name} of {size} bytes")
    });
    let is_waiting = guest.due.load(Relaxed) != 0;
    for (what, seen, done) in [
        ("reads", &guest.reads, device.reads),
        ("writes", &guest.writes, device.writes),
        ("flushes", &guest.flushes, device.flushes),
        ("errors of reads", &guest.read_errors, device.read_errors),
        ("errors of writes", &guest.write_errors, device.write_errors),
    ] {
        let seen = seen.load(Relaxed);
        // While the guest waits for some of its requests, it has not looked at the others.
        let fits = seen == done || is_waiting && seen < done;
        findings.require(fits, || {
            format!("the guest saw {seen} {what}, the {name} did {done}")
        });
    }
    for (what, injected, errors) in [
        ("reads", device.injected_reads, &guest.read_errors),
        ("writes", device.injected_writes, &guest.write_errors),
    ] {
        let seen = errors.load(Relaxed);
        findings.require(injected <= seen || is_waiting, || {
            format!("{injected} {what} were made to fail, but the guest saw only {seen} fail")
        });
    }
    findings.require(device.refused == 0, || {
        format!("the guest sent {} malformed requests", device.refused)
    });
    findings
}
