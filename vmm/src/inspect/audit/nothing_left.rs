//! Nothing is left of programs that have ended.

use super::{AuditResult, Findings, Guest, Moment};
use crate::inspect::decode::Snapshot;

pub(super) const NAME: &str = "nothing-left";
const CHECKS: &str = "of programs that have ended no process, address space or file is left";

/// For the moment after the last program: what is left of them.
pub fn nothing_left(snapshot: &Snapshot<'_>) -> AuditResult {
    let guest = Guest::new(snapshot, Moment::Between);
    let mut findings = Findings::new();
    let users = match guest.users() {
        Ok(users) => users,
        Err(super::Skip(why)) => return AuditResult::skipped(NAME, CHECKS, why),
    };
    for task in &users.tasks {
        findings.add(|| format!("pid {} ({}) is still there", task.pid, task.comm));
    }
    for space in &users.spaces {
        let (areas, pages) = (space.areas.len(), space.pages.pages.len());
        findings.add(|| {
            format!(
                "{} is still there, with {areas} areas and {pages} pages",
                space.name
            )
        });
    }
    for file in &users.files {
        let pages = file.cached.pages.len();
        findings.add(|| format!("file {} is still there, with {pages} pages", file.file.ino));
    }
    findings.into_result(NAME, CHECKS)
}
