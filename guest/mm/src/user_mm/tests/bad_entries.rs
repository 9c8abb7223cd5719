//! Page tables that memory did not keep as they were written.

use super::{
    MmapRequest, PAGE, RW, World,
    oracle::check,
    thp::{HUGE, huge},
};
use crate::{testing::TestMachine, user_mm::UserMm};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::pte::{PTE_ADDRESS, PTE_LARGE};
use std::vec::Vec;

const AT: u64 = 0x40_0000;

/// What is done with the address space after the bit was turned over.
const WAYS: [fn(&mut UserMm<TestMachine>, u64); 5] = [
    |_, _| {},
    |user, at| user.munmap(at, 8 * PAGE).unwrap(),
    |user, at| {
        user.fork().unwrap().destroy();
        user.munmap(at + PAGE, PAGE).unwrap();
    },
    |user, at| {
        user.mprotect(at, 2 * PAGE, pagelab_abi::mman::Prot::READ)
            .unwrap()
    },
    |user, at| {
        user.write(at + 2 * PAGE, &[9]).unwrap();
    },
];

/// Turns bits of an entry over, and says what it was.
fn flip(user: &UserMm<TestMachine>, at: u64, level: u32, bits: u64) -> u64 {
    user.tables().entry_at(at, level).fetch_xor(bits, Relaxed)
}

fn bytes(user: &mut UserMm<TestMachine>, at: u64) -> Vec<u8> {
    let byte = |page: u64| {
        let mut byte = [0];
        user.read(at + page * PAGE, &mut byte).unwrap();
        byte[0]
    };
    (0..8).map(byte).collect()
}

#[test]
fn an_entry_that_became_large_leads_to_its_node_again() {
    for level in 1..4 {
        for way in WAYS {
            let world = World::new();
            let mut user = world.user();
            user.mmap(&MmapRequest::anonymous(8 * PAGE, RW).fixed(AT))
                .unwrap();
            for page in 0..8 {
                user.write(AT + page * PAGE, &[1 + page as u8]).unwrap();
            }
            flip(&user, AT, level, PTE_LARGE);
            assert_eq!(bytes(&mut user, AT), [1, 2, 3, 4, 5, 6, 7, 8], "{level}");
            assert_eq!(world.mm().bad_entries(), u64::from(level == 1));
            if level == 1 {
                flip(&user, AT, level, PTE_LARGE);
            }
            way(&mut user, AT);
            if level == 1 {
                bytes_are_there(&mut user);
                check(world.mm(), &mut [&mut user]);
            }
            user.destroy();
        }
    }
}

/// The last page is in no way's reach but the second one's.
fn bytes_are_there(user: &mut UserMm<TestMachine>) {
    let mut byte = [0];
    if user.read(AT + 7 * PAGE, &mut byte).is_ok() {
        assert_eq!(byte, [8]);
    }
}

#[test]
fn a_large_entry_leads_to_its_first_page_again() {
    for bit in 12..21 {
        for way in WAYS {
            let world = World::new();
            let mut user = huge(&world);
            let before = flip(&user, HUGE, 1, 1 << bit);
            way(&mut user, HUGE);
            let mut byte = [0];
            user.read(HUGE + 64 * PAGE, &mut byte).unwrap();
            assert_eq!(byte, [2], "bit {bit}");
            assert_eq!(world.mm().bad_entries(), 1);
            let after = flip(&user, HUGE, 1, 0);
            if after & PTE_LARGE != 0 {
                assert_eq!(after & PTE_ADDRESS, before & PTE_ADDRESS);
            }
            check(world.mm(), &mut [&mut user]);
            user.destroy();
        }
    }
}

/// What is behind such an entry is lost, but nothing else. One that leads to another frame of RAM cannot be told
/// from a good one; the host's audits do.
#[test]
fn an_entry_that_leads_nowhere_is_told_and_passed_over() {
    // The machine has 32 MiB.
    for bit in 25..44 {
        for way in &WAYS[..3] {
            let world = World::new();
            let mut user = world.user();
            let mut other = world.user();
            for user in [&mut user, &mut other] {
                user.mmap(&MmapRequest::anonymous(8 * PAGE, RW).fixed(AT))
                    .unwrap();
                for page in 0..8 {
                    user.write(AT + page * PAGE, &[1 + page as u8]).unwrap();
                }
            }
            flip(&user, AT + PAGE, 0, 1 << bit);
            way(&mut user, AT);
            user.destroy();
            assert!(world.mm().bad_entries() > 0, "{bit}");
            assert_eq!(bytes(&mut other, AT), [1, 2, 3, 4, 5, 6, 7, 8], "{bit}");
            other.destroy();
            // A frame is lost, which its end would tell.
            core::mem::forget(world);
        }
    }
}
