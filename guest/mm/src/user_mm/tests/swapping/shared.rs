//! Pages in swap that several programs have, and pages that changed meanwhile.

use super::{AT, PAGES, content, filled, page_out, requests, slot, swapped};
use crate::{
    pgtable::Pte,
    user_mm::{
        Access,
        tests::{
            PAGE, World,
            cpu::{load, store, switch},
            oracle::check,
        },
    },
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{page::PageFlags, pte::PTE_ADDRESS};

#[test]
fn forks_share_what_is_in_swap() {
    let world = World::with_swap(100);
    let mut parent = swapped(&world);
    let mut child = parent.fork().unwrap();
    assert_eq!(child.swapped(), PAGES);
    check(world.mm(), &mut [&mut parent, &mut child]);
    // One read for both, and one frame.
    let before = requests(&world);
    content(&mut parent, AT);
    switch(world.mm().machine());
    content(&mut child, AT);
    assert_eq!(requests(&world) - before, PAGES);
    assert_eq!(child.major_faults(), 0);
    assert_eq!(parent.tables().get(AT).pfn(), child.tables().get(AT).pfn());
    check(world.mm(), &mut [&mut child, &mut parent]);
    store(&mut child, AT, 50).unwrap();
    assert_eq!(load(&mut child, AT), Ok(50));
    switch(world.mm().machine());
    content(&mut parent, AT);
    child.destroy();
    parent.destroy();
}

#[test]
fn a_store_spares_who_still_has_the_page_in_swap() {
    let world = World::with_swap(100);
    let mut parent = swapped(&world);
    let mut child = parent.fork().unwrap();
    // The page comes into the cache, where the child's entry leads to it: the parent gets a copy.
    store(&mut parent, AT, 60).unwrap();
    assert_eq!(load(&mut parent, AT), Ok(60));
    check(world.mm(), &mut [&mut parent, &mut child]);
    // The same after a load.
    load(&mut parent, AT + PAGE).unwrap();
    let cached = parent.tables().get(AT + PAGE).pfn();
    let slot = slot(&child, AT + PAGE).unwrap();
    assert_eq!(world.mm().swap_cache_entry(cached), Some(slot));
    store(&mut parent, AT + PAGE, 61).unwrap();
    assert_ne!(parent.tables().get(AT + PAGE).pfn(), cached);
    check(world.mm(), &mut [&mut parent, &mut child]);
    // When the child has its entry no more, the page in the cache is the parent's.
    load(&mut parent, AT + 2 * PAGE).unwrap();
    child.munmap(AT + 2 * PAGE, PAGE).unwrap();
    let own = parent.tables().get(AT + 2 * PAGE).pfn();
    store(&mut parent, AT + 2 * PAGE, 62).unwrap();
    assert_eq!(parent.tables().get(AT + 2 * PAGE).pfn(), own);
    check(world.mm(), &mut [&mut parent, &mut child]);
    switch(world.mm().machine());
    for (page, value) in [(0, 1), (1, 2), (3, 4)] {
        assert_eq!(load(&mut child, AT + page * PAGE), Ok(value));
    }
    child.destroy();
    parent.destroy();
}

#[test]
fn a_page_of_the_cache_goes_out_again_without_being_written() {
    let world = World::with_swap(100);
    let mut parent = swapped(&world);
    let child = parent.fork().unwrap();
    content(&mut parent, AT);
    let before = requests(&world);
    page_out(&mut parent);
    assert_eq!((requests(&world), parent.swapped()), (before, PAGES));
    assert_eq!(world.mm().swap_cached(), 0);
    child.destroy();
    content(&mut parent, AT);
    parent.destroy();
}

#[test]
fn a_page_that_was_written_out_in_vain_is_written_in_place() {
    let world = World::with_swap(100);
    let mut user = filled(&world);
    let pte = user.tables().get(AT);
    // What reclaim has done before it gives up, as when a mapping turns out to be locked.
    world.mm().write_protect_page(pte.pfn());
    world.mm().swap_out(pte.pfn()).unwrap();
    store(&mut user, AT, 70).unwrap();
    assert_eq!(user.tables().get(AT).pfn(), pte.pfn());
    let flags = world.mm().page(pte.pfn()).unwrap().flags.load(Relaxed);
    assert_eq!(flags & PageFlags::SWAPCACHE.bits(), 0);
    check(world.mm(), &mut [&mut user]);
    user.destroy();
}

#[test]
fn an_entry_that_changed_meanwhile_is_left_alone() {
    let world = World::with_swap(100);
    let mut user = filled(&world);
    let mut child = user.fork().unwrap();
    let area = user.next_area(AT).unwrap();
    // As if memory for the copy had been reclaimed from this very page.
    let before = user.tables().get(AT);
    child.munmap(AT, PAGE).unwrap();
    page_out(&mut user);
    let (slot, allocated) = (slot(&user, AT).unwrap(), world.in_use());
    let pfn = world.mm().swap_in(slot).unwrap();
    let stale = Pte(before.0 & !PTE_ADDRESS | pfn.phys());
    world.mm().get_page(pfn);
    assert_eq!(user.write_protect_fault(AT, &area, stale), Ok(()));
    assert_eq!(user.tables().get(AT).swap_entry(), Some(slot));
    world.mm().put_page(pfn);
    world.mm().put_page(pfn);
    assert_eq!(world.in_use(), allocated + 1, "the page in the cache");
    check(world.mm(), &mut [&mut user, &mut child]);
    // As if somebody else had brought the page in, while another program's entry leads to the slot.
    let before = user.tables().get(AT);
    let mut other = user.fork().unwrap();
    load(&mut user, AT).unwrap();
    let result = user.swap_fault(AT, &area, before, Access::Read);
    assert_eq!(result, Ok(()));
    check(world.mm(), &mut [&mut user, &mut child, &mut other]);
    other.destroy();
    content(&mut user, AT);
    child.destroy();
    user.destroy();
}
