//! Snapshots in files.
//!
//! ```text
//!  MAGIC                8 bytes
//!  version              u32, little-endian, as all numbers
//!  length of the header u64
//!  header               JSON: registers, devices, CPU features, how many pages and blocks follow
//!  pages                region u32, page u64, 4096 bytes; those that are not zero
//!  blocks               disk u32 (0 swap, 1 files), block u64, 4096 bytes; those that are not zero
//!  checksum             SHA-256 of all before it
//! ```
//!
//! A file is read for as long as it makes sense, and refused by what is wrong with it. Nothing in it is
//! trusted beyond what a hostile guest could do as well.

mod error;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use error::SnapshotFileError;

use std::ops::Range;

use kvm_bindings::kvm_cpuid_entry2;
use serde::{Deserialize, Serialize};

use super::RunState;
use super::cpu::CpuState;
use super::devices::DevicesState;
use crate::machine::kernel::Kernel;
use crate::machine::machine::Settings;

/// First bytes of a file.
const MAGIC: [u8; 8] = *b"PLABSNP\x1a";

/// Version of the format. Any change of what is in the header is one of the format.
const VERSION: u32 = 1;

/// Longest header in bytes: some hundred KiB, and what programs have written, of at most 16 MiB each, in
/// up to four characters a byte.
const MAX_HEADER: u64 = 256 << 20;

/// Bytes of the checksum.
const SUM: usize = 32;

/// What is in the header.
#[derive(Serialize, Deserialize)]
struct Header<C, D> {
    ranges: Vec<Range<u64>>,
    pages: u64,
    /// Bytes of the disks, and whether they can only be read.
    disks: [Option<(u64, bool)>; 2],
    blocks: u64,
    cpuid: Vec<kvm_cpuid_entry2>,
    cpu: C,
    devices: D,
    run: RunState,
    kernel: Kernel,
    settings: Settings,
    /// Whatever the writer wants to tell the reader.
    note: String,
}

/// A header that was read.
type OwnedHeader = Header<CpuState, DevicesState>;
