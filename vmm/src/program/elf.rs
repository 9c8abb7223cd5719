//! Whether the guest can run a file: a static (or static-PIE) ELF for x86-64.
//!
//! What execve would answer with ENOEXEC is said here before a machine is made, with the reason.

use super::Problem;
use object::{
    LittleEndian,
    elf::{self, FileHeader64, ProgramHeader64},
    read::{
        ReadRef,
        elf::{Dyn, FileHeader, ProgramHeader},
    },
};
use pagelab_abi::PAGE_SIZE;
use std::ops::Range;

/// Lowest address of a program that names its own (Linux: vm.mmap_min_addr).
const USER_START: u64 = 0x1_0000;

/// First address above a program (Linux: `TASK_SIZE_MAX` with 4 levels).
const USER_END: u64 = 0x7fff_ffff_f000;

/// Longest path of an interpreter that is shown.
const MAX_INTERPRETER: u64 = 4096;

const LE: LittleEndian = LittleEndian;

/// Checks everything that the guest's loader relies on.
pub(super) fn check(data: &[u8]) -> Result<(), Problem> {
    let len = data.len() as u64;
    let header = check_header(data)?;
    let segments = program_headers(header, data)?;
    // What makes a program dynamic comes first: it is the likely reason, and says what to do.
    for segment in segments {
        match segment.p_type(LE) {
            elf::PT_INTERP => return Err(interpreter(segment, data)),
            elf::PT_DYNAMIC => check_dynamic(segment, data)?,
            _ => {}
        }
    }
    let is_fixed = header.e_type(LE) == elf::ET_EXEC;
    let mut loaded: Vec<Range<u64>> = Vec::new();
    let mut executable: Vec<Range<u64>> = Vec::new();
    let loads = segments
        .iter()
        .filter(|segment| segment.p_type(LE) == elf::PT_LOAD);
    for segment in loads {
        let Some(range) = check_segment(segment, len, is_fixed)? else {
            continue;
        };
        let overlaps = |other: &&Range<u64>| range.start < other.end && other.start < range.end;
        if let Some(other) = loaded.iter().find(overlaps) {
            let why = format!("overlaps segment {:#x}..{:#x}", other.start, other.end);
            return Err(Problem::Segment {
                segment: range,
                why,
            });
        }
        if segment.p_flags(LE).contains(elf::PF_X) {
            executable.push(range.clone());
        }
        loaded.push(range);
    }
    if loaded.is_empty() {
        return Err(Problem::NoSegments);
    }
    let entry = header.e_entry(LE);
    if !executable.iter().any(|range| range.contains(&entry)) {
        return Err(Problem::EntryOutside(entry));
    }
    Ok(())
}

fn check_header(data: &[u8]) -> Result<&FileHeader64<LittleEndian>, Problem> {
    if data.starts_with(b"#!") {
        return Err(Problem::Script);
    }
    if !data.starts_with(&elf::ELFMAG) {
        let bytes: Vec<_> = data
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        return Err(Problem::NotElf(match bytes.as_slice() {
            [] => "nothing, as it is empty".to_owned(),
            some => format!("bytes {}", some.join(" ")),
        }));
    }
    let wrong = |found: String| Err(Problem::Wrong(found));
    // The class comes first: a 32-bit header is shorter.
    match (data.get(4).copied(), data.get(5).copied()) {
        (Some(class), _) if class == elf::ELFCLASS32.0 => return wrong("a 32-bit ELF".into()),
        (Some(class), _) if class != elf::ELFCLASS64.0 => {
            return wrong(format!("an ELF of unknown class {class}"));
        }
        (_, Some(order)) if order != elf::ELFDATA2LSB.0 => {
            return wrong("not little-endian".into());
        }
        _ => {}
    }
    let header: &FileHeader64<LittleEndian> = data.read_at(0).map_err(|()| Problem::Truncated {
        what: "the ELF header",
        end: size_of::<FileHeader64<LittleEndian>>() as u64,
        len: data.len() as u64,
    })?;
    let machine = header.e_machine(LE);
    if machine != elf::EM_X86_64 {
        let name = match machine {
            elf::EM_AARCH64 => "AArch64",
            elf::EM_RISCV => "RISC-V",
            elf::EM_386 => "i386",
            elf::EM_PPC64 => "PowerPC",
            elf::EM_S390 => "s390",
            other => return wrong(format!("for another machine (ELF machine {})", other.0)),
        };
        return wrong(format!("for another machine ({name})"));
    }
    match header.e_type(LE) {
        elf::ET_EXEC | elf::ET_DYN => Ok(header),
        elf::ET_REL => wrong("an object file that was not linked".into()),
        elf::ET_CORE => wrong("a core dump".into()),
        other => wrong(format!("not an executable (ELF type {})", other.0)),
    }
}

fn program_headers<'data>(
    header: &FileHeader64<LittleEndian>,
    data: &'data [u8],
) -> Result<&'data [ProgramHeader64<LittleEndian>], Problem> {
    let offset = header.e_phoff(LE);
    let count = u64::from(header.e_phnum(LE));
    if offset == 0 || count == 0 {
        return Err(Problem::NoSegments);
    }
    let damaged = |why| Problem::ProgramHeaders { offset, why };
    if count == u64::from(elf::PN_XNUM) {
        return Err(damaged("there are too many of them"));
    }
    let entry = size_of::<ProgramHeader64<LittleEndian>>() as u64;
    if u64::from(header.e_phentsize(LE)) != entry {
        return Err(damaged("an entry has the wrong size"));
    }
    truncated_unless(
        "the program header table",
        offset.saturating_add(count * entry),
        data.len() as u64,
    )?;
    header
        .program_headers(LE, data)
        .map_err(|_| damaged("they are not aligned"))
}

/// What to say of a program that names its dynamic linker.
fn interpreter(segment: &ProgramHeader64<LittleEndian>, data: &[u8]) -> Problem {
    let (offset, size) = segment.file_range(LE);
    match data.read_bytes_at(offset, size.min(MAX_INTERPRETER)) {
        Ok(path) => {
            let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
            Problem::Interpreter(String::from_utf8_lossy(path).into_owned())
        }
        Err(()) => Problem::Truncated {
            what: "the name of its interpreter",
            end: offset.saturating_add(size),
            len: data.len() as u64,
        },
    }
}

/// A static-PIE program has a dynamic section as well, but names no library there.
fn check_dynamic(segment: &ProgramHeader64<LittleEndian>, data: &[u8]) -> Result<(), Problem> {
    let (offset, size) = segment.file_range(LE);
    truncated_unless(
        "the dynamic section",
        offset.saturating_add(size),
        data.len() as u64,
    )?;
    let Ok(Some(entries)) = segment.dynamic(LE, data) else {
        let why = "the dynamic section cannot be read";
        return Err(Problem::ProgramHeaders { offset, why });
    };
    let mut tags = entries.iter().map(|entry| entry.d_tag(LE).0);
    if tags.any(|tag| tag == elf::DT_NEEDED.0) {
        return Err(Problem::SharedLibraries);
    }
    Ok(())
}

/// The addresses of a segment, or `None` if it has none.
fn check_segment(
    header: &ProgramHeader64<LittleEndian>,
    len: u64,
    is_fixed: bool,
) -> Result<Option<Range<u64>>, Problem> {
    let start = header.p_vaddr(LE);
    let (offset, filesz) = header.file_range(LE);
    let memsz = header.p_memsz(LE);
    let segment = start..start.saturating_add(memsz);
    let bad = |why: String| {
        let segment = segment.clone();
        Err(Problem::Segment { segment, why })
    };
    if filesz > memsz {
        return bad(format!(
            "has {filesz:#x} bytes in the file but {memsz:#x} in memory"
        ));
    }
    truncated_unless("a segment", offset.saturating_add(filesz), len)?;
    if segment.is_empty() {
        return Ok(None);
    }
    if start.checked_add(memsz).is_none_or(|end| end > USER_END) {
        return bad(format!(
            "goes beyond the user half, which ends at {USER_END:#x}"
        ));
    }
    if is_fixed && start < USER_START {
        return bad(format!("begins below {USER_START:#x}, the lowest address"));
    }
    if start % PAGE_SIZE != offset % PAGE_SIZE {
        return bad(format!(
            "stands at offset {offset:#x} of the file, at another place within its page"
        ));
    }
    let align = header.p_align(LE);
    if align > 1 && !align.is_power_of_two() {
        return bad(format!(
            "has alignment {align:#x}, which is no power of two"
        ));
    }
    Ok(Some(segment))
}

fn truncated_unless(what: &'static str, end: u64, len: u64) -> Result<(), Problem> {
    if end > len {
        return Err(Problem::Truncated { what, end, len });
    }
    Ok(())
}
