//! Processes: how they begin and end.

use super::{Build, SMALL, alike_as, guest, programs};

alike! {
    hello: ["./hello"],
    the_status_is_the_programs: ["./exit_status"],
    a_status_is_a_byte: ["./exit_status", "300"],
    a_status_is_the_arguments: ["./exit_status", "77"],
    an_abort_is_a_signal: ["./exit_status", "abort"],
    no_arguments_arrive: ["./arguments"],
    arguments_and_environment_arrive: ["./arguments", "one", "two words", "", "-x=1", "--"],
    futexes_between_processes: ["./futexes"],
    own_time_stands_while_a_process_sleeps: ["./cpu_timers"],
    a_sequence_is_restarted_elsewhere: ["./rseq"],
    what_a_process_has_used_and_said_is_told: ["./own_state"],
    calls_of_c_libraries: ["./process_calls"],
    exec: ["./exec"],
    scripts_name_who_runs_them: ["./scripts"],
    files_that_are_no_programs_are_refused: ["./bad_programs"],
    exec_replaces_a_program: ["./exec_arguments"],
    proc_tells_of_this_process_and_of_another: ["./processes"],
    children_are_born_end_and_are_waited_for: ["./children"],
}

/// Only root can become somebody else.
#[test]
fn users_and_groups_bind_all_but_root() {
    crate::compare::alike_unless("not root", &["./credentials"]);
}

#[test]
fn a_position_independent_program_runs() {
    alike_as(Build::Pie, &["./exec_arguments"]);
    alike_as(Build::Pie, &["./arguments", "one"]);
}

/// Linux gets further with these before it gives up, or runs them; here they are no programs.
#[test]
fn what_cannot_be_loaded_is_refused_before_anything_is_lost() {
    for &build in crate::compare::libraries(&["./bad_programs"]) {
        let Some(folder) = programs(build) else {
            return;
        };
        let report = guest(folder, &SMALL, &["./bad_programs", "odd"]);
        assert_eq!(report["verdict"], "held", "{}", report["reasons"]);
        let text = report["program"]["stdout"].as_str().unwrap();
        assert_eq!(text.lines().count(), 11, "{text}");
        assert!(
            text.lines().all(|line| line.ends_with(": errno 8")),
            "{text}"
        );
    }
}

#[test]
fn processes_that_wait_for_each_other_for_ever_are_named() {
    for (argument, waiters) in [
        (
            "pipe",
            "1 (deadlock) for a child, 2 (deadlock) for a pipe or a lock",
        ),
        ("futex", "1 (deadlock) at the futex 0x"),
        ("stop", "1 (deadlock) for a child, 2 (deadlock) for SIGCONT"),
        ("signal", "1 (deadlock) for a signal"),
    ] {
        let Some(folder) = programs(Build::Glibc) else {
            return;
        };
        let report = guest(folder, &SMALL, &["./deadlock", argument]);
        assert_eq!(report["verdict"], "deadlocked", "{}", report["reasons"]);
        let reason = report["reasons"][0].as_str().unwrap();
        assert!(reason.contains(waiters), "{reason}");
        assert_eq!(report["program"]["stdout"], "begins\n");
        assert_eq!(report["program"]["signal"], 9);
        let audits = report["audits"].as_array().unwrap();
        assert!(audits.iter().all(|audit| audit["outcome"] == "held"));
    }
    let Some(folder) = programs(Build::Glibc) else {
        return;
    };
    let program = folder.join("deadlock");
    let program = program.to_str().unwrap();
    let ran = pagelab_tests::pagelab(&["run", "--memory", "64M", "--", program]);
    assert_eq!(ran.status, Some(8), "{ran:?}");
    assert!(ran.stderr.contains("DEADLOCKED"), "{ran:?}");
    assert!(ran.stderr.contains("1 (deadlock) for a"), "{ran:?}");
}

#[test]
fn a_thread_is_an_error_to_who_asks_for_one() {
    for &build in crate::compare::libraries(&["./threads"]) {
        let Some(folder) = programs(build) else {
            return;
        };
        let report = guest(folder, &SMALL, &["./threads"]);
        assert_eq!(report["verdict"], "held", "{}", report["reasons"]);
        assert_eq!(report["program"]["status"], 0, "{}", report["program"]);
        let text = report["program"]["stdout"].as_str().unwrap();
        assert!(text.starts_with("no thread: "), "{text}");
    }
}
