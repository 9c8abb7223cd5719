//! Reading a core.

use object::{
    Endianness,
    elf::{EM_X86_64, ET_CORE, FileHeader64, PT_LOAD, PT_NOTE},
    read::elf::{FileHeader, NoteIterator, ProgramHeader},
};

use super::{
    super::{CpuRegisters, ImageError, segments::Segment},
    note::{PAGELAB, PAGELAB_MACHINE, PagelabNote, QEMU, QemuCpu},
};

/// What a core says, but for the memory itself.
#[derive(Debug)]
pub(in super::super) struct Core {
    /// Where its memory is in the file.
    pub(in super::super) segments: Vec<Segment>,
    /// Its CPUs in the order of their notes.
    pub(in super::super) cpus: Vec<CpuRegisters>,
    /// Our own note.
    pub(in super::super) pagelab: Option<PagelabNote>,
}

/// Parses `data`, a whole core.
pub(in super::super) fn parse(data: &[u8]) -> Result<Core, ImageError> {
    // EI_CLASS comes before all that depends on it.
    if data.get(4) == Some(&1) {
        return Err(ImageError::WrongClass);
    }
    let header = FileHeader64::<Endianness>::parse(data).map_err(ImageError::Elf)?;
    let endian = header.endian().map_err(ImageError::Elf)?;
    if header.e_machine(endian) != EM_X86_64 || endian != Endianness::Little {
        return Err(ImageError::WrongMachine {
            machine: header.e_machine(endian).0,
        });
    }
    if header.e_type(endian) != ET_CORE {
        return Err(ImageError::NotACore {
            found: header.e_type(endian).0,
        });
    }
    let headers_end = header
        .e_phoff(endian)
        .saturating_add(u64::from(header.e_phentsize(endian)) * u64::from(header.e_phnum(endian)));
    check_size(headers_end, data)?;
    let program_headers = header
        .program_headers(endian, data)
        .map_err(ImageError::Elf)?;

    let mut core = Core {
        segments: Vec::new(),
        cpus: Vec::new(),
        pagelab: None,
    };
    let mut end = headers_end;
    for program_header in program_headers {
        let (offset, len) = program_header.file_range(endian);
        if [PT_LOAD, PT_NOTE].contains(&program_header.p_type(endian)) {
            end = end.max(offset.saturating_add(len));
        }
    }
    check_size(end, data)?;
    for program_header in program_headers {
        match program_header.p_type(endian) {
            PT_LOAD => {
                let (offset, len) = program_header.file_range(endian);
                let gpa = program_header.p_paddr(endian);
                core.segments.push(Segment { gpa, len, offset });
            }
            PT_NOTE => {
                let notes = program_header
                    .notes(endian, data)
                    .map_err(ImageError::Elf)?;
                read_notes(notes, endian, &mut core)?;
            }
            _ => {}
        }
    }
    if let (Some(cpu), Some(note)) = (core.cpus.first_mut(), &core.pagelab) {
        cpu.efer = Some(note.efer);
        cpu.pkru = Some(note.pkru);
    }
    Ok(core)
}

/// Refuses a file that ends before `expected`.
fn check_size(expected: u64, data: &[u8]) -> Result<(), ImageError> {
    let actual = data.len() as u64;
    if expected > actual {
        return Err(ImageError::Truncated { expected, actual });
    }
    Ok(())
}

/// Adds what the notes of one segment say.
fn read_notes(
    notes: Option<NoteIterator<'_, FileHeader64<Endianness>>>,
    endian: Endianness,
    core: &mut Core,
) -> Result<(), ImageError> {
    for note in notes.into_iter().flatten() {
        let note = note.map_err(ImageError::Elf)?;
        match (note.name(), note.n_type(endian).0) {
            (QEMU, 0) => core.cpus.push(QemuCpu::parse(note.desc())?),
            (PAGELAB, PAGELAB_MACHINE) => core.pagelab = Some(PagelabNote::parse(note.desc())?),
            _ => {}
        }
    }
    Ok(())
}
