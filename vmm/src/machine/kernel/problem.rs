//! What can be wrong with a kernel file.

use std::io;
use std::ops::Range;

use pagelab_abi::platform::{MMIO_BASE, MMIO_END};
use thiserror::Error;

use crate::size::ByteSize;

/// Why a kernel cannot be used.
#[derive(Debug, Error)]
#[error("guest kernel {name}: {problem}")]
pub struct KernelError {
    /// The file.
    pub name: String,
    /// What is wrong with it.
    pub problem: KernelProblem,
}

/// What is wrong with a kernel.
#[derive(Debug, Error)]
pub enum KernelProblem {
    /// The file cannot be opened or read.
    #[error("{0}; check the path and its permissions")]
    Read(#[from] io::Error),
    /// It is a directory, a device or a pipe.
    #[error("is not a regular file; give the path of an ELF file")]
    NotAFile,
    /// It does not start as an ELF does.
    #[error("is not an ELF file: it starts with bytes {0}; give an uncompressed ELF (vmlinux)")]
    NotElf(String),
    /// It ends before something that its headers announce.
    #[error("is truncated: {what} ends at byte {end:#x}, the file at {len:#x}; copy it again")]
    Truncated {
        /// What lies beyond the end.
        what: &'static str,
        /// Where it ends.
        end: u64,
        /// Bytes in the file.
        len: u64,
    },
    /// The wrong class, byte order, type or machine.
    #[error("is {found}; a 64-bit x86-64 executable is needed")]
    Wrong {
        /// What it is instead.
        found: String,
    },
    /// The program headers cannot be read.
    #[error("its program headers at {offset:#x} are damaged: {why}; build it again")]
    ProgramHeaders {
        /// Offset in the file.
        offset: u64,
        /// What is wrong with them.
        why: &'static str,
    },
    /// There is nothing to load.
    #[error("has no segment to load; link it as an executable")]
    NoSegments,
    /// No note says where to start.
    #[error("has no PVH entry note (XEN_ELFNOTE_PHYS32_ENTRY); for Linux, build with CONFIG_PVH=y")]
    NoPvhNote,
    /// The note is there, but not usable.
    #[error("its notes are damaged: {0}; build it again")]
    BadNote(&'static str),
    /// A segment holds more bytes in the file than in memory.
    #[error("segment at {start:#x} has {filesz:#x} bytes in the file but {memsz:#x} in memory")]
    SegmentSize {
        /// Physical address.
        start: u64,
        /// Bytes in the file.
        filesz: u64,
        /// Bytes in memory.
        memsz: u64,
    },
    /// A segment goes beyond the last address.
    #[error("segment at {start:#x} of {size:#x} bytes wraps around the address space")]
    SegmentWraps {
        /// Physical address.
        start: u64,
        /// Bytes in memory.
        size: u64,
    },
    /// A segment does not fit in the machine.
    #[error(
        "segment {:#x}..{:#x} does not fit in a memory of {}; give more memory",
        segment.start, segment.end, ByteSize(*memory)
    )]
    SegmentOutside {
        /// Physical addresses of the segment.
        segment: Range<u64>,
        /// Bytes of memory.
        memory: u64,
    },
    /// A segment lies where devices are.
    #[error(
        "segment {:#x}..{:#x} overlaps the device hole {MMIO_BASE:#x}..{MMIO_END:#x}; \
         link it elsewhere", segment.start, segment.end
    )]
    SegmentInHole {
        /// Physical addresses of the segment.
        segment: Range<u64>,
    },
    /// A segment lies where the boot information goes.
    #[error(
        "segment {:#x}..{:#x} overlaps the boot area {:#x}..{:#x}; link it elsewhere",
        segment.start, segment.end, area.start, area.end
    )]
    SegmentInBootArea {
        /// Physical addresses of the segment.
        segment: Range<u64>,
        /// Physical addresses of the boot area.
        area: Range<u64>,
    },
    /// The entry point is in no segment.
    #[error("its PVH entry point {0:#x} lies in no segment; check the linker script")]
    EntryOutside(u64),
    /// The loader refused what the checks let through.
    #[error("cannot be loaded: {0}")]
    Load(#[from] linux_loader::loader::Error),
}
