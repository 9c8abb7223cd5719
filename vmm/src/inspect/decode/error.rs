//! Why a guest's structures cannot be decoded.

use crate::inspect::image::{ImageError, OutsideRam};

/// Why a guest's structures cannot be decoded. Addresses are guest-physical.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// There is no usable root page.
    #[error(transparent)]
    Root(#[from] ImageError),
    /// No root page at all.
    #[error(
        "there is no pagelab root page below 896 MiB: the guest is another kernel, or has not \
         been loaded yet"
    )]
    NoRoot,
    /// The guest is still in its early boot.
    #[error(
        "the memory manager is not up yet (the root page at {root:#x} does not point to it); \
         inspect after the guest has rung Ready"
    )]
    NotReady {
        /// The root page.
        root: u64,
    },
    /// A structure lies outside RAM.
    #[error("the {what} cannot be read: {source}")]
    Unreadable {
        /// Linux's name of the structure.
        what: &'static str,
        /// Where it should have been.
        #[source]
        source: OutsideRam,
    },
    /// The memory manager's structures have another version than the root page.
    #[error(
        "the memory manager's state at {gpa:#x} has layout version {found}, this program reads \
         {expected}"
    )]
    Version {
        /// Where the state is.
        gpa: u64,
        /// Version found.
        found: u32,
        /// Version of this program.
        expected: u32,
    },
    /// A field that all others depend on has an impossible value.
    #[error("{field} of {what} at {gpa:#x} is {found}, but must be {expected}")]
    Field {
        /// Name of the structure.
        what: &'static str,
        /// Where it is.
        gpa: u64,
        /// Name of the field.
        field: &'static str,
        /// Its value.
        found: u64,
        /// What it may be.
        expected: String,
    },
}

impl DecodeError {
    /// For `map_err` of a read: names the structure.
    pub(super) fn unreadable(what: &'static str) -> impl FnOnce(OutsideRam) -> Self {
        move |source| Self::Unreadable { what, source }
    }
}
