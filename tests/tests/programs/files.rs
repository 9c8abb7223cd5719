//! Files and pipes.

alike! {
    files_in_tmp: ["./files"],
    pipes: ["./pipes"],
}
