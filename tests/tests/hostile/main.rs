//! Guests that are broken or mean harm: each ends with a report, and never with a panic or a hang of the
//! VMM. Every case is generated from a seed, which a failure names.

mod asm;
mod balloon;
mod block;
mod command;
mod corrupt;
mod cpu;
mod io;
mod random;
mod root;
mod survive;
mod virtio;
