//! Pages go out, or stay.

use super::{AT, PAGES, content, filled, page_out, slot, swapped};
use crate::user_mm::tests::{
    FaultSignal, MmapRequest, PAGE, RW, World,
    cpu::{load, store, switch},
    oracle::check,
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{
    errno::Errno,
    mman::{MADV_DONTNEED, MADV_FREE, MADV_PAGEOUT, MapFlags},
    vmstat::VmEvent,
};

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
