//! Static Linux programs, each run by Linux itself and in the guest: where a program can tell the
//! difference, it is a bug. Compared are standard output, standard error, and how it ended; and all
//! audits have to hold.
//!
//! To add a program: put one C file into `tests/programs`, and one line into the list of the module
//! here that fits:
//!
//! ```text
//! what_it_shows: ["./name", "first argument"],
//! ```
//!
//! It is built with glibc and, where `musl-gcc` is there, with musl, and both are compared (see
//! [`compare::libraries`]). So it
//! must print nothing that one Linux machine prints otherwise than another: no addresses, process
//! numbers, times or sizes of the machine.

/// Tests that each compare a program, named with its arguments, here and there.
macro_rules! alike {
    ($($name:ident: [$($argument:expr),+ $(,)?],)+) => {
        $(
            #[test]
            fn $name() {
                crate::compare::alike(&[$($argument),+]);
            }
        )+
    };
}

mod advice;
mod bitflips;
mod busybox;
mod calls;
mod compare;
mod disk;
mod failures;
mod files;
mod host_faults;
mod isolation;
mod memory;
mod memory_failure;
mod moments;
mod oom;
mod pressure;
mod process;
mod repeat;
mod report;
mod signals;
mod sources;
mod stop;
mod swap;
mod system;
mod thp;

use compare::{Build, SMALL, alike_as, alike_in, alike_on, guest, programs};
