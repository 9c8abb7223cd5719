//! Memory as a program sees it.

use super::alike;

#[test]
fn wrong_accesses_reach_the_handler() {
    alike(&["./faults"]);
}

#[test]
fn the_heap_grows_and_shrinks() {
    alike(&["./heap"]);
}

#[test]
fn the_stack_grows_to_its_limit() {
    alike(&["./stack"]);
}

#[test]
fn areas_come_change_and_go() {
    alike(&["./maps"]);
}

#[test]
fn fork_shares_and_copies() {
    alike(&["./fork_cow"]);
}
