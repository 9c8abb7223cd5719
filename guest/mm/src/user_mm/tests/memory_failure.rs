//! The memory of a program's page breaks, and all calls that meet what is left of it.

use super::{
    FaultSignal, MmapRequest, PAGE, RW, World,
    cpu::{load, store, switch},
    oracle::check,
};
use crate::{
    Pfn,
    page_cache::{FileError, FileId},
    pgtable::HUGE_SIZE,
    testing::{TestMachine, TestStore},
    user_mm::UserMm,
};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use pagelab_abi::{
    errno::Errno,
    memory_failure::{MfResult, MfType},
    mman::{
        MADV_DONTNEED, MADV_FREE, MADV_HUGEPAGE, MADV_PAGEOUT, MADV_POPULATE_READ, MapFlags,
        MremapFlags, Prot,
    },
    page::{PageFlags, flags_of},
    pte::PTE_ADDRESS,
    vmstat::NodeStat,
};
use std::boxed::Box;

const AT: u64 = 0x40_0000;
const PAGES: u64 = 4;

/// The frame of an address.
fn frame(user: &UserMm<TestMachine>, at: u64) -> Pfn {
    let pte = user.tables().get(at);
    assert!(pte.holds_page(), "{at:#x}: {pte:?}");
    Pfn::from_phys(pte.0 & PTE_ADDRESS)
}

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

/// Lets a frame break, which is expected to be of a kind and to leave so many entries behind.
fn fail(world: &World, pfn: Pfn, kind: MfType, entries: u32) {
    let before = world.mm().hwpoison_pages();
    let failure = world.mm().memory_failure(pfn);
    assert_eq!(
        (failure.kind, failure.result, failure.entries),
        (kind, MfResult::Recovered, entries)
    );
    let page = world.mm().page(pfn).unwrap();
    assert_eq!(flags_of(page.flags.load(Relaxed)), PageFlags::HWPOISON);
    assert_eq!(world.mm().hwpoison_pages(), before + 1);
    let again = world.mm().memory_failure(pfn);
    assert_eq!(again.kind, MfType::AlreadyPoisoned);
    assert_eq!(again.result, MfResult::Ignored);
}

fn sound(world: &World, users: &mut [&mut UserMm<TestMachine>]) {
    check(world.mm(), users);
    let report = &mut |violation| panic!("{violation}");
    world.mm().validate_page_cache(report);
}

#[test]
fn a_lost_page_is_an_error_and_never_zeros() {
    let world = World::new();
    let mut user = filled(&world);
    let at = AT + PAGE;
    let pfn = frame(&user, at);
    fail(&world, pfn, MfType::DirtyLru, 1);
    assert_eq!(user.resident(), PAGES - 1);
    sound(&world, &mut [&mut user]);
    assert_eq!(load(&mut user, at + 5), Err(FaultSignal::HwPoison(at + 5)));
    assert_eq!(store(&mut user, at, 9), Err(FaultSignal::HwPoison(at)));
    let signal = FaultSignal::HwPoison(at);
    assert_eq!(
        (signal.signo(), signal.code(), signal.address()),
        (7, 4, at)
    );
    let mut bytes = [0; 4];
    assert_eq!(user.read(at - 2, &mut bytes).unwrap_err().copied, 2);
    assert_eq!(
        user.madvise(at, PAGE, MADV_POPULATE_READ),
        Err(Errno::EHWPOISON)
    );
    let state = &world.mm().state().memory_failure;
    assert_eq!(state.reported.load(Relaxed), 4);
    // The others have what they had.
    for page in [0, 2, 3] {
        assert_eq!(load(&mut user, AT + page * PAGE), Ok(1 + page as u8));
    }
    // The place is as good as any other again once the program has given the page up.
    user.madvise(at, PAGE, MADV_DONTNEED).unwrap();
    assert_eq!(load(&mut user, at), Ok(0));
    store(&mut user, at, 7).unwrap();
    assert_ne!(frame(&user, at), pfn);
    sound(&world, &mut [&mut user]);
    user.destroy();
}

#[test]
fn all_calls_cope_with_an_entry_that_names_a_broken_frame() {
    let world = World::with_swap(64);
    let mut user = filled(&world);
    fail(&world, frame(&user, AT), MfType::DirtyLru, 1);
    // It is inherited, protected, moved, aged and shown, and stays what it is.
    let mut child = user.fork().unwrap();
    sound(&world, &mut [&mut user, &mut child]);
    user.mprotect(AT, PAGE, Prot::READ).unwrap();
    assert_eq!(load(&mut user, AT), Err(FaultSignal::HwPoison(AT)));
    user.mprotect(AT, PAGE, RW).unwrap();
    user.madvise(AT, PAGES * PAGE, MADV_PAGEOUT).unwrap();
    sound(&world, &mut [&mut user, &mut child]);
    let to = user
        .mremap(
            AT,
            PAGES * PAGE,
            PAGES * PAGE,
            MremapFlags::MAYMOVE | MremapFlags::FIXED,
            0x80_0000,
        )
        .unwrap();
    assert_eq!(load(&mut user, to), Err(FaultSignal::HwPoison(to)));
    assert_eq!(load(&mut user, to + PAGE), Ok(2));
    assert_eq!(user.pagemap_word(to >> 12) >> 62, 1, "as one in swap");
    let mut text = std::string::String::new();
    user.smaps(&mut text, &mut |_, _| Ok(())).unwrap();
    assert!(text.contains("Rss:                  12 kB"), "{text}");
    user.madvise(to, PAGE, MADV_FREE).unwrap();
    assert_eq!(load(&mut user, to), Ok(0), "given up");
    switch(world.mm().machine());
    assert_eq!(load(&mut child, AT), Err(FaultSignal::HwPoison(AT)));
    child.munmap(AT, PAGE).unwrap();
    sound(&world, &mut [&mut child, &mut user]);
    child.destroy();
    user.destroy();
}

#[test]
fn a_page_that_several_have_is_lost_to_all_of_them() {
    let world = World::new();
    let mut user = filled(&world);
    let mut child = user.fork().unwrap();
    let mut grandchild = child.fork().unwrap();
    fail(&world, frame(&user, AT), MfType::DirtyLru, 3);
    sound(&world, &mut [&mut user, &mut child, &mut grandchild]);
    for user in [&mut user, &mut child, &mut grandchild] {
        switch(world.mm().machine());
        assert_eq!(load(user, AT), Err(FaultSignal::HwPoison(AT)));
        assert_eq!(load(user, AT + PAGE), Ok(2));
    }
    grandchild.destroy();
    child.destroy();
    user.destroy();
}

#[test]
fn a_page_of_the_swap_cache_comes_from_its_slot() {
    let world = World::with_swap(64);
    let mut user = filled(&world);
    user.madvise(AT, PAGES * PAGE, MADV_PAGEOUT).unwrap();
    let mut child = user.fork().unwrap();
    // The child's entry keeps the slot, so the page stays in the swap cache.
    assert_eq!(load(&mut user, AT), Ok(1));
    let pfn = frame(&user, AT);
    assert!(world.mm().swap_cache_entry(pfn).is_some());
    fail(&world, pfn, MfType::CleanSwapcache, 0);
    sound(&world, &mut [&mut user, &mut child]);
    assert_eq!(load(&mut user, AT), Ok(1));
    assert_ne!(frame(&user, AT), pfn);
    switch(world.mm().machine());
    assert_eq!(load(&mut child, AT), Ok(1));
    sound(&world, &mut [&mut child, &mut user]);
    child.destroy();
    user.destroy();
}

#[test]
fn one_page_of_a_huge_one_is_lost_alone() {
    let world = World::of_size(64, 0);
    let mut user = world.user();
    switch(world.mm().machine());
    let at = 2 * HUGE_SIZE;
    user.mmap(&MmapRequest::anonymous(HUGE_SIZE, RW).fixed(at))
        .unwrap();
    user.madvise(at, HUGE_SIZE, MADV_HUGEPAGE).unwrap();
    store(&mut user, at, 1).unwrap();
    assert_eq!(world.mm().node_stat(NodeStat::AnonThps), 1);
    let pfn = Pfn(Pfn::from_phys(
        user.tables().huge(at).unwrap().load(Relaxed) & PTE_ADDRESS & !0xfff,
    )
    .0 + 7);
    fail(&world, pfn, MfType::DirtyLru, 1);
    assert_eq!(world.mm().node_stat(NodeStat::AnonThps), 0);
    switch(world.mm().machine());
    let lost = at + 7 * PAGE;
    assert_eq!(load(&mut user, lost), Err(FaultSignal::HwPoison(lost)));
    assert_eq!(
        (load(&mut user, at), load(&mut user, lost + PAGE)),
        (Ok(1), Ok(0))
    );
    sound(&world, &mut [&mut user]);
    user.destroy();
}

/// A file of four pages in a store, mapped shared.
fn stored(world: &World) -> (UserMm<TestMachine>, FileId, &'static TestStore) {
    let stored: &'static TestStore = Box::leak(Box::new(TestStore::new(6)));
    let id = world.mm().register_store(stored).unwrap();
    for page in 0..PAGES {
        stored.set(1, page, &[page as u8 + 1; PAGE as usize]);
    }
    let file = world.mm().file_with_store(id, 1, PAGES * PAGE).unwrap();
    let mut user = world.user();
    switch(world.mm().machine());
    let request = MmapRequest::of_file(PAGES * PAGE, RW, MapFlags::SHARED, file, 0);
    user.mmap(&request.fixed(AT)).unwrap();
    (user, file, stored)
}

#[test]
fn a_clean_page_of_a_file_is_read_again() {
    let world = World::new();
    let (mut user, file, _) = stored(&world);
    assert_eq!(load(&mut user, AT), Ok(1));
    let since = AtomicU32::new(world.mm().file_sample_wb_err(file));
    let pfn = frame(&user, AT);
    fail(&world, pfn, MfType::CleanLru, 0);
    sound(&world, &mut [&mut user]);
    assert_eq!(load(&mut user, AT), Ok(1));
    assert_ne!(frame(&user, AT), pfn);
    assert_eq!(world.mm().file_check_wb_err(file, &since), Ok(()));
    sound(&world, &mut [&mut user]);
    user.destroy();
    world.mm().file_put(file);
}

#[test]
fn a_dirty_page_of_a_file_is_lost_and_fsync_is_told_once() {
    let world = World::new();
    let (mut user, file, disk) = stored(&world);
    store(&mut user, AT, 9).unwrap();
    store(&mut user, AT + PAGE, 8).unwrap();
    let since = AtomicU32::new(world.mm().file_sample_wb_err(file));
    fail(&world, frame(&user, AT), MfType::DirtyFile, 1);
    sound(&world, &mut [&mut user]);
    assert_eq!(load(&mut user, AT), Err(FaultSignal::HwPoison(AT)));
    assert_eq!(world.mm().node_stat(NodeStat::FileDirty), 1);
    world.mm().sync_files().unwrap();
    let eio = Errno::EIO.get();
    assert_eq!(world.mm().file_check_wb_err(file, &since), Err(eio));
    assert_eq!(world.mm().file_check_wb_err(file, &since), Ok(()));
    // No other page is touched, and who reads the file has what the store has.
    assert_eq!(disk.get(1, 1).unwrap()[0], 8);
    let mut byte = [0];
    world.mm().file_read(file, 0, &mut byte).unwrap();
    assert_eq!(byte, [1]);
    sound(&world, &mut [&mut user]);
    user.destroy();
    world.mm().file_put(file);
}

#[test]
fn a_page_without_a_store_is_an_error_until_it_is_given_up() {
    for is_shmem in [true, false] {
        let world = World::with_swap(64);
        let mm = world.mm();
        let file = match is_shmem {
            true => mm.file_new_shmem(),
            false => mm.file_new(),
        };
        let file = file.unwrap();
        mm.file_write(file, 0, &[5; 3 * PAGE as usize]).unwrap();
        let mut user = world.user();
        switch(mm.machine());
        let request = MmapRequest::of_file(3 * PAGE, RW, MapFlags::SHARED, file, 0);
        user.mmap(&request.fixed(AT)).unwrap();
        assert_eq!(load(&mut user, AT + PAGE), Ok(5));
        fail(&world, frame(&user, AT + PAGE), MfType::DirtyUnevictable, 1);
        // One that nobody maps.
        let unmapped = mm.file_page(file, 2, false, crate::page_cache::FILE_GFP);
        let unmapped = unmapped.unwrap().unwrap();
        mm.put_page(unmapped);
        user.munmap(AT + 2 * PAGE, PAGE).unwrap();
        fail(&world, unmapped, MfType::DirtyUnevictable, 0);
        sound(&world, &mut [&mut user]);
        let mut byte = [0];
        for page in 1..3 {
            let at = page * PAGE;
            assert_eq!(mm.file_read(file, at, &mut byte), Err(FileError::HwPoison));
            assert_eq!(mm.file_write(file, at, &byte), Err(FileError::HwPoison));
        }
        assert_eq!(FileError::HwPoison.errno(), Errno::EIO);
        // Neither does another mapping find zeros.
        user.munmap(AT, 2 * PAGE).unwrap();
        user.mmap(&MmapRequest::of_file(3 * PAGE, RW, MapFlags::SHARED, file, 0).fixed(AT))
            .unwrap();
        let lost = AT + PAGE;
        assert_eq!(load(&mut user, lost), Err(FaultSignal::HwPoison(lost)));
        assert_eq!(load(&mut user, AT), Ok(5));
        mm.truncate(file, PAGE).unwrap();
        mm.truncate(file, 3 * PAGE).unwrap();
        assert_eq!(load(&mut user, lost), Ok(0), "a hole");
        sound(&world, &mut [&mut user]);
        user.destroy();
        mm.file_put(file);
    }
}

#[test]
fn a_page_that_somebody_works_on_goes_when_he_is_done() {
    let world = World::new();
    let mut user = filled(&world);
    let pfn = frame(&user, AT);
    world.mm().get_page(pfn);
    let failure = world.mm().memory_failure(pfn);
    assert_eq!(failure.result, MfResult::Delayed);
    assert_eq!(load(&mut user, AT), Err(FaultSignal::HwPoison(AT)));
    assert_eq!(world.mm().hwpoison_pages(), 0);
    assert!(world.mm().put_page(pfn));
    assert_eq!(world.mm().hwpoison_pages(), 1);
    sound(&world, &mut [&mut user]);
    user.destroy();
}
