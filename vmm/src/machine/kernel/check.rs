//! The checks, made before anything is loaded.

use std::io;
use std::ops::Range;

use object::elf::{self, FileHeader64, ProgramHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{LittleEndian, ReadRef};
use pagelab_abi::platform::{MMIO_BASE, MMIO_END};

use super::{KernelLayout, KernelProblem, Room};

/// Note type that holds the PVH entry point (Xen, `XEN_ELFNOTE_PHYS32_ENTRY` in
/// xen/include/public/elfnote.h).
const XEN_ELFNOTE_PHYS32_ENTRY: u32 = 18;

/// Bytes of `e_ident`.
const IDENT_LEN: u64 = 16;

const LE: LittleEndian = LittleEndian;

/// Checks everything that the loader relies on.
pub(super) fn check<'data, R: ReadRef<'data>>(
    data: R,
    room: &Room<'_>,
) -> Result<KernelLayout, KernelProblem> {
    let len = data
        .len()
        .map_err(|()| io::Error::other("its length cannot be read"))?;
    let header = check_header(data, len)?;
    let segments = program_headers(header, data, len)?;
    // Before the segments: that of a program is wrong in every way, but this way says it best.
    let entry = pvh_entry(segments, data, len)?;
    let mut loaded = Vec::new();
    for segment in segments {
        if segment.p_type(LE) == elf::PT_LOAD {
            loaded.extend(check_segment(segment, len, room)?);
        }
    }
    let end = loaded.iter().map(|range| range.end).max();
    let end = end.ok_or(KernelProblem::NoSegments)?;
    if !loaded.iter().any(|range| range.contains(&entry)) {
        return Err(KernelProblem::EntryOutside(entry));
    }
    Ok(KernelLayout { entry, end })
}

fn check_header<'data, R: ReadRef<'data>>(
    data: R,
    len: u64,
) -> Result<&'data FileHeader64<LittleEndian>, KernelProblem> {
    let start = data.read_bytes_at(0, len.min(4)).unwrap_or_default();
    if start != elf::ELFMAG {
        let bytes: Vec<_> = start.iter().map(|byte| format!("{byte:02x}")).collect();
        return Err(KernelProblem::NotElf(bytes.join(" ")));
    }
    let truncated = |end| KernelProblem::Truncated {
        what: "the ELF header",
        end,
        len,
    };
    // The class comes first: a 32-bit header is shorter.
    let ident = data.read_bytes_at(0, IDENT_LEN);
    let ident = ident.map_err(|()| truncated(IDENT_LEN))?;
    let (class, order) = (ident[4], ident[5]);
    let wrong = |found: String| Err(KernelProblem::Wrong { found });
    if class == elf::ELFCLASS32.0 {
        return wrong("a 32-bit ELF".into());
    }
    if class != elf::ELFCLASS64.0 {
        return wrong(format!("an ELF of unknown class {class}"));
    }
    if order != elf::ELFDATA2LSB.0 {
        return wrong("not little-endian".into());
    }
    let header: &FileHeader64<LittleEndian> = data
        .read_at(0)
        .map_err(|()| truncated(size_of::<FileHeader64<LittleEndian>>() as u64))?;
    let machine = header.e_machine(LE);
    if machine != elf::EM_X86_64 {
        return wrong(format!("for another machine (ELF machine {})", machine.0));
    }
    let kind = header.e_type(LE);
    if kind != elf::ET_EXEC && kind != elf::ET_DYN {
        return wrong(format!("not an executable (ELF type {})", kind.0));
    }
    Ok(header)
}

fn program_headers<'data, R: ReadRef<'data>>(
    header: &FileHeader64<LittleEndian>,
    data: R,
    len: u64,
) -> Result<&'data [ProgramHeader64<LittleEndian>], KernelProblem> {
    let offset = header.e_phoff(LE);
    let count = u64::from(header.e_phnum(LE));
    if offset == 0 || count == 0 {
        return Err(KernelProblem::NoSegments);
    }
    let damaged = |why| KernelProblem::ProgramHeaders { offset, why };
    if count == u64::from(elf::PN_XNUM) {
        return Err(damaged("there are too many of them"));
    }
    if offset < size_of::<FileHeader64<LittleEndian>>() as u64 {
        return Err(damaged("they overlap the file header"));
    }
    let entry = size_of::<ProgramHeader64<LittleEndian>>() as u64;
    if u64::from(header.e_phentsize(LE)) != entry {
        return Err(damaged("an entry has the wrong size"));
    }
    let end = offset.saturating_add(count * entry);
    if end > len {
        let what = "the program header table";
        return Err(KernelProblem::Truncated { what, end, len });
    }
    header
        .program_headers(LE, data)
        .map_err(|_| damaged("they are not aligned"))
}

/// The physical range of a segment, or `None` if it is empty.
fn check_segment(
    segment: &ProgramHeader64<LittleEndian>,
    len: u64,
    room: &Room<'_>,
) -> Result<Option<Range<u64>>, KernelProblem> {
    let start = segment.p_paddr(LE);
    let (offset, filesz) = segment.file_range(LE);
    let memsz = segment.p_memsz(LE);
    if filesz > memsz {
        return Err(KernelProblem::SegmentSize {
            start,
            filesz,
            memsz,
        });
    }
    let end = offset.saturating_add(filesz);
    if end > len {
        let what = "a segment";
        return Err(KernelProblem::Truncated { what, end, len });
    }
    let size = memsz;
    let Some(end) = start.checked_add(size) else {
        return Err(KernelProblem::SegmentWraps { start, size });
    };
    let segment = start..end;
    if segment.is_empty() {
        return Ok(None);
    }
    if segment.start < MMIO_END && segment.end > MMIO_BASE {
        return Err(KernelProblem::SegmentInHole { segment });
    }
    let fits = |ram: &Range<u64>| ram.start <= segment.start && segment.end <= ram.end;
    if !room.ram.iter().any(fits) {
        let memory = room.ram.iter().map(|ram| ram.end - ram.start).sum();
        return Err(KernelProblem::SegmentOutside { segment, memory });
    }
    if segment.start < room.boot_area.end && segment.end > room.boot_area.start {
        let area = room.boot_area.clone();
        return Err(KernelProblem::SegmentInBootArea { segment, area });
    }
    Ok(Some(segment))
}

fn pvh_entry<'data, R: ReadRef<'data>>(
    segments: &[ProgramHeader64<LittleEndian>],
    data: R,
    len: u64,
) -> Result<u64, KernelProblem> {
    for segment in segments {
        if segment.p_type(LE) != elf::PT_NOTE {
            continue;
        }
        let (offset, size) = segment.file_range(LE);
        let end = offset.saturating_add(size);
        if end > len {
            let what = "a note segment";
            return Err(KernelProblem::Truncated { what, end, len });
        }
        let notes = segment
            .notes(LE, data)
            .map_err(|_| KernelProblem::BadNote("their alignment is neither 4 nor 8"))?;
        for note in notes.into_iter().flatten() {
            let note = note.map_err(|_| KernelProblem::BadNote("a note is longer than they"))?;
            if note.name() == b"Xen" && note.n_type(LE).0 == XEN_ELFNOTE_PHYS32_ENTRY {
                return entry_of(note.desc());
            }
        }
    }
    Err(KernelProblem::NoPvhNote)
}

/// Linux writes the entry as 4 or 8 bytes, depending on its word size.
fn entry_of(desc: &[u8]) -> Result<u64, KernelProblem> {
    let entry = match (desc.first_chunk::<8>(), desc.first_chunk::<4>()) {
        (Some(bytes), _) => u64::from_le_bytes(*bytes),
        (None, Some(bytes)) => u32::from_le_bytes(*bytes).into(),
        (None, None) => return Err(KernelProblem::BadNote("the PVH entry is too short")),
    };
    match u32::try_from(entry) {
        Ok(_) => Ok(entry),
        Err(_) => Err(KernelProblem::BadNote("the PVH entry is above 4 GiB")),
    }
}
