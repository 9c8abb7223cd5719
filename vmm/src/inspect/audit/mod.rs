//! Audits: what must hold of a guest that stands at an event, whatever happened before.
//!
//! Each audit is one file with its name, what it checks, and a test in which it fires. An audit
//! that cannot be made is skipped and says why; that is never a pass.

mod baseline;
mod buddies_merged;
mod census;
mod cow_unshared;
mod fault_accounting;
mod frames_accounted;
mod free_list_links;
mod guest_views;
mod leak;
mod lru_lists;
mod memory_groups;
mod no_overlap;
mod nothing_left;
mod page_cache;
mod page_cache_store;
mod page_references;
mod pageblock_types;
mod pcp_lists;
mod process_list;
mod refcounts;
mod rss_counters;
mod slab_debug;
mod slab_frames;
mod slab_lists;
mod slab_objects;
mod summary;
mod swap_entries;
mod swap_io;
mod swap_slots;
#[cfg(test)]
mod tests;
mod tlb_flushes;
mod user_areas;
mod user_kernel_apart;

mod vma_trees;
mod vmstat_consistent;
mod watermarks;
mod zone_free_count;

pub use baseline::Baseline;
pub use census::{Census, ZoneCensus};
pub use fault_accounting::{FaultAccount, fault_accounting};
pub use guest_views::guest_view;
pub use leak::leak;
pub use nothing_left::nothing_left;
pub use page_cache_store::page_cache_store;
pub use summary::{Relief, ZoneSummary, relief, zones};
pub use swap_io::{file_io, swap_io};
pub use tlb_flushes::{Translations, tlb_flushes};

use super::users::Users;
use std::cell::OnceCell;

use super::{
    AuditResult, Findings,
    decode::{Cache, DecodeError, Snapshot},
    image::PhysMem,
};

/// Where the guest stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Between two operations of its memory manager, as when a program has made a system call that
    /// has not begun yet.
    Between,
    /// Perhaps within one: pages that were taken out of the tables may still be on their way back,
    /// and are not yet counted off.
    Anywhere,
}

/// What every audit gets: a guest's structures, with what several audits need worked out once.
struct Guest<'s> {
    snapshot: &'s Snapshot<'s>,
    census: Census,
    caches: Result<Vec<Cache>, DecodeError>,
    /// Read when they are first asked for.
    users: OnceCell<Result<Users, DecodeError>>,
    moment: Moment,
}

impl<'s> Guest<'s> {
    fn new(snapshot: &'s Snapshot<'s>, moment: Moment) -> Self {
        Self {
            moment,
            snapshot,
            census: Census::of(snapshot),
            caches: snapshot.caches(),
            users: OnceCell::new(),
        }
    }

    /// The caches, or why an audit of them is skipped.
    fn caches(&self) -> Result<&[Cache], Skip> {
        match &self.caches {
            Ok(caches) => Ok(caches),
            Err(error) => Err(Skip(format!("the slab caches cannot be decoded: {error}"))),
        }
    }

    fn decoded_users(&self) -> &Result<Users, DecodeError> {
        self.users.get_or_init(|| Users::read(self.snapshot))
    }

    /// Processes and files, or why an audit of them is skipped.
    fn users(&self) -> Result<&Users, Skip> {
        match self.decoded_users() {
            Ok(users) => Ok(users),
            Err(error) => Err(Skip(format!("the processes cannot be decoded: {error}"))),
        }
    }
}

/// Why an audit could not be made.
struct Skip(String);

/// One audit.
struct Audit {
    name: &'static str,
    checks: &'static str,
    run: fn(&Guest<'_>, &mut Findings) -> Result<(), Skip>,
}

impl Audit {
    fn of(&self, guest: &Guest<'_>) -> AuditResult {
        let mut findings = Findings::new();
        match (self.run)(guest, &mut findings) {
            Err(Skip(why)) if findings.total() == 0 => {
                AuditResult::skipped(self.name, self.checks, why)
            }
            // What was found before the audit had to stop is found all the same.
            _ => findings.into_result(self.name, self.checks),
        }
    }
}

/// All audits that need nothing but one moment's memory, in the order of the report.
const AUDITS: [&Audit; 18] = [
    &frames_accounted::AUDIT,
    &no_overlap::AUDIT,
    &buddies_merged::AUDIT,
    &free_list_links::AUDIT,
    &zone_free_count::AUDIT,
    &watermarks::AUDIT,
    &pcp_lists::AUDIT,
    &pageblock_types::AUDIT,
    &refcounts::AUDIT,
    &slab_lists::AUDIT,
    &slab_objects::AUDIT,
    &slab_frames::AUDIT,
    &slab_debug::AUDIT,
    &vmstat_consistent::AUDIT,
    &lru_lists::AUDIT,
    &memory_groups::AUDIT,
    &swap_slots::AUDIT,
    &swap_entries::AUDIT,
];

/// The audits of processes and files, made where there are any. The last holds between operations
/// alone, and is made there.
const USER_AUDITS: [&Audit; 8] = [
    &process_list::AUDIT,
    &vma_trees::AUDIT,
    &user_areas::AUDIT,
    &user_kernel_apart::AUDIT,
    &cow_unshared::AUDIT,
    &page_cache::AUDIT,
    &page_references::AUDIT,
    &rss_counters::AUDIT,
];

/// Name of the audit that tells whether there is anything to audit.
const DECODE: (&str, &str) = (
    "decode",
    "the root page, the memory manager's state and the slab caches can be decoded",
);

/// Names of all audits, those of page tables and of a run's end among them, in the order of the report.
pub fn names() -> Vec<&'static str> {
    let of_moments = AUDITS.iter().chain(&USER_AUDITS).map(|audit| audit.name);
    let others = [
        page_cache_store::NAME,
        leak::NAME,
        fault_accounting::NAME,
        nothing_left::NAME,
        tlb_flushes::NAME,
    ];
    let disks = swap_io::NAMES;
    let all = std::iter::once(DECODE.0)
        .chain(of_moments)
        .chain(others)
        .chain(disks);
    all.chain(super::pagetable::AUDIT_NAMES).collect()
}

/// Makes all audits that need nothing but one moment's memory, on the guest whose root page is at
/// `root_gpa`. If its structures cannot be decoded, `decode` says why and the others are skipped.
pub fn all(mem: &dyn PhysMem, root_gpa: u64, moment: Moment) -> Vec<AuditResult> {
    match Snapshot::read(mem, root_gpa) {
        Ok(snapshot) => of_snapshot(&snapshot, moment),
        Err(error) => undecodable(&error),
    }
}

/// As [`all`], for a guest that is decoded already.
pub fn of_snapshot(snapshot: &Snapshot<'_>, moment: Moment) -> Vec<AuditResult> {
    let guest = Guest::new(snapshot, moment);
    let mut decoded = Findings::new();
    if let Err(error) = &guest.caches {
        decoded.add(|| error.to_string());
    }
    let mut users: &[&Audit] = match moment {
        Moment::Between => &USER_AUDITS,
        Moment::Anywhere => &USER_AUDITS[..USER_AUDITS.len() - 1],
    };
    match guest.decoded_users() {
        Ok(found) if found.is_empty() => users = &[],
        Ok(_) => {}
        Err(error) => decoded.add(|| error.to_string()),
    }
    let decoded = decoded.into_result(DECODE.0, DECODE.1);
    let audits = AUDITS.iter().chain(users).map(|audit| audit.of(&guest));
    std::iter::once(decoded).chain(audits).collect()
}

/// The results for a guest whose structures cannot be decoded.
pub fn undecodable(error: &DecodeError) -> Vec<AuditResult> {
    let mut findings = Findings::new();
    findings.add(|| error.to_string());
    let why = format!("the guest cannot be decoded: {error}");
    let skipped = |audit: &&Audit| AuditResult::skipped(audit.name, audit.checks, &why);
    std::iter::once(findings.into_result(DECODE.0, DECODE.1))
        .chain(AUDITS.iter().map(skipped))
        .collect()
}
