//! Processes: how they begin and end.

use super::alike;

#[test]
fn hello() {
    alike(&["./hello"]);
}

#[test]
fn the_status_is_the_programs() {
    alike(&["./exit_status"]);
    alike(&["./exit_status", "77"]);
    alike(&["./exit_status", "300"]);
    alike(&["./exit_status", "abort"]);
}

#[test]
fn arguments_and_environment_arrive() {
    alike(&["./arguments"]);
    alike(&["./arguments", "one", "two words", "", "-x=1", "--"]);
}

#[test]
fn what_kills_a_program_is_told() {
    for how in ["segv", "ill", "fpe", "kill", "term"] {
        alike(&["./killed", how]);
    }
}

#[test]
fn signals() {
    alike(&["./signals"]);
}

#[test]
fn exec() {
    alike(&["./exec"]);
}
