//! Stopping a program's run.

use super::{Build, SMALL, guest, programs};
use serde_json::Value;

/// The report of a run that ends where `stop_at` says.
fn stopped(folder: &std::path::Path, stop_at: &str) -> Value {
    let mut flags = SMALL.to_vec();
    flags.extend(["--stop-at", stop_at]);
    let report = guest(folder, &flags, &["./maps"]);
    assert_eq!(report["verdict"], "held", "{}", report["reasons"]);
    report
}

/// Number of system calls at the end of a run.
fn calls(report: &Value) -> u64 {
    let kinds = report["events_by_kind"].as_array().unwrap();
    let calls = kinds.iter().find(|entry| entry["kind"] == "syscall");
    calls.and_then(|entry| entry["count"].as_u64()).unwrap()
}

#[test]
fn a_condition_is_met_where_an_audit_is_due() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let whole = guest(folder, &SMALL, &["./maps"]);
    let audits = whole["audits"].as_array().unwrap();
    let event = audits
        .iter()
        .find_map(|audit| audit["moment"].as_str().unwrap().strip_prefix("event "))
        .expect("the program is audited while it runs");
    // Which system call that event is, a run that stops there tells.
    let nth = calls(&stopped(folder, event));
    let by_condition = stopped(folder, &format!("syscall,nth={nth}"));
    assert_eq!(by_condition["stopped_at"].to_string(), event);
    assert_eq!(calls(&by_condition), nth);
}

/// Whether the audit was made that holds between operations alone.
fn is_between(report: &Value) -> bool {
    let audits = report["audits"].as_array().unwrap();
    let at_stop = |audit: &&Value| audit["moment"] == "stop" && audit["name"] == "rss-counters";
    audits.iter().any(|audit| at_stop(&audit))
}

#[test]
fn more_is_audited_where_the_program_makes_a_system_call() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let by_condition = stopped(folder, "syscall,nth=9");
    assert!(is_between(&by_condition));
    let event = by_condition["stopped_at"].to_string();
    assert!(is_between(&stopped(folder, &event)));
    assert!(!is_between(&stopped(folder, "fault,nth=9")));
}
