//! A machine made of host memory, for tests and benchmarks. Not part of the guest.

mod arena;
mod disk;
mod machine;
mod store;
mod vmas;

pub use disk::TestDisk;
pub use machine::{BenchMachine, OomHook, TestMachine, boot, boot_with, violations, with_cpu};
pub use store::TestStore;
pub use vmas::VmaPool;
