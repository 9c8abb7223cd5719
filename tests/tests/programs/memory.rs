//! Memory as a program sees it.

alike! {
    wrong_accesses_reach_the_handler: ["./faults"],
    the_heap_grows_and_shrinks: ["./heap"],
    the_stack_grows_to_its_limit: ["./stack"],
    areas_come_change_and_go: ["./maps"],
    fork_shares_and_copies: ["./fork_cow"],
    memory_has_its_limits: ["./limits"],
    another_processs_memory_is_reached: ["./process_vm"],
    children_copy: ["./undo", "copies"],
    private_pages_of_a_file_are_copied: ["./undo", "private-file"],
    pages_go_out_at_a_programs_wish: ["./undo", "swap"],
    rights_change_within_an_area: ["./undo", "rights"],
    rights_change_of_two_areas: ["./undo", "areas"],
    a_program_takes_anothers_place: ["./undo", "program"],
}

/// Linux checks them in this order since 6.17.
#[test]
fn wrong_arguments_of_mremap() {
    crate::compare::alike_unless("older order", &["./remap_errors"]);
}

/// QEMU's software CPU loads before it stores, so that Linux there takes two faults for each.
#[test]
fn what_is_read_and_written_back_is_one_fault() {
    crate::compare::alike_unless("new: 40 faults", &["./modify"]);
}
