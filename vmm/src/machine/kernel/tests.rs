use super::*;
use crate::machine::boot::BOOT_AREA;
use crate::machine::memory::{allocate, ram_ranges};
use crate::machine::testing::{CODE, pvh_elf};
use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

const MEMORY: u64 = 16 << 20;

/// Offsets in the ELF that `pvh_elf` makes.
const E_CLASS: usize = 4;
const E_DATA: usize = 5;
const E_TYPE: usize = 16;
const E_MACHINE: usize = 18;
const E_PHOFF: usize = 32;
const E_PHENTSIZE: usize = 54;
const E_PHNUM: usize = 56;
const NOTE_HEADER: usize = 64;
const LOAD_HEADER: usize = 64 + 56;
const P_OFFSET: usize = 8;
const P_PADDR: usize = 24;
const P_FILESZ: usize = 32;
const P_MEMSZ: usize = 40;
const P_ALIGN: usize = 48;
const NOTE: usize = 64 + 2 * 56;
const CODE_BYTES: &[u8] = &[0xf4; 32];

fn load_bytes(bytes: Vec<u8>) -> Result<(KernelLayout, GuestMemory), KernelError> {
    let ram = ram_ranges(MEMORY).unwrap();
    let memory = allocate(&ram).unwrap();
    let room = Room {
        ram: &ram,
        boot_area: BOOT_AREA,
    };
    load(&Kernel::Bytes(bytes), &room, &memory).map(|layout| (layout, memory))
}

/// The problem of a good kernel after `bytes` have been written at `at`.
fn problem(at: usize, bytes: &[u8]) -> KernelProblem {
    let mut elf = pvh_elf(CODE_BYTES);
    elf[at..at + bytes.len()].copy_from_slice(bytes);
    load_bytes(elf).unwrap_err().problem
}

fn segment(field: usize, value: u64) -> KernelProblem {
    problem(LOAD_HEADER + field, &value.to_le_bytes())
}

#[test]
fn a_good_kernel_is_loaded() {
    let (layout, memory) = load_bytes(pvh_elf(CODE_BYTES)).unwrap();
    assert_eq!((layout.entry, layout.end), (CODE, CODE + 32));
    let mut loaded = [0; 33];
    memory.read_slice(&mut loaded, GuestAddress(CODE)).unwrap();
    assert_eq!(loaded[..32], *CODE_BYTES);
    assert_eq!(loaded[32], 0);
}

#[test]
fn the_embedded_kernel_is_good() {
    let ram = ram_ranges(MEMORY).unwrap();
    let memory = allocate(&ram).unwrap();
    let room = Room {
        ram: &ram,
        boot_area: BOOT_AREA,
    };
    load(&Kernel::Embedded, &room, &memory).unwrap();
}

#[test]
fn the_wrong_kind_of_file_is_named() {
    let text = |problem: KernelProblem| problem.to_string();
    assert!(text(problem(0, b"MZ")).contains("starts with bytes 4d 5a 4c 46"));
    assert!(text(problem(E_CLASS, &[1])).contains("a 32-bit ELF"));
    assert!(text(problem(E_CLASS, &[9])).contains("unknown class 9"));
    assert!(text(problem(E_DATA, &[2])).contains("not little-endian"));
    assert!(text(problem(E_MACHINE, &[183, 0])).contains("ELF machine 183"));
    assert!(text(problem(E_TYPE, &[1, 0])).contains("ELF type 1"));
    assert!(text(load_bytes(Vec::new()).unwrap_err().problem).contains("not an ELF"));
}

#[test]
fn every_truncation_is_refused() {
    let elf = pvh_elf(CODE_BYTES);
    for len in 0..elf.len() {
        let problem = load_bytes(elf[..len].to_vec()).unwrap_err().problem;
        assert!(
            matches!(problem, KernelProblem::Truncated { .. }) || len < 4,
            "{len}: {problem}"
        );
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let ram = ram_ranges(MEMORY).unwrap();
    let memory = allocate(&ram).unwrap();
    let room = Room {
        ram: &ram,
        boot_area: BOOT_AREA,
    };
    let error = |path: &str| {
        let error = load(&Kernel::Path(path.into()), &room, &memory).unwrap_err();
        assert!(error.to_string().contains(path), "{error}");
        error.problem
    };
    assert!(matches!(error("/no/such/kernel"), KernelProblem::Read(_)));
    assert!(matches!(error("/dev"), KernelProblem::NotAFile));
    assert!(matches!(error("/dev/null"), KernelProblem::NotAFile));
}

#[test]
fn damaged_program_headers_are_refused() {
    let zero = 0_u64.to_le_bytes();
    assert!(matches!(problem(E_PHOFF, &zero), KernelProblem::NoSegments));
    assert!(matches!(
        problem(E_PHNUM, &[0, 0]),
        KernelProblem::NoSegments
    ));
    let damaged = [
        problem(E_PHOFF, &8_u64.to_le_bytes()),
        problem(E_PHNUM, &[0xff, 0xff]),
        problem(E_PHENTSIZE, &[32, 0]),
    ];
    for problem in damaged {
        assert!(
            matches!(problem, KernelProblem::ProgramHeaders { .. }),
            "{problem}"
        );
    }
    // Only the note segment is left.
    assert!(matches!(
        problem(E_PHNUM, &[1, 0]),
        KernelProblem::NoSegments
    ));
}

#[test]
fn bad_segments_are_refused() {
    type P = KernelProblem;
    assert!(matches!(segment(P_MEMSZ, 1), P::SegmentSize { .. }));
    assert!(matches!(segment(P_OFFSET, u64::MAX), P::Truncated { .. }));
    assert!(matches!(
        segment(P_PADDR, u64::MAX - 3),
        P::SegmentWraps { .. }
    ));
    assert!(matches!(
        segment(P_PADDR, MEMORY - 31),
        P::SegmentOutside { .. }
    ));
    assert!(matches!(segment(P_MEMSZ, MEMORY), P::SegmentOutside { .. }));
    assert!(matches!(segment(P_MEMSZ, 1 << 40), P::SegmentInHole { .. }));
    assert!(matches!(
        segment(P_PADDR, 0xd000_0000),
        P::SegmentInHole { .. }
    ));
    assert!(matches!(
        segment(P_PADDR, 0x5fff),
        P::SegmentInBootArea { .. }
    ));
    assert!(matches!(segment(P_PADDR, 0x20_0000), P::EntryOutside(CODE)));
    let text = segment(P_PADDR, MEMORY).to_string();
    assert!(
        text.contains("0x1000000..0x1000020 does not fit in a memory of 16M"),
        "{text}"
    );
}

#[test]
fn a_missing_or_damaged_note_is_named() {
    type P = KernelProblem;
    assert!(matches!(problem(NOTE + 8, &[17]), P::NoPvhNote));
    assert!(matches!(problem(NOTE + 12, b"Xon"), P::NoPvhNote));
    assert!(matches!(problem(NOTE, &[200]), P::BadNote(_)));
    assert!(matches!(problem(NOTE + 4, &[2]), P::BadNote(_)));
    assert!(matches!(
        problem(NOTE_HEADER + P_ALIGN, &[16]),
        P::BadNote(_)
    ));
    assert!(matches!(
        problem(NOTE_HEADER + P_FILESZ, &[255, 255]),
        P::Truncated { .. }
    ));
}

#[test]
fn a_later_note_segment_does_not_hide_the_entry() {
    // The load segment becomes a second note segment that holds no PVH note; a third program
    // header, over the old note, would be the load segment, so build the file by hand.
    let mut elf = pvh_elf(CODE_BYTES);
    let headers: Vec<u8> = elf[NOTE_HEADER..NOTE].to_vec();
    let mut empty_note = headers[..56].to_vec();
    empty_note[P_FILESZ..P_FILESZ + 8].fill(0);
    let at = elf.len().next_multiple_of(8);
    elf.resize(at, 0);
    elf.extend(headers);
    elf.extend(empty_note);
    elf[E_PHOFF..E_PHOFF + 8].copy_from_slice(&(at as u64).to_le_bytes());
    elf[E_PHNUM] = 3;
    assert_eq!(load_bytes(elf).unwrap().0.entry, CODE);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn corrupt_bytes_never_panic(
        changes in prop::collection::vec((0_usize..NOTE + 20, any::<u8>()), 1..6)
    ) {
        let mut elf = pvh_elf(CODE_BYTES);
        for (at, byte) in changes {
            elf[at] = byte;
        }
        if let Ok((layout, _)) = load_bytes(elf) {
            prop_assert!(layout.end <= MEMORY && layout.entry < layout.end);
        }
    }

    #[test]
    fn corrupt_words_never_panic(
        changes in prop::collection::vec((0_usize..22, any::<u64>()), 1..4)
    ) {
        let mut elf = pvh_elf(CODE_BYTES);
        for (at, word) in changes {
            elf[at * 8..at * 8 + 8].copy_from_slice(&word.to_le_bytes());
        }
        let _ = load_bytes(elf);
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = bytes;
        let _ = load_bytes(bytes.clone());
        let magic = b"\x7fELF\x02\x01\x01";
        let len = magic.len().min(bytes.len());
        bytes[..len].copy_from_slice(&magic[..len]);
        let _ = load_bytes(bytes);
    }
}
