//! Writing a core.

use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    ops::Range,
    path::Path,
};

use object::{
    LittleEndian as Le, U16, U32, U64,
    elf::{
        ELFCLASS64, ELFDATA2LSB, ELFMAG, ELFOSABI_NONE, EM_X86_64, ET_CORE, EV_CURRENT,
        FileHeader64, Ident, NT_PRSTATUS, NoteHeader64, NoteType, PF_R, PT_LOAD, PT_NOTE,
        ProgramHeader64, ProgramType,
    },
    pod::bytes_of,
};
use zerocopy::IntoBytes;

use super::{
    super::{CpuRegisters, ImageError, PAGE_BYTES, PhysMem},
    note::{CORE, PAGELAB, PAGELAB_MACHINE, PAGELAB_VERSION, PagelabNote, Prstatus, QEMU, QemuCpu},
};
use crate::inspect::pagetable::CpuModel;

/// Most [`VirtualView`]s that are saved; a program header counts at most 65,534 segments.
const MAX_VIEWS: usize = 4096;

/// A stretch of virtual addresses over a stretch of RAM. A core that lists the kernel's can be
/// read by a debugger that knows no page tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualView {
    /// First virtual address.
    pub va: u64,
    /// First guest-physical address.
    pub gpa: u64,
    /// Bytes.
    pub len: u64,
}

/// What [`save`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaveReport {
    /// Size of the file in bytes.
    pub size: u64,
    /// Bytes of RAM that were not zero, the rest being holes in the file.
    pub stored: u64,
    /// Views that were left out because there are more than a core can list.
    pub views_left_out: usize,
}

/// Saves memory and CPUs to a new file at `path`, which other tools can read as well. Pages of
/// zeros become holes. `root` is the physical address of the guest's root page. EFER and PKRU in
/// the file are those of the first CPU.
///
/// # Errors
/// [`ImageError::Save`]; what was written is removed again.
pub fn save(
    path: &Path,
    mem: &(impl PhysMem + ?Sized),
    cpus: &[CpuRegisters],
    model: CpuModel,
    root: Option<u64>,
    views: &[VirtualView],
) -> Result<SaveReport, ImageError> {
    let notes = notes(cpus, model, root);
    let error = |source| ImageError::Save {
        path: path.to_owned(),
        source,
    };
    let mut file = File::create(path).map_err(error)?;
    write(&mut file, mem, &notes, views).map_err(|source| {
        drop(fs::remove_file(path));
        error(source)
    })
}

/// All notes, one after the other.
fn notes(cpus: &[CpuRegisters], model: CpuModel, root: Option<u64>) -> Vec<u8> {
    let mut notes = Vec::new();
    for (index, cpu) in cpus.iter().enumerate() {
        let status = Prstatus::new(cpu, index as u32);
        push_note(&mut notes, CORE, NT_PRSTATUS, status.as_bytes());
    }
    for cpu in cpus {
        push_note(&mut notes, QEMU, NoteType(0), QemuCpu::new(cpu).as_bytes());
    }
    let first = cpus.first();
    let own = PagelabNote {
        version: PAGELAB_VERSION,
        abi_version: pagelab_abi::VERSION,
        efer: first.and_then(|cpu| cpu.efer).unwrap_or(0),
        pkru: first.and_then(|cpu| cpu.pkru).unwrap_or(0),
        phys_bits: model.phys_bits,
        gib_pages: model.gib_pages.into(),
        upper_global_reserved: model.upper_global_reserved.into(),
        reserved: 0,
        root: root.unwrap_or(u64::MAX),
    };
    push_note(
        &mut notes,
        PAGELAB,
        NoteType(PAGELAB_MACHINE),
        own.as_bytes(),
    );
    notes
}

/// Appends a note: header, name with its NUL, descriptor, each padded to 4 bytes.
fn push_note(notes: &mut Vec<u8>, name: &[u8], kind: NoteType, desc: &[u8]) {
    let header = NoteHeader64 {
        n_namesz: U32::new(Le, name.len() as u32 + 1),
        n_descsz: U32::new(Le, desc.len() as u32),
        n_type: U32::new(Le, kind),
    };
    notes.extend_from_slice(bytes_of(&header));
    notes.extend_from_slice(name);
    notes.push(0);
    notes.resize(notes.len().next_multiple_of(4), 0);
    notes.extend_from_slice(desc);
    notes.resize(notes.len().next_multiple_of(4), 0);
}

/// Writes header, program headers, notes and memory.
fn write(
    file: &mut File,
    mem: &(impl PhysMem + ?Sized),
    notes: &[u8],
    views: &[VirtualView],
) -> io::Result<SaveReport> {
    let shown = &views[..views.len().min(MAX_VIEWS)];
    let count = 1 + mem.ranges().len() + shown.len();
    let headers = size_of::<FileHeader64<Le>>() + count * size_of::<ProgramHeader64<Le>>();
    let ram_start = (headers + notes.len()).next_multiple_of(PAGE_BYTES) as u64;

    let mut out = Vec::with_capacity(headers + notes.len());
    out.extend_from_slice(bytes_of(&file_header(count as u16)));
    out.extend_from_slice(bytes_of(&program_header(
        PT_NOTE,
        headers as u64,
        0..notes.len() as u64,
        0,
    )));
    let placed = place(mem.ranges(), ram_start);
    for (range, offset) in &placed {
        let header = program_header(PT_LOAD, *offset, range.clone(), range.start);
        out.extend_from_slice(bytes_of(&header));
    }
    for view in shown {
        let gpas = view.gpa..view.gpa.saturating_add(view.len);
        let offset = placed
            .iter()
            .find(|(range, _)| range.start <= gpas.start && gpas.end <= range.end)
            .map(|(range, offset)| offset + (gpas.start - range.start))
            .ok_or_else(|| {
                let text = format!("view of {:#x} at {:#x} is not RAM", view.gpa, view.va);
                io::Error::new(io::ErrorKind::InvalidInput, text)
            })?;
        out.extend_from_slice(bytes_of(&program_header(PT_LOAD, offset, gpas, view.va)));
    }
    out.extend_from_slice(notes);
    file.write_all(&out)?;

    let size = ram_start + mem.size();
    file.set_len(size)?;
    let mut stored = 0;
    for (range, offset) in &placed {
        stored += write_ram(file, mem, range, *offset)?;
    }
    Ok(SaveReport {
        size,
        stored,
        views_left_out: views.len() - shown.len(),
    })
}

/// Each range with its place in the file.
fn place(ranges: &[Range<u64>], start: u64) -> Vec<(Range<u64>, u64)> {
    let mut at = start;
    let placed = ranges.iter().map(|range| {
        let offset = at;
        at += range.end - range.start;
        (range.clone(), offset)
    });
    placed.collect()
}

/// Writes the pages of `range` that are not zero, run by run. Returns the bytes written.
fn write_ram(
    file: &mut File,
    mem: &(impl PhysMem + ?Sized),
    range: &Range<u64>,
    offset: u64,
) -> io::Result<u64> {
    let mut stored = 0;
    let mut position = None;
    for gpa in range.clone().step_by(PAGE_BYTES) {
        let Some(page) = mem.slice(gpa, PAGE_BYTES) else {
            continue;
        };
        if page.iter().all(|&byte| byte == 0) {
            continue;
        }
        let at = offset + (gpa - range.start);
        if position != Some(at) {
            file.seek(SeekFrom::Start(at))?;
        }
        file.write_all(page)?;
        position = Some(at + PAGE_BYTES as u64);
        stored += PAGE_BYTES as u64;
    }
    Ok(stored)
}

fn file_header(program_headers: u16) -> FileHeader64<Le> {
    let size = size_of::<FileHeader64<Le>>() as u16;
    FileHeader64 {
        e_ident: Ident {
            magic: ELFMAG,
            class: ELFCLASS64,
            data: ELFDATA2LSB,
            version: EV_CURRENT,
            os_abi: ELFOSABI_NONE,
            abi_version: 0,
            padding: [0; 7],
        },
        e_type: U16::new(Le, ET_CORE),
        e_machine: U16::new(Le, EM_X86_64),
        e_version: U32::new(Le, EV_CURRENT.0.into()),
        e_entry: U64::default(),
        e_phoff: U64::new(Le, size.into()),
        e_shoff: U64::default(),
        e_flags: U32::default(),
        e_ehsize: U16::new(Le, size),
        e_phentsize: U16::new(Le, size_of::<ProgramHeader64<Le>>() as u16),
        e_phnum: U16::new(Le, program_headers),
        e_shentsize: U16::default(),
        e_shnum: U16::default(),
        e_shstrndx: U16::default(),
    }
}

fn program_header(
    kind: ProgramType,
    offset: u64,
    gpas: Range<u64>,
    va: u64,
) -> ProgramHeader64<Le> {
    let size = U64::new(Le, gpas.end - gpas.start);
    ProgramHeader64 {
        p_type: U32::new(Le, kind),
        p_flags: U32::new(Le, PF_R),
        p_offset: U64::new(Le, offset),
        p_vaddr: U64::new(Le, va),
        p_paddr: U64::new(Le, gpas.start),
        p_filesz: size,
        p_memsz: size,
        p_align: U64::default(),
    }
}
