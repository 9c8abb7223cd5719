//! Signals.

alike! {
    a_wild_store_kills: ["./killed", "segv"],
    an_undefined_instruction_kills: ["./killed", "ill"],
    a_division_by_zero_kills: ["./killed", "fpe"],
    sigkill_kills: ["./killed", "kill"],
    sigterm_kills: ["./killed", "term"],
    signals: ["./signals"],
    timers_fire: ["./timers"],
    signals_reach_handlers_or_kill: ["./signal_delivery"],
}
