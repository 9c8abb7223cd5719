//! Processes: how they begin and end.

use super::{Build, alike_as};

alike! {
    hello: ["./hello"],
    the_status_is_the_programs: ["./exit_status"],
    a_status_is_a_byte: ["./exit_status", "300"],
    a_status_is_the_arguments: ["./exit_status", "77"],
    an_abort_is_a_signal: ["./exit_status", "abort"],
    no_arguments_arrive: ["./arguments"],
    arguments_and_environment_arrive: ["./arguments", "one", "two words", "", "-x=1", "--"],
    exec: ["./exec"],
    exec_replaces_a_program: ["./exec_arguments"],
    proc_tells_of_this_process_and_of_another: ["./processes"],
    children_are_born_end_and_are_waited_for: ["./children"],
}

#[test]
fn a_position_independent_program_runs() {
    alike_as(Build::Pie, &["./exec_arguments"]);
    alike_as(Build::Pie, &["./arguments", "one"]);
}
