//! The guest's kernel as it is linked: which instructions it has, which segments, which paths, how
//! much of the stack its functions take.
//!
//! Ring 0 must run where KVM's instruction emulator interprets it, and floating-point registers are not
//! the kernel's. So every instruction is decoded and judged, and the judge is shown to find what is planted.

mod code;
mod frames;
mod judge;

use code::{Bitness, decode};
use iced_x86::{Instruction, Mnemonic};
use judge::{Finding, judge};
use object::{
    LittleEndian, Object, ObjectSection, SectionFlags,
    elf::{PF_W, PF_X, PT_LOAD, SHF_EXECINSTR},
    read::elf::{ElfFile64, ProgramHeader},
};
use pagelab::machine::embedded;
use std::{env, path::Path};

type Elf = ElfFile64<'static, LittleEndian>;

fn elf() -> Elf {
    ElfFile64::parse(embedded::kernel()).expect("the embedded kernel is an ELF")
}

/// Every executable section: name, address, bytes.
fn executable_sections() -> Vec<(String, u64, &'static [u8])> {
    let is_executable = |flags| match flags {
        SectionFlags::Elf { sh_flags, .. } => sh_flags.0 & SHF_EXECINSTR.0 != 0,
        _ => false,
    };
    elf()
        .sections()
        .filter(|section| is_executable(section.flags()))
        .map(|section| {
            let name = section.name().expect("a section has a name").to_owned();
            let bytes = section.data().expect("a section is in the file");
            (name, section.address(), bytes)
        })
        .collect()
}

#[test]
fn ring_0_uses_plain_integer_instructions() {
    let mut findings = Vec::new();
    let mut instructions = 0;
    for (name, address, bytes) in executable_sections() {
        // The entry starts in 32-bit mode; everything else is 64-bit code.
        let bitness = if name == ".boot" {
            Bitness::EntryOfPvh
        } else {
            Bitness::Bits64
        };
        let code = decode(bytes, address, bitness);
        instructions += code.len();
        findings.extend(
            judge(&code)
                .into_iter()
                .map(|finding| format!("{name}: {finding}")),
        );
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(instructions > 10_000, "only {instructions} instructions");
}

#[test]
fn the_kernel_has_an_entry_section_and_a_text_section() {
    let names: Vec<_> = executable_sections()
        .into_iter()
        .map(|(name, ..)| name)
        .collect();
    assert_eq!(names, [".boot", ".text"]);
}

/// What the judge says of these bytes in 64-bit mode, put into the middle of the kernel's own code.
fn planted(bytes: &[u8]) -> Vec<Finding> {
    let (_, address, text) = executable_sections()
        .into_iter()
        .find(|(name, ..)| name == ".text")
        .expect("there is code");
    let all = decode(text, address, Bitness::Bits64);
    let (_, second_half) = all.split_at(all.len() / 2);
    let is_code = |(_, instruction): &&(u64, Instruction)| instruction.mnemonic() != Mnemonic::Int3;
    let (at, _) = second_half.iter().find(is_code).expect("there is code");
    let mut code = text[..(at - address) as usize].to_vec();
    code.extend(bytes);
    judge(&decode(&code, address, Bitness::Bits64))
}

#[test]
fn the_judge_finds_what_is_planted() {
    for (name, bytes) in [
        ("movaps xmm0, xmm1", &[0x0f, 0x28, 0xc1][..]),
        ("movups [rdi], xmm0", &[0x0f, 0x11, 0x07]),
        ("vpxor ymm0, ymm0, ymm0", &[0xc5, 0xfd, 0xef, 0xc0]),
        (
            "vmovdqu64 zmm0, [rdi]",
            &[0x62, 0xf1, 0xfe, 0x48, 0x6f, 0x07],
        ),
        ("emms", &[0x0f, 0x77]),
        ("movd mm0, eax", &[0x0f, 0x6e, 0xc0]),
        ("fld1", &[0xd9, 0xe8]),
        ("popcnt rax, rbx", &[0xf3, 0x48, 0x0f, 0xb8, 0xc3]),
        ("lzcnt rax, rbx", &[0xf3, 0x48, 0x0f, 0xbd, 0xc3]),
        ("cmpxchg16b [rdi]", &[0x48, 0x0f, 0xc7, 0x0f]),
        ("andn eax, ebx, ecx", &[0xc4, 0xe2, 0x60, 0xf2, 0xc1]),
        ("blsr eax, ecx", &[0xc4, 0xe2, 0x78, 0xf3, 0xc9]),
        ("shlx eax, ebx, ecx", &[0xc4, 0xe2, 0x71, 0xf7, 0xc3]),
        ("movbe eax, [rdi]", &[0x0f, 0x38, 0xf0, 0x07]),
        ("rdtscp", &[0x0f, 0x01, 0xf9]),
        ("stac", &[0x0f, 0x01, 0xcb]),
        ("clac", &[0x0f, 0x01, 0xca]),
        ("xsave [rdi]", &[0x0f, 0xae, 0x27]),
        ("xsetbv", &[0x0f, 0x01, 0xd1]),
        ("fxsave [rdi]", &[0x0f, 0xae, 0x07]),
        ("invpcid rax, [rdi]", &[0x66, 0x0f, 0x38, 0x82, 0x07]),
        ("nop; int3; nop", &[0x90, 0xcc, 0x90]),
        ("int 0x80", &[0xcd, 0x80]),
        ("int1", &[0xf1]),
        ("sysret", &[0x48, 0x0f, 0x07]),
        ("sysexit", &[0x48, 0x0f, 0x35]),
        ("monitor", &[0x0f, 0x01, 0xc8]),
        ("mwait", &[0x0f, 0x01, 0xc9]),
        ("vmcall", &[0x0f, 0x01, 0xc1]),
        ("an undefined opcode", &[0x0f, 0x04]),
        ("push es, which 64-bit mode does not have", &[0x06]),
        ("the first half of an instruction", &[0x48]),
    ] {
        assert!(!planted(bytes).is_empty(), "{name} was not found");
    }
}

#[test]
fn the_judge_lets_plain_instructions_pass() {
    for (name, bytes) in [
        ("nothing", &[][..]),
        ("iretq", &[0x48, 0xcf]),
        ("invlpg [rdi]", &[0x0f, 0x01, 0x3f]),
        ("lock cmpxchg [rdi], rcx", &[0xf0, 0x48, 0x0f, 0xb1, 0x0f]),
        ("rep movsq", &[0xf3, 0x48, 0xa5]),
        // Runs as bsf on every host, with the same result unless the source is 0.
        ("tzcnt rax, rbx", &[0xf3, 0x48, 0x0f, 0xbc, 0xc3]),
        ("ud2", &[0x0f, 0x0b]),
    ] {
        assert_eq!(planted(bytes), [], "{name}");
    }
}

#[test]
fn a_pvh_loader_finds_the_entry() {
    const PHYS32_ENTRY: u32 = 18;
    let elf = elf();
    let mut entries = Vec::new();
    for segment in elf.elf_program_headers() {
        let notes = segment.notes(LittleEndian, embedded::kernel());
        let Some(mut notes) = notes.expect("the notes can be read") else {
            continue;
        };
        while let Some(note) = notes.next().expect("the note can be read") {
            if note.name() == b"Xen" && note.n_type(LittleEndian).0 == PHYS32_ENTRY {
                entries.push(u64::from_le_bytes(note.desc().try_into().expect("8 bytes")));
            }
        }
    }
    assert_eq!(entries, [elf.entry()]);
    let (_, boot, code) = executable_sections().swap_remove(0);
    assert!((boot..boot + code.len() as u64).contains(&elf.entry()));
}

#[test]
fn no_segment_is_writable_and_executable() {
    let elf = elf();
    let mut loaded = 0;
    for segment in elf.elf_program_headers() {
        if segment.p_type(LittleEndian) != PT_LOAD {
            continue;
        }
        loaded += 1;
        let flags = segment.p_flags(LittleEndian);
        assert!(
            flags.0 & PF_W.0 == 0 || flags.0 & PF_X.0 == 0,
            "the segment at {:#x} is writable and executable",
            segment.p_vaddr(LittleEndian)
        );
    }
    assert!(
        loaded >= 4,
        "code, constants and data are {loaded} segments"
    );
}

/// Whether `needle` is somewhere in `haystack`.
fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

/// The kernel's bytes, debug information included, must not depend on where it was built: trace
/// hashes of two checkouts are compared.
#[test]
fn no_path_of_the_build_machine_is_in_the_file() {
    let file = embedded::kernel();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in it");
    let workspace = workspace.to_str().expect("the checkout's path is UTF-8");
    assert!(!contains(file, workspace), "{workspace} is in the kernel");
    for variable in ["CARGO_HOME", "RUSTUP_HOME", "HOME"] {
        let Ok(directory) = env::var(variable) else {
            continue;
        };
        // `/` as somebody's home says nothing.
        if directory.len() > 1 {
            let directory = format!("{directory}/");
            assert!(
                !contains(file, &directory),
                "{variable}, {directory}, is in the kernel"
            );
        }
    }
    for fixed in ["/cargo/registry/", "/rustc/", "guest/src/main.rs"] {
        assert!(
            contains(file, fixed),
            "{fixed} is not in the kernel's debug information"
        );
    }
}
