//! Why a program cannot be run.

use crate::size::ByteSize;
use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why a program cannot be run.
#[derive(Debug, Error)]
pub enum ProgramError {
    /// There is none for what goes with it.
    #[error("--env and --file are for a program, and none is named; write it behind --")]
    NoProgram,
    /// The program, or a file that goes with it, cannot be used.
    #[error("program {}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Problem,
    },
}

impl ProgramError {
    pub(super) fn new(path: &Path, problem: Problem) -> Self {
        Self::File {
            path: path.to_owned(),
            problem,
        }
    }
}

/// What is wrong with a file.
#[derive(Debug, Error)]
pub enum Problem {
    /// It cannot be opened or read.
    #[error("{0}; check the path and its permissions")]
    Read(#[from] io::Error),
    /// It is a directory, a device or a pipe.
    #[error("is not a regular file; give the path of a static Linux program")]
    NotAFile,
    /// It could not be handed over.
    #[error("has {}, more than fits in low memory (896M); give a smaller file", ByteSize(*.0))]
    TooLarge(u64),
    /// There is a file of this path already.
    #[error("would be {0} in the guest, which is taken; name another path: --file HOST:/GUEST")]
    Taken(String),
    /// An argument or variable is longer than Linux allows.
    #[error(
        "an argument or variable has {len} bytes, at most {max} are possible; put it in a file (--file)"
    )]
    StringTooLong {
        /// Its bytes.
        len: u64,
        /// The most.
        max: u64,
    },
    /// All arguments and variables together are longer than Linux allows.
    #[error(
        "arguments and environment take {len} bytes, at most {max} are possible; put them in a file (--file)"
    )]
    StringsTooLong {
        /// Their bytes, with the pointers to them.
        len: u64,
        /// The most.
        max: u64,
    },
    /// It does not start as an ELF does.
    #[error("is not an ELF file: it starts with {0}; give a static Linux program for x86-64")]
    NotElf(String),
    /// It begins with `#!`.
    #[error(
        "is a script; run its interpreter, built with -static, and hand the script over with --file"
    )]
    Script,
    /// It ends before something that its headers announce.
    #[error(
        "is truncated: {what} ends at byte {end:#x}, the file at {len:#x}; copy or build it again"
    )]
    Truncated {
        /// What lies beyond the end.
        what: &'static str,
        /// Where it ends.
        end: u64,
        /// Bytes in the file.
        len: u64,
    },
    /// The wrong class, byte order, machine or type.
    #[error("is {0}; build it as a program for x86-64 Linux (64-bit)")]
    Wrong(String),
    /// The program headers cannot be read.
    #[error("its program headers at {offset:#x} are damaged: {why}; build it again")]
    ProgramHeaders {
        /// Offset in the file.
        offset: u64,
        /// What is wrong with them.
        why: &'static str,
    },
    /// It asks for a dynamic linker.
    #[error(
        "is dynamic: it asks for the interpreter {0}, which the guest has not; link it with -static"
    )]
    Interpreter(String),
    /// It asks for shared libraries.
    #[error("needs shared libraries, which the guest has not; link it with -static")]
    SharedLibraries,
    /// There is nothing to load.
    #[error("has no segment to load; link it as an executable, with -static")]
    NoSegments,
    /// A segment that no kernel can load.
    #[error(
        "segment {:#x}..{:#x} {why}; build it again, with the linker's own script", segment.start, segment.end
    )]
    Segment {
        /// Its addresses; the end saturates.
        segment: Range<u64>,
        /// What is wrong with it.
        why: String,
    },
    /// The entry point is not in an executable segment.
    #[error("its entry point {0:#x} lies in no executable segment; build it again")]
    EntryOutside(u64),
    /// The archive cannot be written.
    #[error("cannot be packed: {0}")]
    Pack(io::Error),
}
