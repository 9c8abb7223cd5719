//! A program's segments become memory.

use super::image::Image;
use crate::{fs::ExecFile, task::Space};
use elf::{
    abi::{PF_R, PF_W, PF_X},
    segment::ProgramHeader,
};
use pagelab_abi::{PAGE_SIZE, errno::Errno, mman::Prot};
use pagelab_mm::user_mm::MmapRequest;

/// Bytes that are copied at once.
const CHUNK: usize = 1024;

/// What a program's stack says of it.
pub(super) struct Program {
    pub(super) entry: u64,
    pub(super) headers_at: u64,
    pub(super) header_count: u64,
}

/// Loads all segments and sets the start of the heap.
///
/// # Errors
/// ENOMEM; ENOEXEC if the file is shorter than it was.
pub(super) fn load(image: &Image, file: &ExecFile, space: &mut Space) -> Result<Program, Errno> {
    let mut end = 0;
    for segment in image.segments() {
        end = load_segment(image.bias, segment, file, space)?;
    }
    space.set_brk_start(end);
    Ok(Program {
        entry: image.entry(),
        headers_at: image.headers_at(),
        header_count: image.header_count(),
    })
}

/// Returns the page-aligned end.
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
    let writable = rights | Prot::WRITE;
    space.mmap(&MmapRequest::anonymous(end - start, writable).fixed(start))?;
    // From the start of the page: what is in front of the segment is in the file, too.
    let first = segment.p_offset - (at - start);
    let bytes = segment.p_filesz + (at - start);
    let bytes = if segment.p_filesz == 0 { 0 } else { bytes };
    let mut done = 0;
    while done < bytes {
        let mut buffer = [0; CHUNK];
        let part = &mut buffer[..(bytes - done).min(CHUNK as u64) as usize];
        if file.read_at(first + done, part)? != part.len() {
            return Err(Errno::ENOEXEC);
        }
        space.write(start + done, part).map_err(|_| Errno::ENOMEM)?;
        done += part.len() as u64;
    }
    if rights != writable {
        let _ = space.mprotect(start, end - start, rights);
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
