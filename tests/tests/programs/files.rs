//! Files and pipes.

alike! {
    files_in_tmp: ["./files"],
    pipes: ["./pipes"],
    what_is_ready_is_told: ["./poll"],
    files_have_owners: ["./owners"],
}
