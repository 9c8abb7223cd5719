//! The chain of frame pointers.

use super::translate;
use crate::machine::memory::GuestMemory;
use crate::machine::registers::Registers;

/// Most frames that are followed.
const MAX_FRAMES: usize = 48;

/// Addresses of the code that was running, innermost first: `rip`, then a return address for each
/// frame. Frames must go up the stack, so a loop ends.
pub(super) fn addresses(
    memory: &GuestMemory,
    registers: &Registers,
    rip: u64,
    rbp: u64,
) -> Vec<u64> {
    let mut addresses = vec![rip];
    if registers.code_bits != 64 {
        return addresses;
    }
    let mut frame = rbp;
    while addresses.len() < MAX_FRAMES && frame != 0 && frame.is_multiple_of(8) {
        let mut bytes = [0; 16];
        if translate::read(memory, &registers.control, frame, &mut bytes).len() != bytes.len() {
            break;
        }
        let [next, caller] = [&bytes[..8], &bytes[8..]].map(|half| {
            half.iter()
                .rev()
                .fold(0, |value, byte| value << 8 | u64::from(*byte))
        });
        if caller == 0 {
            break;
        }
        addresses.push(caller);
        if next <= frame {
            break;
        }
        frame = next;
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::memory::{allocate, ram_ranges};
    use proptest::prelude::*;
    use vm_memory::{Bytes, GuestAddress};

    fn registers() -> Registers {
        Registers {
            code_bits: 64,
            ..Default::default()
        }
    }

    fn guest(words: &[(u64, u64)]) -> GuestMemory {
        let memory = allocate(&ram_ranges(16 << 20).unwrap()).unwrap();
        for (address, word) in words {
            memory.write_obj(*word, GuestAddress(*address)).unwrap();
        }
        memory
    }

    #[test]
    fn follows_frames_to_their_end() {
        let words = [(0x1000, 0x1100), (0x1008, 0xa), (0x1100, 0), (0x1108, 0xb)];
        let found = addresses(&guest(&words), &registers(), 0x99, 0x1000);
        assert_eq!(found, [0x99, 0xa, 0xb]);
    }

    #[test]
    fn a_loop_ends() {
        let words = [
            (0x1000, 0x1100),
            (0x1008, 0xa),
            (0x1100, 0x1000),
            (0x1108, 0xb),
        ];
        let found = addresses(&guest(&words), &registers(), 0x99, 0x1000);
        assert_eq!(found, [0x99, 0xa, 0xb]);
    }

    #[test]
    fn a_stack_outside_memory_gives_the_instruction_only() {
        for rbp in [0, 7, 0xd000_0000, u64::MAX - 7] {
            assert_eq!(addresses(&guest(&[]), &registers(), 1, rbp), [1]);
        }
    }

    proptest! {
        #[test]
        fn garbage_is_bounded(words: [u64; 64], rbp in 0_u64..512) {
            let memory = guest(&[]);
            for (at, word) in (0..).zip(words) {
                memory.write_obj(word % 512, GuestAddress(at * 8)).unwrap();
            }
            let found = addresses(&memory, &registers(), 1, rbp);
            prop_assert!(found.len() <= MAX_FRAMES);
        }
    }
}
