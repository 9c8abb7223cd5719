//! Every wrong free is caught, and its message says what is wrong.

use super::MIB;
use crate::{
    Order, Pfn,
    testing::{TestMachine, boot, boot_with},
    zone::ZoneConfig,
};
use pagelab_abi::{gfp::Gfp, page::PageFlags};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    string::String,
};

/// Runs `free`, which must panic, and returns the message.
fn panic_of(free: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(free)).expect_err("a panic");
    payload.downcast_ref::<String>().expect("a message").clone()
}

fn machine() -> crate::Mm<TestMachine> {
    boot(64 * MIB, ZoneConfig::CLASSIC)
}

fn order(number: u32) -> Order {
    Order::new(number).unwrap()
}

#[test]
fn twice_from_a_per_cpu_list() {
    let mm = machine();
    let pfn = mm.alloc_pages(Gfp::KERNEL, Order::ZERO).unwrap();
    mm.free_pages(pfn, Order::ZERO);
    let message = panic_of(|| mm.free_pages(pfn, Order::ZERO));
    assert_eq!(
        message,
        std::format!("double free: pfn {pfn}, order 0: free in a per-CPU list, order 0")
    );
}

#[test]
fn twice_from_the_buddy_lists() {
    let mm = machine();
    let pfn = mm.alloc_pages(Gfp::KERNEL, order(10)).unwrap();
    mm.free_pages(pfn, order(10));
    let message = panic_of(|| mm.free_pages(pfn, order(10)));
    assert_eq!(
        message,
        std::format!("double free: pfn {pfn}, order 10: free in the buddy lists, order 10")
    );
}

#[test]
fn twice_after_it_has_merged() {
    let mm = machine();
    let low = mm.alloc_pages(Gfp::KERNEL, order(4)).unwrap();
    let high = mm.alloc_pages(Gfp::KERNEL, order(4)).unwrap();
    assert_eq!(high, low.add(16), "the two are buddies");
    mm.free_pages(low, order(4));
    mm.free_pages(high, order(4));
    let message = panic_of(|| mm.free_pages(high, order(4)));
    assert!(
        message.starts_with(&std::format!(
            "foreign free: pfn {high} is inside the block at pfn"
        )),
        "{message}"
    );
}

#[test]
fn with_another_order() {
    let mm = machine();
    let pfn = mm.alloc_pages(Gfp::KERNEL, order(3)).unwrap();
    for wrong in [0, 2, 4, 10] {
        let message = panic_of(|| mm.free_pages(pfn, order(wrong)));
        assert_eq!(
            message,
            std::format!(
                "wrong order: free of pfn {pfn} with order {wrong}: allocated with order 3"
            )
        );
    }
}

#[test]
fn inside_a_block() {
    let mm = machine();
    for number in [1, 3, 9, 10] {
        for gfp in [Gfp::KERNEL, Gfp::KERNEL | Gfp::COMP] {
            let pfn = mm.alloc_pages(gfp, order(number)).unwrap();
            let last = pfn.add(order(number).pages() - 1);
            let message = panic_of(|| mm.free_pages(last, Order::ZERO));
            assert!(
                message.starts_with(&std::format!(
                    "foreign free: pfn {last} is inside the block at pfn {pfn}, order {number}: "
                )),
                "{message}"
            );
            mm.free_pages(pfn, order(number));
        }
    }
}

#[test]
fn outside_ram_and_reserved() {
    let mm = boot_with(60 * MIB, ZoneConfig::CLASSIC, 1, &[(0, 5 * MIB)]);
    let message = panic_of(|| mm.free_pages(Pfn(0x100_0000), Order::ZERO));
    assert_eq!(
        message,
        "foreign free: pfn 0x1000000 is outside RAM, which ends at pfn 0x3c00"
    );
    // A pageblock that is reserved as a whole, and one that is in part.
    let message = panic_of(|| mm.free_pages(Pfn(0x10), Order::ZERO));
    assert_eq!(message, "bad free: pfn 0x10 is in a reserved pageblock");
    let message = panic_of(|| mm.free_pages(Pfn(0x410), Order::ZERO));
    assert_eq!(
        message,
        "bad free: pfn 0x410, order 0: reserved, the page allocator never had it"
    );
}

#[test]
fn in_a_hole() {
    let mm = boot(63 * MIB, ZoneConfig::CLASSIC);
    let message = panic_of(|| mm.free_pages(Pfn(63 * 256 + 1), Order::ZERO));
    assert!(
        message.starts_with("bad free: pfn 0x3f01, order 0: reserved"),
        "{message}"
    );
    let mm = boot(62 * MIB, ZoneConfig::CLASSIC);
    let message = panic_of(|| mm.free_pages(Pfn(63 * 256 + 1), Order::ZERO));
    assert_eq!(message, "foreign free: pfn 0x3f01 is not RAM");
}

#[test]
fn what_belongs_to_somebody_else() {
    let mm = machine();
    let pfn = mm.alloc_pages(Gfp::KERNEL, Order::ZERO).unwrap();
    mm.set_page_flags(pfn, PageFlags::SLAB);
    let message = panic_of(|| mm.free_pages(pfn, Order::ZERO));
    assert_eq!(
        message,
        std::format!("bad free: pfn {pfn}, order 0: a slab, order 0; free its objects")
    );
    mm.clear_page_flags(pfn, PageFlags::SLAB);
    mm.get_page(pfn);
    let message = panic_of(|| mm.free_pages(pfn, Order::ZERO));
    assert_eq!(
        message,
        std::format!("bad free: pfn {pfn}, order 0: 2 references, must be 1")
    );
    let (pfn, order) = mm.balloon_inflate(order(5)).unwrap();
    let message = panic_of(|| mm.free_pages(pfn, order));
    assert_eq!(
        message,
        std::format!("bad free: pfn {pfn}, order 5: in the balloon, order 5")
    );
}

#[test]
fn a_reference_to_a_free_page() {
    let mm = machine();
    let pfn = mm.alloc_pages(Gfp::KERNEL, Order::ZERO).unwrap();
    mm.free_pages(pfn, Order::ZERO);
    let message = panic_of(|| mm.get_page(pfn));
    assert!(message.contains("which is not allocated"), "{message}");
    let message = panic_of(|| mm.split_page(pfn, order(1)));
    assert!(message.starts_with("bad split"), "{message}");
    let message = panic_of(|| mm.balloon_deflate(pfn, Order::ZERO));
    assert!(message.starts_with("bad deflate"), "{message}");
}
