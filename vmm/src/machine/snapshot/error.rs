//! Why a snapshot cannot be taken or used.

use std::io;

use thiserror::Error;

use crate::devices::state::StateError;
use crate::machine::MachineError;
use crate::machine::host::HostError;

/// Why a snapshot cannot be taken, gone back to, or forked.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The machine has ended.
    #[error("the machine has ended; take a snapshot before its end")]
    Ended,
    /// The snapshot is of a machine with other memory or another CPU.
    #[error(
        "the snapshot is of a machine with other memory or another CPU; fork it instead of \
         restoring it here"
    )]
    OtherMachine,
    /// The host has no memory for the pages.
    #[error(
        "cannot keep {bytes} bytes of guest memory: {source}; end other programs, or give the \
         machine less memory"
    )]
    Memory {
        /// Bytes of the machine's memory.
        bytes: u64,
        /// What the host said.
        source: io::Error,
    },
    /// The guest's pages cannot be made what they were.
    #[error("cannot discard guest memory: {0}; raise the sysctl vm.max_map_count")]
    Discard(io::Error),
    /// A device cannot have the state.
    #[error("the snapshot cannot be this machine's: {0}")]
    State(#[from] StateError),
    /// The vCPU did not come to rest.
    #[error("the CPU did not finish its last access: {0}")]
    Unfinished(io::Error),
    /// A machine could not be made.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// KVM refused something.
    #[error(transparent)]
    Host(#[from] HostError),
}
