//! Which ELF files are programs: x86-64, static, position-independent or not, with segments that
//! make sense.

use crate::{
    arch::user::TASK_SIZE,
    fs::{Bytes, ExecFile},
};
use elf::{
    abi::{EM_X86_64, ET_DYN, ET_EXEC, PF_X, PT_GNU_STACK, PT_INTERP, PT_LOAD, PT_PHDR},
    endian::LittleEndian,
    file::{Class, FileHeader, parse_ident},
    parse::ParseAt,
    segment::ProgramHeader,
};
use pagelab_abi::{PAGE_SIZE, errno::Errno, pte::USER_START};

/// Where a position-independent program is loaded (Linux: `ELF_ET_DYN_BASE`, its randomness off).
const DYN_BASE: u64 = 0x5555_5555_4000;

/// Bytes of an ELF header and of a program header.
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

/// Bytes of program headers that a program may have (Linux fs/binfmt_elf.c: `load_elf_phdrs`); no
/// linker makes more than a dozen of them.
const MAX_TABLE: usize = PAGE_SIZE as usize;

/// A program that can be loaded.
pub(super) struct Image {
    header: FileHeader<LittleEndian>,
    /// The program headers, as they are in the file.
    table: Bytes,
    /// Added to all addresses of the file.
    pub(super) bias: u64,
}

impl Image {
    /// Reads and checks the headers of a file.
    ///
    /// # Errors
    /// ENOEXEC if it is no program that this kernel runs.
    pub(super) fn read(file: &ExecFile) -> Result<Self, Errno> {
        let mut bytes = [0; HEADER];
        read_exact(file, 0, &mut bytes)?;
        let ident = parse_ident::<LittleEndian>(&bytes).map_err(|_| Errno::ENOEXEC)?;
        let tail = &bytes[elf::abi::EI_NIDENT..];
        let header = FileHeader::parse_tail(ident, tail).map_err(|_| Errno::ENOEXEC)?;
        let runs = header.class == Class::ELF64
            && header.e_machine == EM_X86_64
            && [ET_EXEC, ET_DYN].contains(&header.e_type)
            && usize::from(header.e_phentsize) == PROGRAM_HEADER
            && (1..=MAX_TABLE / PROGRAM_HEADER).contains(&usize::from(header.e_phnum));
        if !runs {
            return Err(Errno::ENOEXEC);
        }
        let mut table = Bytes::zeroed(usize::from(header.e_phnum) * PROGRAM_HEADER)?;
        read_exact(file, header.e_phoff, &mut table)?;
        let image = Self {
            bias: if header.e_type == ET_DYN { DYN_BASE } else { 0 },
            header,
            table,
        };
        image.check(file.len())?;
        Ok(image)
    }

    fn all(&self) -> impl Iterator<Item = ProgramHeader> {
        let entries = self.table.chunks_exact(PROGRAM_HEADER);
        // Nothing of so many bytes is refused.
        entries.filter_map(|bytes| {
            ProgramHeader::parse_at(LittleEndian, Class::ELF64, &mut 0, bytes).ok()
        })
    }

    /// The segments to load: ascending, no two in one page.
    pub(super) fn segments(&self) -> impl Iterator<Item = ProgramHeader> {
        self.all().filter(|header| header.p_type == PT_LOAD)
    }

    fn check(&self, file_len: u64) -> Result<(), Errno> {
        if self.all().any(|header| header.p_type == PT_INTERP) {
            return Err(Errno::ENOEXEC);
        }
        let mut end = if self.bias == 0 { USER_START } else { 0 };
        let mut any = false;
        for segment in self.segments() {
            let file_end = segment.p_offset.checked_add(segment.p_filesz);
            let last = segment.p_vaddr.checked_add(segment.p_memsz);
            let last = last.and_then(|end| end.checked_add(self.bias));
            let first = segment.p_vaddr & !(PAGE_SIZE - 1);
            let fits = file_end.is_some_and(|end| end <= file_len)
                && last.is_some_and(|end| end <= TASK_SIZE - PAGE_SIZE)
                && segment.p_filesz <= segment.p_memsz
                && segment.p_memsz > 0
                && segment.p_vaddr % PAGE_SIZE == segment.p_offset % PAGE_SIZE
                && first >= end;
            if !fits {
                return Err(Errno::ENOEXEC);
            }
            end = (segment.p_vaddr + segment.p_memsz).next_multiple_of(PAGE_SIZE);
            any = true;
        }
        let entry = self.header.e_entry.checked_add(self.bias);
        if any && entry.is_some_and(|entry| entry < TASK_SIZE) {
            Ok(())
        } else {
            Err(Errno::ENOEXEC)
        }
    }

    /// First instruction.
    pub(super) fn entry(&self) -> u64 {
        self.header.e_entry + self.bias
    }

    /// Program headers, for AT_PHNUM.
    pub(super) fn header_count(&self) -> u64 {
        self.header.e_phnum.into()
    }

    /// Bytes of a program header, for AT_PHENT.
    pub(super) const fn header_size() -> u64 {
        PROGRAM_HEADER as u64
    }

    /// Where the program headers are in memory, for AT_PHDR; 0 if they are in no segment.
    pub(super) fn headers_at(&self) -> u64 {
        let named = self.all().find(|header| header.p_type == PT_PHDR);
        if let Some(header) = named {
            return header.p_vaddr.wrapping_add(self.bias);
        }
        let offset = self.header.e_phoff;
        let holds = |segment: &ProgramHeader| {
            (segment.p_offset..segment.p_offset + segment.p_filesz).contains(&offset)
        };
        self.segments().find(holds).map_or(0, |segment| {
            offset - segment.p_offset + segment.p_vaddr + self.bias
        })
    }

    /// Whether the linker was told that code runs on the stack.
    pub(super) fn wants_executable_stack(&self) -> bool {
        let stack = self.all().find(|header| header.p_type == PT_GNU_STACK);
        stack.is_some_and(|header| header.p_flags & PF_X != 0)
    }
}

/// Reads all of `buf`; a file that ends before is no program.
fn read_exact(file: &ExecFile, at: u64, buf: &mut [u8]) -> Result<(), Errno> {
    match file.read_at(at, buf)? {
        read if read == buf.len() => Ok(()),
        _ => Err(Errno::ENOEXEC),
    }
}
