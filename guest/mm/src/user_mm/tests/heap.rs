//! The heap and the stack.

use super::{
    FaultSignal, MmapRequest, PAGE, RW, World,
    cpu::{load, store},
    oracle::check,
};
use pagelab_abi::{errno::Errno, pte::USER_END, vma::STACK_GUARD_GAP};

#[test]
fn the_heap_grows_and_shrinks_and_stays_one_area() {
    let world = World::new();
    let mut user = world.user();
    let base = 0x60_0800;
    user.set_brk_start(base);
    assert_eq!(user.brk(0), base);
    assert_eq!(user.brk(base - 1), base);
    assert_eq!(user.brk(base + 8), base + 8, "within the page");
    assert_eq!(user.tree().len(), 0);
    assert_eq!(user.brk(base + 3 * PAGE), base + 3 * PAGE);
    assert_eq!(user.brk(base + 5 * PAGE), base + 5 * PAGE);
    assert_eq!(user.tree().len(), 1);
    store(&mut user, base + 4 * PAGE, 5).unwrap();
    assert_eq!(user.brk(base + PAGE), base + PAGE);
    assert_eq!(user.brk(base + 5 * PAGE), base + 5 * PAGE);
    assert_eq!(load(&mut user, base + 4 * PAGE), Ok(0));
    // Something in the way: a page is left between.
    let wall = 0x61_0000;
    user.mmap(&MmapRequest::anonymous(PAGE, RW).fixed(wall))
        .unwrap();
    let end = user.brk(0);
    assert_eq!(user.brk(wall), end);
    assert_eq!(user.brk(wall - PAGE), wall - PAGE);
    for wild in [1 << 30, USER_END + PAGE, u64::MAX] {
        assert_eq!(user.brk(wild), wall - PAGE, "{wild:#x}");
    }
    check(world.mm(), &mut [&mut user]);
    assert_eq!(user.brk(base), base);
    check(world.mm(), &mut [&mut user]);
}

#[test]
fn the_stack_grows_to_its_limit_and_keeps_its_distance() {
    let world = World::new();
    let mut user = world.user();
    let (top, limit) = (0x7fff_fff0_0000, 2 << 20);
    user.map_stack(top, 4 * PAGE, limit).unwrap();
    assert_eq!(user.map_stack(top, PAGE, limit), Err(Errno::ENOMEM));
    let low = top - 4 * PAGE;
    store(&mut user, low - 10 * PAGE, 1).unwrap();
    check(world.mm(), &mut [&mut user]);
    assert_eq!(
        user.mm_struct()
            .total_vm
            .load(core::sync::atomic::Ordering::Relaxed),
        14
    );
    // The kernel grows it for a system call just so.
    user.write(low - 20 * PAGE, &[1]).unwrap();
    let beyond = top - limit - 1;
    assert_eq!(
        store(&mut user, beyond, 1),
        Err(FaultSignal::MapErr(beyond))
    );
    store(&mut user, top - limit, 1).unwrap();
    // Nothing is placed in the guard gap, and growth stops before it meets an area.
    let below = top - limit - STACK_GUARD_GAP;
    let hint = MmapRequest {
        addr: below,
        ..MmapRequest::anonymous(PAGE, RW)
    };
    assert_ne!(user.mmap(&hint), Ok(below));
    check(world.mm(), &mut [&mut user]);
}

#[test]
fn growth_stops_a_guard_gap_above_another_area() {
    let world = World::new();
    let mut user = world.user();
    let top = 0x7fff_fff0_0000;
    user.map_stack(top, PAGE, 8 << 20).unwrap();
    let wall = top - STACK_GUARD_GAP - 8 * PAGE;
    user.mmap(&MmapRequest::anonymous(PAGE, RW).fixed(wall))
        .unwrap();
    let lowest = wall + PAGE + STACK_GUARD_GAP;
    let refused = lowest - PAGE;
    assert_eq!(load(&mut user, refused), Err(FaultSignal::MapErr(refused)));
    assert_eq!(load(&mut user, lowest), Ok(0));
    check(world.mm(), &mut [&mut user]);
}
