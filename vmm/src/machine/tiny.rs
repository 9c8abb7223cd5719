//! Kernels of a few instructions: for the doctor's probes and for tests.

/// Physical address at which the code of [`pvh_elf`] is loaded and starts.
pub const CODE: u64 = 0x10_0000;

/// An ELF with a PVH note that loads `code` at [`CODE`] and starts there in 32-bit protected mode
/// without paging.
pub fn pvh_elf(code: &[u8]) -> Vec<u8> {
    const HEADER: u64 = 64;
    const PROGRAM_HEADER: u64 = 56;
    const NOTE: u64 = 20;
    let note_at = HEADER + 2 * PROGRAM_HEADER;
    let code_at = note_at + NOTE;
    let mut elf = Vec::new();
    // e_ident: 64-bit, little-endian, version 1.
    elf.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    let halves = |elf: &mut Vec<u8>, values: &[u16]| {
        values.iter().for_each(|v| elf.extend(v.to_le_bytes()));
    };
    let words = |elf: &mut Vec<u8>, values: &[u32]| {
        values.iter().for_each(|v| elf.extend(v.to_le_bytes()));
    };
    let longs = |elf: &mut Vec<u8>, values: &[u64]| {
        values.iter().for_each(|v| elf.extend(v.to_le_bytes()));
    };
    // ET_EXEC, EM_X86_64, version, entry, phoff, shoff, flags, sizes and counts.
    halves(&mut elf, &[2, 62]);
    words(&mut elf, &[1]);
    longs(&mut elf, &[CODE, HEADER, 0]);
    words(&mut elf, &[0]);
    halves(
        &mut elf,
        &[HEADER as u16, PROGRAM_HEADER as u16, 2, 64, 0, 0],
    );
    // PT_NOTE readable; PT_LOAD executable, writable and readable.
    words(&mut elf, &[4, 4]);
    longs(&mut elf, &[note_at, 0, 0, NOTE, NOTE, 4]);
    words(&mut elf, &[1, 7]);
    let len = code.len() as u64;
    longs(&mut elf, &[code_at, CODE, CODE, len, len, 1]);
    // XEN_ELFNOTE_PHYS32_ENTRY.
    words(&mut elf, &[4, 4, 18]);
    elf.extend(b"Xen\0");
    words(&mut elf, &[CODE as u32]);
    elf.extend(code);
    elf
}
