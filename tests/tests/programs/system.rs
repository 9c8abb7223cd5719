//! Calls about the machine, its limits and clocks.

alike! {
    small_calls_answer_as_linux_does: ["./small_calls"],
}
