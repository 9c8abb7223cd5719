//! What the operations of virtual memory cost, in ticks of the time-stamp counter.
//!
//! `pagelab bench vm` runs it on Linux and in the guest. Each line of its output is a name, a number of
//! operations, and the ticks that they took together; the first is a loop with its number of instructions.
#![cfg_attr(pagelab_program, no_std, no_main)]

mod clock;
mod operations;

use operations::OPERATIONS;
use pagelab_programs::{out, program};

program!(measure_all);

fn measure_all() -> i32 {
    match clock::ticks_of_a_loop() {
        Ok(ticks) => out::line(format_args!("loop {} {ticks}", clock::LOOP_INSTRUCTIONS)),
        Err(_) => return 1,
    };
    for operation in OPERATIONS {
        match (operation.measure)(operation.count) {
            Ok(ticks) => {
                if !out::line(format_args!(
                    "{} {} {ticks}",
                    operation.name, operation.count
                )) {
                    return 1;
                }
            }
            Err(errno) => {
                out::error(format_args!("bench-vm: {}: {errno}", operation.name));
                return 1;
            }
        }
    }
    0
}
