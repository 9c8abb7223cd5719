//! A program's segments become memory.

use super::image::Image;
use crate::{fs::ExecFile, task::Space};
use elf::{
    abi::{PF_R, PF_W, PF_X},
    segment::ProgramHeader,
};
use pagelab_abi::{
    PAGE_SIZE,
    errno::Errno,
    mman::{MapFlags, Prot},
};
use pagelab_mm::user_mm::MmapRequest;

/// What a program's stack says of it.
pub(super) struct Program {
    pub(super) entry: u64,
    pub(super) headers_at: u64,
    pub(super) header_count: u64,
}

/// Loads all segments and sets the start of the heap.
///
/// # Errors
/// ENOMEM.
pub(super) fn load(image: &Image, file: &ExecFile, space: &mut Space) -> Result<Program, Errno> {
    let mut end = 0;
    for segment in image.segments() {
        end = load_segment(image.bias, &segment, file, space)?;
    }
    space.set_brk_start(end);
    Ok(Program {
        entry: image.entry(),
        headers_at: image.headers_at(),
        header_count: image.header_count(),
    })
}

/// Maps a segment: the file's pages, each of them a copy of its own once it is written, and zeros
/// behind them. Returns the page-aligned end.
fn load_segment(
    bias: u64,
    segment: &ProgramHeader,
    file: &ExecFile,
    space: &mut Space,
) -> Result<u64, Errno> {
    let at = segment.p_vaddr + bias;
    let start = at & !(PAGE_SIZE - 1);
    let end = (at + segment.p_memsz).next_multiple_of(PAGE_SIZE);
    let rights = rights(segment.p_flags);
    let mut zeros = start;
    if segment.p_filesz > 0 {
        let content_end = at + segment.p_filesz;
        zeros = content_end.next_multiple_of(PAGE_SIZE);
        // Both are as far from a page's start.
        let first = (segment.p_offset - (at - start)) / PAGE_SIZE;
        let private = MapFlags::PRIVATE;
        let request = MmapRequest::of_file(zeros - start, rights, private, file.id(), first);
        space.mmap(&request.fixed(start))?;
        let has_zeros = segment.p_memsz > segment.p_filesz;
        if has_zeros && rights.contains(Prot::WRITE) {
            let rest = (zeros - content_end) as usize;
            space.clear(content_end, rest).map_err(|_| Errno::ENOMEM)?;
        }
    }
    if zeros < end {
        space.mmap(&MmapRequest::anonymous(end - zeros, rights).fixed(zeros))?;
    }
    Ok(end)
}

fn rights(flags: u32) -> Prot {
    let mut rights = Prot::empty();
    rights.set(Prot::READ, flags & PF_R != 0);
    rights.set(Prot::WRITE, flags & PF_W != 0);
    rights.set(Prot::EXEC, flags & PF_X != 0);
    rights
}
