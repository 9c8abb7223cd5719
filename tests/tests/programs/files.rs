//! Files and pipes.

alike! {
    files_in_tmp: ["./files"],
    pipes: ["./pipes"],
    fifos: ["./fifos"],
    locks: ["./locks"],
    names_relative_to_a_directory: ["./names_at"],
    seals: ["./seals"],
    what_is_ready_is_told: ["./poll"],
    files_have_owners: ["./owners"],
}

/// Linux has them since 6.3.
#[test]
fn seals_against_execution() {
    crate::compare::alike_unless("not known", &["./seals", "exec"]);
}
