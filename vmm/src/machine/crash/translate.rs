//! The least page-table walk that a crash report needs: where a virtual address is. Rights do not
//! matter here; the inspector has the walker that knows them.

use vm_memory::{Bytes, GuestAddress};

use crate::machine::memory::GuestMemory;
use crate::machine::registers::{CR0_PG, CR4_LA57, CR4_PAE, ControlRegisters, EFER_LMA};

const PRESENT: u64 = 1 << 0;
const LARGE: u64 = 1 << 7;
/// Bits 51:12 of an entry (Intel SDM vol. 3, table 4-20).
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// The guest physical address of a virtual one, if it is mapped. `None` also for 32-bit paging,
/// which no kernel that boots here uses for long.
pub(super) fn translate(
    memory: &GuestMemory,
    control: &ControlRegisters,
    address: u64,
) -> Option<u64> {
    if control.cr0 & CR0_PG == 0 {
        return Some(address);
    }
    if control.efer & EFER_LMA == 0 || control.cr4 & CR4_PAE == 0 {
        return None;
    }
    let levels = if control.cr4 & CR4_LA57 == 0 { 4 } else { 5 };
    let mut table = control.cr3 & ADDRESS;
    for level in (0..levels).rev() {
        let shift = 12 + 9 * level;
        let index = address >> shift & 0x1ff;
        let entry: u64 = memory
            .read_obj(GuestAddress(table.checked_add(index * 8)?))
            .ok()?;
        if entry & PRESENT == 0 {
            return None;
        }
        let is_leaf = level == 0 || entry & LARGE != 0 && level <= 2;
        if is_leaf {
            let offset = (1 << shift) - 1;
            return Some(entry & ADDRESS & !offset | address & offset);
        }
        table = entry & ADDRESS;
    }
    None
}

/// Reads virtual memory up to the first byte that is not mapped, at most `buffer.len()` bytes.
pub(super) fn read<'a>(
    memory: &GuestMemory,
    control: &ControlRegisters,
    address: u64,
    buffer: &'a mut [u8],
) -> &'a [u8] {
    let mut done = 0;
    while done < buffer.len() {
        let Some(at) = address.checked_add(done as u64) else {
            break;
        };
        let in_page = (0x1000 - (at & 0xfff)) as usize;
        let len = in_page.min(buffer.len() - done);
        let piece = &mut buffer[done..done + len];
        let read = translate(memory, control, at)
            .and_then(|gpa| memory.read_slice(piece, GuestAddress(gpa)).ok());
        if read.is_none() {
            break;
        }
        done += len;
    }
    &buffer[..done]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::memory::{allocate, ram_ranges};
    use proptest::prelude::*;

    const LONG_MODE: ControlRegisters = ControlRegisters {
        cr0: CR0_PG | 1,
        cr2: 0,
        cr3: 0x1000,
        cr4: CR4_PAE,
        efer: EFER_LMA | 1 << 8,
        pkru: 0,
    };

    /// 4 KiB at 0x40_0000 on 0x9000, 2 MiB at 0x60_0000 on 0x20_0000, nothing else.
    fn guest() -> GuestMemory {
        let memory = allocate(&ram_ranges(16 << 20).unwrap()).unwrap();
        let entries = [
            (0x1000, 0x2003_u64),
            (0x2000, 0x3003),
            (0x3000 + 2 * 8, 0x4003),
            (0x3000 + 3 * 8, 0x20_0083),
            (0x4000, 0x9003),
        ];
        for (address, entry) in entries {
            memory.write_obj(entry, GuestAddress(address)).unwrap();
        }
        memory
            .write_obj(0x1122_3344_u32, GuestAddress(0x9ffc))
            .unwrap();
        memory
    }

    #[test]
    fn finds_small_and_large_pages() {
        let memory = guest();
        let gpa = |address| translate(&memory, &LONG_MODE, address);
        assert_eq!(gpa(0x40_0123), Some(0x9123));
        assert_eq!(gpa(0x61_2345), Some(0x21_2345));
        assert_eq!(gpa(0x40_1000), None);
        assert_eq!(gpa(0xffff_8000_0000_0000), None);
    }

    #[test]
    fn reading_ends_where_the_mapping_does() {
        let memory = guest();
        let mut buffer = [0; 16];
        let bytes = read(&memory, &LONG_MODE, 0x40_0ffc, &mut buffer);
        assert_eq!(bytes, 0x1122_3344_u32.to_le_bytes());
    }

    proptest! {
        #[test]
        fn garbage_never_panics(cr: [u64; 3], address: u64, entries: [u64; 8]) {
            let memory = allocate(&ram_ranges(16 << 20).unwrap()).unwrap();
            for (at, entry) in (0..).zip(entries) {
                memory.write_obj(entry, GuestAddress(at * 0x1000)).unwrap();
            }
            let control = ControlRegisters {
                cr0: cr[0] | CR0_PG, cr3: cr[1] & 0xf000, cr4: cr[2] | CR4_PAE, efer: EFER_LMA,
                ..Default::default()
            };
            let mut buffer = [0; 64];
            let _ = read(&memory, &control, address, &mut buffer);
        }
    }
}
