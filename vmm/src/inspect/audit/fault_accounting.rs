//! Injected failures came out somewhere.

use std::sync::atomic::Ordering::Relaxed;

use pagelab_abi::{event::EventKind, fault::FaultAttr};

use super::{AuditResult, Findings};
use crate::inspect::decode::Snapshot;

pub(super) const NAME: &str = "fault-accounting";
const CHECKS: &str = "every injected failure failed an allocation, the workload saw no failure \
                      that did not happen, and its data are intact";

/// What became of the failures of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultAccount {
    /// Allocations that passed the injector's filters.
    pub seen: u64,
    /// Allocations that were made to fail.
    pub injected: u64,
    /// Allocations that failed, for whatever reason.
    pub failed: u64,
    /// Failures that reached the workload as an error and were survived.
    pub reported: u64,
}

impl FaultAccount {
    /// Failures of page allocations.
    pub fn of_pages(snapshot: &Snapshot<'_>) -> Self {
        let root = &snapshot.root;
        let reported = root.progress.pages_failed.load(Relaxed);
        Self::of(
            snapshot,
            &root.control.fail_page_alloc,
            EventKind::PageAllocFail,
            reported,
        )
    }

    /// Failures of slab and kmalloc allocations.
    pub fn of_objects(snapshot: &Snapshot<'_>) -> Self {
        let root = &snapshot.root;
        let reported = root.progress.objects_failed.load(Relaxed);
        Self::of(
            snapshot,
            &root.control.failslab,
            EventKind::SlabAllocFail,
            reported,
        )
    }

    fn of(snapshot: &Snapshot<'_>, attr: &FaultAttr, kind: EventKind, reported: u64) -> Self {
        Self {
            seen: attr.seen.load(Relaxed),
            injected: attr.injected.load(Relaxed),
            failed: snapshot.root.clock.by_kind[kind as usize - 1].load(Relaxed),
            reported,
        }
    }

    /// Failures that were coped with below the workload: by a retry, another order or zone, a
    /// smaller balloon, or by doing without.
    pub fn absorbed(&self) -> u64 {
        self.failed.saturating_sub(self.reported)
    }
}

/// Checks the account of failures.
pub fn fault_accounting(snapshot: &Snapshot<'_>) -> AuditResult {
    let pages = FaultAccount::of_pages(snapshot);
    let objects = FaultAccount::of_objects(snapshot);
    let mut findings = Findings::new();
    for (name, account) in [("fail_page_alloc", pages), ("failslab", objects)] {
        findings.require(account.injected <= account.seen, || {
            format!(
                "{name}: injected {} failures, but saw {}",
                account.injected, account.seen
            )
        });
        findings.require(account.injected <= account.failed, || {
            format!(
                "{name}: injected {} failures, but only {} allocations failed",
                account.injected, account.failed
            )
        });
    }
    findings.require(pages.reported <= pages.failed, || {
        format!(
            "the workload saw {} page allocations fail, but only {} did",
            pages.reported, pages.failed
        )
    });
    // A large kmalloc is a page allocation, and one that a growing cache made counts in both.
    let failed = objects.failed.saturating_add(pages.failed);
    findings.require(
        pages.reported.saturating_add(objects.reported) <= failed,
        || {
            format!(
                "the workload saw {} page and {} object allocations fail, but only {failed} did",
                pages.reported, objects.reported
            )
        },
    );
    let mismatches = snapshot.root.progress.mismatches.load(Relaxed);
    findings.require(mismatches == 0, || {
        format!("the workload found {mismatches} contents that were not as written")
    });
    findings.into_result(NAME, CHECKS)
}
