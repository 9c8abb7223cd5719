//! The guest's own /proc texts are the host's.

use pagelab_abi::view::ViewKind;

use super::{AuditResult, Findings};
use crate::inspect::{decode::Snapshot, proc};

/// Compares a text that the guest wrote at this moment with the host's own.
pub fn guest_view(snapshot: &Snapshot<'_>, kind: ViewKind, guest: &str) -> AuditResult {
    let name = format!("guest-view-{}", kind.name());
    let checks = format!(
        "the guest's {} equals the host's, byte for byte",
        kind.name()
    );
    let host = match proc::text(snapshot, kind) {
        Ok(text) => text,
        Err(error) => return AuditResult::skipped(&name, &checks, error),
    };
    let mut findings = Findings::new();
    if host != guest {
        let (mut ours, mut theirs) = (host.split('\n'), guest.split('\n'));
        for line in 1u64.. {
            match (ours.next(), theirs.next()) {
                (None, None) => break,
                (host, guest) if host == guest => {}
                (host, guest) => findings.add(|| {
                    let quoted = |line: Option<&str>| {
                        line.map_or_else(|| "nothing".to_owned(), |line| format!("{line:?}"))
                    };
                    format!(
                        "line {line}: guest {}, host {}",
                        quoted(guest),
                        quoted(host)
                    )
                }),
            }
        }
    }
    findings.into_result(&name, &checks)
}
