//! Why an image cannot be read or written.

use std::{io, path::PathBuf};

use super::OutsideRam;

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file cannot be opened or mapped.
    #[error("cannot read image {path}: {source}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot save image {path}: {source}", path = path.display())]
    Save {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Raw memory comes in whole pages.
    #[error(
        "a raw image of {size} bytes is empty or truncated: \
         memory comes in whole pages of 4096 bytes"
    )]
    NotPageSized {
        /// Bytes found.
        size: u64,
    },
    /// The hole of a raw image is not made of pages.
    #[error("the hole {start:#x}-{end:#x} is empty or not page-aligned")]
    BadHole {
        /// First address.
        start: u64,
        /// End, exclusive.
        end: u64,
    },
    /// The file ends before the memory it announces.
    #[error(
        "image is truncated: its headers announce {expected} bytes, the file has {actual}; \
         copy or dump it again"
    )]
    Truncated {
        /// Bytes that the headers announce.
        expected: u64,
        /// Bytes that the file has.
        actual: u64,
    },
    /// The ELF structure cannot be parsed.
    #[error("image starts like an ELF file but cannot be parsed as one: {0}")]
    Elf(object::read::Error),
    /// A 32-bit ELF core.
    #[error(
        "image is a 32-bit ELF file; only 64-bit cores of x86-64 machines can be read \
         (was the guest in long mode when it was dumped?)"
    )]
    WrongClass,
    /// A core of another machine.
    #[error("image is an ELF core of machine type {machine}, not of x86-64 (62)")]
    WrongMachine {
        /// `e_machine`.
        machine: u16,
    },
    /// An ELF file that is not a core.
    #[error("image is an ELF file of type {found}, not a core dump (4)")]
    NotACore {
        /// `e_type`.
        found: u16,
    },
    /// A compressed dump.
    #[error(
        "image is a compressed kdump file; dump without -z, -l or -s, \
         or convert it to an ELF core with makedumpfile -E"
    )]
    Compressed,
    /// A core without memory.
    #[error("image is an ELF core without physical memory (no PT_LOAD segment with a whole page)")]
    NoMemory,
    /// A note of a known kind that is too short.
    #[error("the {name} note of the image has {size} bytes, at least {expected} are needed")]
    ShortNote {
        /// Name of the note.
        name: &'static str,
        /// Bytes found.
        size: usize,
        /// Bytes needed.
        expected: usize,
    },
    /// A note of a known kind and an unknown version.
    #[error("the {name} note of the image has version {found}, this program reads {expected}")]
    NoteVersion {
        /// Name of the note.
        name: &'static str,
        /// Version found.
        found: u32,
        /// Version known.
        expected: u32,
    },
    /// Nothing in the image and no option says where the page tables are.
    #[error("nothing in the image says where its page tables are; give --cr3")]
    NoCr3,
    /// The root page is of another version of the layouts.
    #[error(
        "the guest's root page at {gpa:#x} has layout version {found}, this program reads \
         {expected}; use the pagelab that made the image"
    )]
    WrongAbi {
        /// Where the root page is.
        gpa: u64,
        /// Version found.
        found: u32,
        /// Version of this program.
        expected: u32,
    },
    /// The place named as the root page is something else.
    #[error("there is no pagelab root page at {gpa:#x}")]
    NoRoot {
        /// The place.
        gpa: u64,
    },
    /// Something outside RAM was needed.
    #[error(transparent)]
    OutsideRam(#[from] OutsideRam),
}
