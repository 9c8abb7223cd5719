//! Static Linux programs, each run by Linux itself and in the guest: where a program can tell the
//! difference, it is a bug.

mod compare;
mod files;
mod memory;
mod process;
mod report;

use compare::{SMALL, alike, guest, programs};
