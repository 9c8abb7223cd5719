//! What pagelab's own ring-3 programs stand on: a static Linux program needs no C library.
//!
//! * `start`: the entry point and what the compiler expects of a C library.
//! * [`sys`]: the system calls that the programs use.
//! * [`out`]: lines on standard output.
//!
//! A binary names its own function with [`program!`].
//!
//! One thread. Nothing here allocates.
#![cfg_attr(pagelab_program, no_std)]

pub mod out;
#[cfg(pagelab_program)]
pub mod start;
pub mod sys;

/// Makes a function without arguments, which returns the exit status, the program: for a binary with
/// `#![cfg_attr(pagelab_program, no_std, no_main)]`.
#[macro_export]
macro_rules! program {
    ($function:ident) => {
        #[cfg(not(pagelab_program))]
        fn main() {
            pagelab_programs::sys::exit($function());
        }

        /// What the entry point calls.
        #[cfg(pagelab_program)]
        #[unsafe(no_mangle)]
        fn pagelab_program() -> i32 {
            $function()
        }
    };
}
