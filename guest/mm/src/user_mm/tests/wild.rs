//! Whatever a program asks for, the kernel answers: no argument makes it panic.

use super::{Access, FileMapping, MmapRequest, PAGE, RW, World, oracle::check};
use pagelab_abi::{
    mman::{MapFlags, MlockallFlags, MremapFlags, MsyncFlags, Prot},
    pte::USER_END,
};
use proptest::prelude::*;

/// Addresses and lengths near all that is a bound.
fn word() -> impl Strategy<Value = u64> {
    let bounds = std::vec![
        0,
        0x1_0000,
        AT,
        AT + 16 * PAGE,
        0x7fff_f7ff_f000,
        STACK,
        USER_END,
        1 << 47,
        1 << 63,
        0xffff_8000_0000_0000,
        0xffff_8880_0000_0000,
        u64::MAX,
    ];
    prop_oneof![
        4 => (prop::sample::select(bounds), -3..=3i64, -1..=1i64).prop_map(|(base, pages, bytes)| {
            base.wrapping_add_signed(pages * PAGE as i64 + bytes)
        }),
        2 => (0..20u64).prop_map(|pages| pages * PAGE),
        1 => any::<u64>(),
    ]
}

const AT: u64 = 0x40_0000;
const STACK: u64 = 0x7fff_ff00_0000;

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn no_argument_makes_the_kernel_panic(
        calls in prop::collection::vec((0..18u32, word(), word(), word(), word(), any::<u32>()), 1..40),
    ) {
        let world = World::new();
        let file = world.mm().file_new().unwrap();
        world.mm().file_set_size(file, 5 * PAGE).unwrap();
        let mut user = world.user();
        user.mmap(&MmapRequest::anonymous(16 * PAGE, RW).fixed(AT)).unwrap();
        user.map_stack(STACK, 4 * PAGE, 64 * PAGE).unwrap();
        user.set_brk_start(0x100_0000);
        for (call, a, b, c, d, bits) in calls {
            let prot = Prot::from_bits_retain(if bits & 8 == 0 { bits & 7 } else { bits });
            // Not so much that all of it is populated.
            let small = b % (64 * PAGE);
            let flags = MapFlags::from_bits_retain(bits >> 8);
            match call {
                0..=2 => {
                    let len = if flags.intersects(MapFlags::POPULATE | MapFlags::LOCKED) {
                        small
                    } else {
                        b
                    };
                    let mapping = FileMapping {
                        file,
                        pgoff: c,
                        may_read: bits & 16 == 0,
                        may_write: bits & 32 == 0,
                    };
                    let request = MmapRequest {
                        addr: a,
                        len,
                        prot,
                        flags: if call == 0 { MapFlags::PRIVATE | flags } else { flags },
                        file: (call == 2).then_some(mapping),
                    };
                    let _ = user.mmap(&request);
                }
                3 => drop(user.munmap(a, b)),
                4 => drop(user.mprotect(a, b, prot)),
                5 => drop(user.mremap(a, b, c, MremapFlags::from_bits_retain(bits & 15), d)),
                6 => drop(user.madvise(a, if bits & 31 < 22 { b } else { small }, bits & 31)),
                7 => drop(user.mlock(a, small, bits & 1)),
                8 => drop(user.munlock(a, b)),
                9 => drop(user.msync(a, b, MsyncFlags::from_bits_retain(bits & 15))),
                10 => drop(user.mincore(a, b % (1 << 30), c)),
                11 => drop(user.brk(a)),
                12 => drop(user.fault_in(a, Access::of_error_code(bits.into()))),
                13 => drop(user.handle_fault(a, bits.into())),
                14 => drop(user.read(a, &mut std::vec![0; small as usize])),
                15 => drop(user.write(a, &std::vec![1; small as usize])),
                16 => drop(user.clear(a, small as usize)),
                _ => {
                    let flags = MlockallFlags::from_bits_retain(bits & 15);
                    // What is there may be more than all RAM.
                    let _ = user.mlockall(flags - MlockallFlags::CURRENT);
                    user.munlockall();
                }
            }
        }
        check(world.mm(), &mut [&mut user]);
        let mut child = user.fork().unwrap();
        check(world.mm(), &mut [&mut user, &mut child]);
        child.destroy();
        user.destroy();
        world.mm().file_put(file);
    }
}
