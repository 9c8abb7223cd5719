//! Pages that go to swap and come back, and all calls that meet entries of such pages.

use super::{
    FaultSignal, MmapRequest, PAGE, RW, World,
    cpu::{load, store, switch},
    oracle::check,
};
use crate::{
    machine::Machine,
    pgtable::Pte,
    swap::SwapEntry,
    testing::TestMachine,
    user_mm::{Access, UserMm},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    errno::Errno,
    mman::{MADV_DONTNEED, MADV_FREE, MADV_PAGEOUT, MADV_WILLNEED, MapFlags, MremapFlags, Prot},
    page::PageFlags,
    pte::PTE_ADDRESS,
    vmstat::VmEvent,
};

const AT: u64 = 0x40_0000;
const PAGES: u64 = 4;

/// A program with content in all pages of an area at [`AT`].
fn filled(world: &World) -> UserMm<TestMachine> {
    let mut user = world.user();
    switch(world.mm().machine());
    let request = MmapRequest::anonymous(PAGES * PAGE, RW).fixed(AT);
    user.mmap(&request).unwrap();
    for page in 0..PAGES {
        store(&mut user, AT + page * PAGE, 1 + page as u8).unwrap();
    }
    user
}

fn page_out(user: &mut UserMm<TestMachine>) {
    user.madvise(AT, PAGES * PAGE, MADV_PAGEOUT).unwrap();
}

/// A program all of whose pages are in swap.
fn swapped(world: &World) -> UserMm<TestMachine> {
    let mut user = filled(world);
    page_out(&mut user);
    assert_eq!((user.resident(), user.swapped()), (0, PAGES));
    check(world.mm(), &mut [&mut user]);
    user
}

fn content(user: &mut UserMm<TestMachine>, at: u64) {
    for page in 0..PAGES {
        assert_eq!(load(user, at + page * PAGE), Ok(1 + page as u8), "{page}");
    }
}

/// The slot that the entry of an address leads to.
fn slot(user: &UserMm<TestMachine>, at: u64) -> Option<SwapEntry> {
    user.tables().get(at).swap_entry()
}

fn requests(world: &World) -> u64 {
    world.mm().machine().disk().requests()
}

#[test]
fn pages_go_out_at_the_programs_wish_and_come_back_by_faults() {
    let world = World::with_swap(100);
    let mut user = swapped(&world);
    assert_eq!(world.mm().swap_slots(), (99, 95));
    let minor = user.faults();
    content(&mut user, AT);
    assert_eq!((user.resident(), user.swapped()), (PAGES, 0));
    assert_eq!((user.faults() - minor, user.major_faults()), (0, PAGES));
    for event in [VmEvent::Pswpin, VmEvent::Pswpout, VmEvent::Pgmajfault] {
        assert_eq!(world.mm().event_count(event), PAGES, "{event:?}");
    }
    // The slots are free, so the pages are the program's own.
    assert_eq!(world.mm().swap_slots(), (99, 99));
    check(world.mm(), &mut [&mut user]);
    for page in 0..PAGES {
        store(&mut user, AT + page * PAGE, 9).unwrap();
    }
    assert_eq!(user.resident(), PAGES);
    check(world.mm(), &mut [&mut user]);
    // A page that was written since goes out with what it has now.
    page_out(&mut user);
    assert_eq!(load(&mut user, AT), Ok(9));
    user.destroy();
}

#[test]
fn a_store_to_a_page_in_swap_needs_no_copy() {
    let world = World::with_swap(100);
    let mut user = swapped(&world);
    let allocated = world.in_use();
    store(&mut user, AT, 7).unwrap();
    assert_eq!(world.in_use(), allocated + 1);
    assert!(user.tables().get(AT).is_writable());
    check(world.mm(), &mut [&mut user]);
    user.destroy();
}

#[test]
fn the_kernel_reads_and_writes_pages_in_swap() {
    let world = World::with_swap(100);
    let mut user = swapped(&world);
    let mut bytes = [0; 2 * PAGE as usize];
    user.read(AT, &mut bytes).unwrap();
    assert_eq!((bytes[0], bytes[PAGE as usize]), (1, 2));
    user.write(AT + 3 * PAGE - 1, &[5, 6]).unwrap();
    assert_eq!(load(&mut user, AT + 2 * PAGE), Ok(3));
    assert_eq!(load(&mut user, AT + 3 * PAGE - 1), Ok(5));
    assert_eq!(load(&mut user, AT + 3 * PAGE), Ok(6));
    check(world.mm(), &mut [&mut user]);
    user.destroy();
}

#[test]
fn without_room_or_with_company_pages_stay() {
    for slots in [0, 3] {
        let world = World::with_swap(slots);
        let mut user = filled(&world);
        page_out(&mut user);
        let room = slots.saturating_sub(1);
        assert_eq!((user.swapped(), user.resident()), (room, PAGES - room));
        content(&mut user, AT);
        check(world.mm(), &mut [&mut user]);
        user.destroy();
    }
    // A page that another program maps as well stays, and so does the page of zeros.
    let world = World::with_swap(100);
    let mut user = filled(&world);
    let child = user.fork().unwrap();
    page_out(&mut user);
    assert_eq!(user.swapped(), 0);
    child.destroy();
    user.mmap(&MmapRequest::anonymous(PAGE, RW).fixed(AT))
        .unwrap();
    load(&mut user, AT).unwrap();
    page_out(&mut user);
    assert_eq!(user.swapped(), PAGES - 1);
    assert!(user.tables().get(AT).is_special());
    // A locked area's pages may not go.
    user.mlock(AT, PAGES * PAGE, 0).unwrap();
    assert_eq!(user.swapped(), 0);
    let advised = user.madvise(AT, PAGES * PAGE, MADV_PAGEOUT);
    assert_eq!(advised, Err(Errno::EINVAL));
    user.destroy();
}

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
fn whatever_takes_pages_away_frees_their_slots() {
    let free = |world: &World| world.mm().swap_slots().1;
    let world = World::with_swap(100);
    let mut user = swapped(&world);
    for (page, advice) in [(0, MADV_DONTNEED), (1, MADV_FREE)] {
        user.madvise(AT + page * PAGE, PAGE, advice).unwrap();
        check(world.mm(), &mut [&mut user]);
    }
    assert_eq!(free(&world), 97);
    assert_eq!(load(&mut user, AT), Ok(0));
    user.munmap(AT + 2 * PAGE, PAGE).unwrap();
    assert_eq!(free(&world), 98);
    let request = MmapRequest::anonymous(PAGE, RW).fixed(AT + 3 * PAGE);
    user.mmap(&request).unwrap();
    assert_eq!((free(&world), user.swapped()), (99, 0));
    check(world.mm(), &mut [&mut user]);
    user.destroy();
    // An exit.
    swapped(&world).destroy();
    assert_eq!(free(&world), 99);
    // A program that a fork could not finish.
    let mut user = swapped(&world);
    let first = slot(&user, AT + 2 * PAGE).unwrap();
    world.mm().swap_free(first).unwrap();
    assert!(user.fork().is_err(), "an entry leads nowhere");
    let entry = user.tables().walk(AT + 2 * PAGE).unwrap();
    entry.store(0, Relaxed);
    user.add_rss(pagelab_abi::mm_struct::RssStat::Swap, -1);
    check(world.mm(), &mut [&mut user]);
    user.destroy();
}

#[test]
fn private_copies_of_a_file_go_to_swap_and_its_pages_do_not() {
    let world = World::with_swap(100);
    let mm = world.mm();
    let file = mm.file_new().unwrap();
    mm.file_write(file, 0, &[8; 2 * PAGE as usize]).unwrap();
    let mut user = world.user();
    switch(mm.machine());
    let request = MmapRequest::of_file(2 * PAGE, RW, MapFlags::PRIVATE, file, 0);
    user.mmap(&request.fixed(AT)).unwrap();
    store(&mut user, AT, 9).unwrap();
    load(&mut user, AT + PAGE).unwrap();
    user.madvise(AT, 2 * PAGE, MADV_PAGEOUT).unwrap();
    assert_eq!((user.swapped(), user.resident()), (1, 1));
    check(mm, &mut [&mut user]);
    // A hole in the file leaves the copy where it is, a shorter file takes it away.
    mm.punch_hole(file, 0, 2 * PAGE).unwrap();
    assert_eq!((user.swapped(), user.resident()), (1, 0));
    assert_eq!(load(&mut user, AT), Ok(9));
    user.madvise(AT, PAGE, MADV_PAGEOUT).unwrap();
    mm.truncate(file, 0).unwrap();
    assert_eq!(user.swapped(), 0);
    assert_eq!(load(&mut user, AT), Err(FaultSignal::BusAdrErr(AT)));
    check(mm, &mut [&mut user]);
    user.destroy();
    mm.file_put(file);
}

#[test]
fn rights_and_places_change_under_pages_in_swap() {
    let world = World::with_swap(100);
    let mut user = swapped(&world);
    user.mprotect(AT, PAGE, Prot::empty()).unwrap();
    user.mprotect(AT + PAGE, PAGE, Prot::READ).unwrap();
    check(world.mm(), &mut [&mut user]);
    assert_eq!(load(&mut user, AT), Err(FaultSignal::AccErr(AT)));
    assert_eq!(load(&mut user, AT + PAGE), Ok(2));
    let denied = Err(FaultSignal::AccErr(AT + PAGE));
    assert_eq!(store(&mut user, AT + PAGE, 1), denied);
    // A page that nobody may access goes out as well.
    user.mprotect(AT, PAGES * PAGE, RW).unwrap();
    content(&mut user, AT);
    user.mprotect(AT, PAGES * PAGE, Prot::empty()).unwrap();
    page_out(&mut user);
    assert_eq!(user.swapped(), PAGES);
    user.mprotect(AT, PAGES * PAGE, RW).unwrap();
    let flags = MremapFlags::MAYMOVE | MremapFlags::FIXED;
    let (len, to) = (PAGES * PAGE, 0x12_3456_7000);
    assert_eq!(user.mremap(AT, len, 2 * len, flags, to), Ok(to));
    assert_eq!(user.swapped(), PAGES);
    check(world.mm(), &mut [&mut user]);
    content(&mut user, to);
    check(world.mm(), &mut [&mut user]);
    user.destroy();
}

#[test]
fn pages_are_read_in_ahead_and_mincore_says_so() {
    let world = World::with_swap(100);
    let mut user = swapped(&world);
    let vec = 0x80_0000;
    user.mmap(&MmapRequest::anonymous(PAGE, RW).fixed(vec))
        .unwrap();
    let in_core = |user: &mut UserMm<TestMachine>| {
        user.mincore(AT, PAGES * PAGE, vec).unwrap();
        let mut bytes = [0; PAGES as usize];
        user.read(vec, &mut bytes).unwrap();
        bytes
    };
    assert_eq!(in_core(&mut user), [0; 4]);
    user.madvise(AT + PAGE, 2 * PAGE, MADV_WILLNEED).unwrap();
    assert_eq!(in_core(&mut user), [0, 1, 1, 0]);
    assert_eq!((user.swapped(), world.mm().swap_cached()), (PAGES, 2));
    check(world.mm(), &mut [&mut user]);
    let (reads, minor) = (requests(&world), user.faults());
    assert_eq!(load(&mut user, AT + PAGE), Ok(2));
    assert_eq!((requests(&world), user.faults()), (reads, minor + 1));
    assert_eq!(user.major_faults(), 0);
    load(&mut user, AT).unwrap();
    assert_eq!(in_core(&mut user), [1, 1, 1, 0]);
    check(world.mm(), &mut [&mut user]);
    user.destroy();
}

#[test]
fn a_page_that_cannot_be_read_is_a_sigbus_and_comes_back_later() {
    let world = World::with_swap(100);
    let disk = world.mm().machine().disk();
    let mut user = swapped(&world);
    disk.fail_from(1, 2);
    let at = AT + PAGE + 5;
    assert_eq!(load(&mut user, at), Err(FaultSignal::BusAdrErr(at)));
    check(world.mm(), &mut [&mut user]);
    disk.fail_from(1, 2);
    let mut byte = [0];
    let fault = user.read(at, &mut byte).unwrap_err();
    assert_eq!(
        (fault.copied, fault.signal),
        (0, FaultSignal::BusAdrErr(at))
    );
    disk.fail_from(1, 2);
    assert_eq!(user.mlock(AT, PAGE, 0), Err(Errno::ENOMEM));
    disk.fail_from(1, 2);
    user.madvise(AT, PAGE, MADV_WILLNEED).unwrap();
    assert_eq!((user.swapped(), user.major_faults()), (PAGES, 0));
    // An error that does not last is none.
    disk.fail_from(1, 1);
    content(&mut user, AT);
    check(world.mm(), &mut [&mut user]);
    user.destroy();
}

#[test]
fn a_page_that_cannot_be_written_stays() {
    let world = World::with_swap(100);
    let disk = world.mm().machine().disk();
    let mut user = filled(&world);
    disk.fail_from(1, 3);
    page_out(&mut user);
    assert_eq!((user.swapped(), user.resident()), (PAGES - 1, 1));
    check(world.mm(), &mut [&mut user]);
    store(&mut user, AT, 1).unwrap();
    content(&mut user, AT);
    check(world.mm(), &mut [&mut user]);
    user.destroy();
}

#[test]
fn swapping_in_without_memory_changes_nothing() {
    let world = World::with_swap(100);
    let mut parent = swapped(&world);
    let child = parent.fork().unwrap();
    let nth = &world.mm().machine().control().fail_page_alloc.nth;
    // No memory for the page, then none for the copy.
    for (allocation, swapped) in [(1, PAGES), (2, PAGES - 1)] {
        nth.store(allocation, Relaxed);
        let stored = store(&mut parent, AT, 80);
        assert_eq!(stored, Err(FaultSignal::Oom));
        assert_eq!(parent.swapped(), swapped);
    }
    let mut child = child;
    check(world.mm(), &mut [&mut parent, &mut child]);
    nth.store(1, Relaxed);
    parent.madvise(AT, PAGES * PAGE, MADV_WILLNEED).unwrap();
    assert_eq!(world.mm().swap_cached(), 1, "the page that is mapped");
    content(&mut parent, AT);
    child.destroy();
    parent.destroy();
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

/// A program of 40 pages, all in swap, on a machine that reads ahead.
fn swapped_in_a_row(world: &World) -> UserMm<TestMachine> {
    world.mm().set_page_cluster(3);
    let mut user = world.user();
    switch(world.mm().machine());
    user.mmap(&MmapRequest::anonymous(40 * PAGE, RW).fixed(AT))
        .unwrap();
    for page in 0..40 {
        store(&mut user, AT + page * PAGE, 1 + page as u8).unwrap();
    }
    user.madvise(AT, 40 * PAGE, MADV_PAGEOUT).unwrap();
    assert_eq!(user.swapped(), 40);
    user
}

#[test]
fn what_lies_around_a_page_comes_with_it() {
    let world = World::with_swap(200);
    let mm = world.mm();
    let mut user = swapped_in_a_row(&world);
    // Slots lie as the pages do, or the other way round.
    let slots: Vec<u64> = (0..40)
        .map(|page| slot(&user, AT + page * PAGE).unwrap().slot())
        .collect();
    let near = |pair: &[u64]| pair[0].abs_diff(pair[1]) == 1;
    assert!(
        slots.windows(2).filter(|pair| near(pair)).count() >= 38,
        "{slots:?}"
    );
    for page in 0..40 {
        assert_eq!(load(&mut user, AT + page * PAGE), Ok(1 + page as u8));
        check(mm, &mut [&mut user]);
    }
    // In a row each window is of use.
    assert_eq!(mm.event_count(VmEvent::Pswpin), 40);
    assert!(user.major_faults() <= 8, "{}", user.major_faults());
    user.destroy();
}

#[test]
fn pages_read_ahead_fail_in_silence() {
    let world = World::with_swap(200);
    let mm = world.mm();
    let disk = mm.machine().disk();
    let mut user = swapped_in_a_row(&world);
    // The page itself comes, and none of the others can be read.
    disk.fail_from(2, 7);
    let at = AT + 20 * PAGE;
    assert_eq!(load(&mut user, at), Ok(21));
    assert_eq!((user.major_faults(), mm.swap_cached()), (1, 0));
    check(mm, &mut [&mut user]);
    disk.fail_from(0, 0);
    // Nor is there memory for them.
    let control = mm.machine().control();
    control.fail_page_alloc.nth.store(2, Relaxed);
    assert_eq!(load(&mut user, AT), Ok(1));
    assert_eq!((user.major_faults(), mm.swap_cached()), (2, 0));
    check(mm, &mut [&mut user]);
    for page in 0..40 {
        assert_eq!(load(&mut user, AT + page * PAGE), Ok(1 + page as u8));
    }
    check(mm, &mut [&mut user]);
    user.destroy();
}

#[test]
fn pages_read_ahead_that_nobody_wants_are_dropped() {
    let world = World::with_swap(200);
    let mm = world.mm();
    let mut user = swapped_in_a_row(&world);
    load(&mut user, AT + 20 * PAGE).unwrap();
    assert!(mm.swap_cached() > 0);
    check(mm, &mut [&mut user]);
    let written = mm.event_count(VmEvent::Pswpout);
    mm.direct_reclaim(pagelab_abi::gfp::Gfp::HIGHUSER_MOVABLE);
    assert_eq!(mm.swap_cached(), 0);
    assert!(mm.event_count(VmEvent::Pswpout) <= written + 1);
    check(mm, &mut [&mut user]);
    user.destroy();
}
