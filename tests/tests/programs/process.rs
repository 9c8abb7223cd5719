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
    exec: ["./exec"],
    scripts_name_who_runs_them: ["./scripts"],
    files_that_are_no_programs_are_refused: ["./bad_programs"],
    exec_replaces_a_program: ["./exec_arguments"],
    proc_tells_of_this_process_and_of_another: ["./processes"],
    children_are_born_end_and_are_waited_for: ["./children"],
}

#[test]
fn a_position_independent_program_runs() {
    alike_as(Build::Pie, &["./exec_arguments"]);
    alike_as(Build::Pie, &["./arguments", "one"]);
}

/// Linux gets further with these before it gives up, or runs them; here they are no programs.
#[test]
fn what_cannot_be_loaded_is_refused_before_anything_is_lost() {
    for build in [Build::Glibc, Build::Musl] {
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
