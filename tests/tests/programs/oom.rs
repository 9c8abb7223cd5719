//! Memory that runs out: who is killed for it, what is told of it, and that all others go on.

use super::{Build, guest, programs};
use pagelab_tests::binary;
use serde_json::Value;
use std::process::Command;

/// A machine that is full soon, with all three zones.
const TINY: [&str; 4] = ["--memory", "16M", "--zone-limits", "4M,12M"];

/// The report of `./oom` with arguments, after which all audits held; none if it cannot run here.
fn report(arguments: &[&str]) -> Option<Value> {
    let folder = programs(Build::Glibc)?;
    let command = [&["./oom"], arguments].concat();
    let report = guest(folder, &TINY, &command);
    assert_eq!(report["verdict"], "held", "{}", report["reasons"]);
    Some(report)
}

fn stdout(report: &Value) -> Vec<&str> {
    report["program"]["stdout"]
        .as_str()
        .unwrap()
        .lines()
        .collect()
}

/// Numbers of those who were killed.
fn killed(report: &Value) -> Vec<u64> {
    let kills = report["oom"]["kills"].as_array().unwrap();
    assert_eq!(report["oom"]["count"], kills.len());
    kills
        .iter()
        .map(|kill| kill["pid"].as_u64().unwrap())
        .collect()
}

#[test]
fn one_process_dies_and_its_memory_is_free() {
    let Some(report) = report(&["hog"]) else {
        return;
    };
    assert_eq!(
        stdout(&report),
        ["hog was killed by signal 9", "parent whole", "more whole"]
    );
    assert_eq!(report["program"]["status"], 7);
    assert_eq!(killed(&report), [2]);
    let kill = &report["oom"]["kills"][0];
    assert_eq!(kill["comm"], "oom");
    assert_eq!(kill["reason"], "worst");
    assert_eq!((&kill["invoker"], &kill["order"]), (&2.into(), &0.into()));
    let bytes = |key: &str| kill[key].as_u64().unwrap();
    assert!(bytes("anon_rss") > 8 << 20, "{kill}");
    assert!(bytes("freed") > 8 << 20, "{kill}");
    assert!(bytes("freed") <= 16 << 20, "{kill}");
    let events = report["events_by_kind"].as_array().unwrap();
    assert!(
        events
            .iter()
            .any(|kind| kind["kind"] == "oom_kill" && kind["count"] == 1)
    );
}

#[test]
fn the_same_kill_happens_again() {
    let (Some(first), Some(second)) = (report(&["alone"]), report(&["alone"])) else {
        return;
    };
    assert_eq!(first["trace_hash"], second["trace_hash"]);
    assert_eq!(first["oom"], second["oom"]);
}

#[test]
fn a_victim_in_the_middle_of_a_system_call_dies() {
    let Some(report) = report(&["inside"]) else {
        return;
    };
    assert_eq!(
        stdout(&report),
        [
            "reader was killed by signal 9",
            "locker was killed by signal 9"
        ]
    );
    assert_eq!(killed(&report), [2, 3]);
}

#[test]
fn the_worst_is_chosen_and_the_adjustment_counts() {
    for (adj, expected, pid) in [
        (
            "0",
            [
                "taker exited with status 5",
                "waiter was killed by signal 9",
            ],
            2,
        ),
        (
            "-1000",
            [
                "taker was killed by signal 9",
                "waiter was killed by signal 15",
            ],
            3,
        ),
        (
            "1000",
            [
                "taker exited with status 5",
                "waiter was killed by signal 9",
            ],
            2,
        ),
    ] {
        let Some(report) = report(&["two", adj]) else {
            return;
        };
        assert_eq!(stdout(&report), expected, "adjusted by {adj}");
        assert_eq!(killed(&report), [pid]);
    }
}

#[test]
fn shared_memory_goes_with_its_last_process() {
    let Some(report) = report(&["shared"]) else {
        return;
    };
    assert_eq!(
        stdout(&report),
        ["own whole", "waiter was killed by signal 9"]
    );
    assert_eq!(killed(&report), [2]);
    let kill = &report["oom"]["kills"][0];
    assert!(kill["shmem_rss"].as_u64().unwrap() == 7 << 20, "{kill}");
}

#[test]
fn a_child_of_vfork_takes_its_parent_with_it() {
    let Some(report) = report(&["borrowed"]) else {
        return;
    };
    assert_eq!(stdout(&report), ["lender was killed by signal 9"]);
    assert_eq!(killed(&report), [2], "the parent, whose memory it is");
}

#[test]
fn the_first_process_is_no_exception() {
    let Some(report) = report(&["alone"]) else {
        return;
    };
    assert_eq!(report["program"]["signal"], 9);
    assert_eq!(killed(&report), [1]);
    assert_eq!(report["oom"]["kills"][0]["reason"], "worst");
}

#[test]
fn who_is_protected_dies_only_of_its_own_faults() {
    let Some(report) = report(&["alone", "-1000"]) else {
        return;
    };
    assert_eq!(report["program"]["signal"], 9);
    assert_eq!(killed(&report), [1]);
    assert_eq!(report["oom"]["kills"][0]["reason"], "own-fault");
}

#[test]
fn the_log_and_the_last_lines_tell() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let ran = Command::new(binary())
        .arg("run")
        .args(TINY)
        .args(["--console", "--", "./oom", "alone"])
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .output()
        .expect("the binary under test can be started");
    assert_eq!(ran.status.code(), Some(128 + 9), "{ran:?}");
    let stderr = String::from_utf8(ran.stderr).unwrap();
    let mut from = 0;
    for text in [
        "oom invoked oom-killer: gfp_mask=",
        "(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0",
        "Mem-Info:",
        "Node 0 HighMem free:",
        "4096 pages RAM",
        "Tasks state (memory values in pages):",
        "[      1]     0     1 ",
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),global_oom,task_memcg=/,task=oom,pid=1,uid=0",
        "Out of memory: Killed process 1 (oom) total-vm:",
        "pagelab: out of memory: killed process 1 (oom) at event ",
        "pagelab: ./oom was killed by signal 9; ",
    ] {
        let found = stderr[from..].find(text);
        from += found.unwrap_or_else(|| panic!("{text:?} is not in {stderr}"));
    }
}

#[test]
fn a_memory_group_has_its_own_limit_and_its_own_victims() {
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let flags = [&TINY[..], &["--memory-max", "5M"]].concat();
    let report = guest(folder, &flags, &["./oom", "group"]);
    assert_eq!(report["verdict"], "held", "{}", report["reasons"]);
    assert_eq!(
        stdout(&report),
        ["hog was killed by signal 9", "parent whole"]
    );
    assert_eq!(killed(&report), [2]);
    let kill = &report["oom"]["kills"][0];
    assert_eq!(kill["reason"], "worst-of-group");
    assert!(kill["anon_rss"].as_u64().unwrap() < 5 << 20, "{kill}");
    let groups = report["memory_groups"].as_array().unwrap();
    assert_eq!(groups.len(), 1, "{groups:?}");
    let bytes = |key: &str| groups[0][key].as_u64().unwrap();
    assert_eq!((bytes("max"), bytes("peak")), (5 << 20, 5 << 20));
    assert_eq!((bytes("current"), bytes("oom_kills")), (0, 1));
    assert!(bytes("max_events") > 0);
    // Most of the machine's memory was free all the while.
    let stalls = report["pressure"]["relief"]["allocstall"].as_u64().unwrap();
    assert_eq!(stalls, 0);
    let held = |audit: &&Value| audit["name"] == "memory-groups" && audit["outcome"] == "held";
    let audits = report["audits"].as_array().unwrap();
    assert!(audits.iter().filter(held).count() > 2);
}
