//! Every single failure, one after the other, and memory that runs out: each leaves all as it was.

use super::{PAGE, check, content, frames, mm, objects};
use crate::{AllocError, Mm, machine::Machine, page_cache::FILE_GFP, testing::TestMachine};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::fault::FaultAttr;
use std::{vec, vec::Vec};

/// Both injectors of a machine.
fn injectors(mm: &Mm<TestMachine>) -> [&FaultAttr; 2] {
    let control = mm.machine().control();
    [&control.fail_page_alloc, &control.failslab]
}

/// Runs `work` with the n-th allocation of one kind failing, for each n until none does. It says
/// whether it succeeded; after a failure nothing may be left. Returns how many runs failed.
fn each_failure(injector: usize, work: impl Fn(&Mm<TestMachine>) -> bool) -> u64 {
    for nth in 1.. {
        let mm = mm();
        let before = (objects(&mm), frames(&mm));
        let attr = injectors(&mm)[injector];
        attr.nth.store(nth, Relaxed);
        let succeeded = work(&mm);
        let injected = attr.injected.load(Relaxed) > 0;
        attr.nth.store(0, Relaxed);
        check(&mm);
        assert_eq!((objects(&mm), frames(&mm)), before, "failure {nth}");
        if !injected {
            assert!(succeeded);
            return nth - 1;
        }
    }
    unreachable!()
}

#[test]
fn each_failure_of_a_new_page_leaves_the_file_as_it_was() {
    // From nothing; into a tree that has to grow by four; into a gap below the root.
    let cases: [&[u64]; 3] = [&[], &[3], &[3, 1 << 20]];
    let target = [5000, 1 << 29, 70_000];
    for (pages, target) in cases.into_iter().zip(target) {
        for injector in 0..2 {
            let failures = each_failure(injector, |mm| {
                let nth = injectors(mm)[injector].nth.swap(0, Relaxed);
                let file = mm.file_new().unwrap();
                for &page in pages {
                    mm.file_write(file, page * PAGE as u64, &[page as u8; PAGE])
                        .unwrap();
                }
                let (size, before) = (mm.file_size(file), (objects(mm), frames(mm)));
                injectors(mm)[injector].nth.store(nth, Relaxed);
                let written = mm.file_write(file, target * PAGE as u64, b"new");
                if written.is_err() {
                    assert_eq!(mm.file_size(file), size);
                    assert_eq!((objects(mm), frames(mm)), before);
                    check(mm);
                    // It works the second time.
                    assert_eq!(mm.file_write(file, target * PAGE as u64, b"new"), Ok(3));
                }
                for &page in pages {
                    let mut bytes = vec![0; PAGE];
                    assert_eq!(mm.file_read(file, page * PAGE as u64, &mut bytes), Ok(PAGE));
                    assert_eq!(bytes, vec![page as u8; PAGE]);
                }
                check(mm);
                mm.file_put(file);
                written.is_ok()
            });
            assert!(failures >= 1, "injector {injector}");
        }
    }
}

#[test]
fn each_failure_of_a_new_file() {
    for injector in 0..2 {
        let failures = each_failure(injector, |mm| match mm.file_new() {
            Ok(file) => {
                mm.file_put(file);
                true
            }
            Err(_) => false,
        });
        assert!(failures >= 1);
    }
}

#[test]
fn a_write_that_memory_runs_out_in_is_short() {
    let mm = mm();
    let before = (objects(&mm), frames(&mm));
    let file = mm.file_new().unwrap();
    let chunk: Vec<u8> = (0..1 << 20).map(|i| (i / PAGE) as u8).collect();
    let mut size = 0;
    let error = loop {
        match mm.file_write(file, size, &chunk) {
            Ok(written) => size += written as u64,
            Err(error) => break error,
        }
    };
    assert_eq!(error, AllocError::NoMemory.into());
    assert!(size > 12 << 20, "{size}");
    assert_eq!(mm.file_size(file), size);
    check(&mm);
    let all = content(&mm, file);
    assert!(
        all.chunks(PAGE)
            .enumerate()
            .all(|(page, bytes)| bytes.iter().all(|&byte| byte == (page % 256) as u8))
    );
    mm.file_put(file);
    check(&mm);
    assert_eq!((objects(&mm), frames(&mm)), before);
}

#[test]
fn pages_of_files_prefer_high_memory() {
    let mm = mm();
    let file = mm.file_new().unwrap();
    let pfn = mm.file_page(file, 0, true, FILE_GFP).unwrap().unwrap();
    assert!(mm.machine().direct_map(pfn.0).is_none());
    mm.put_page(pfn);
}

#[test]
fn without_a_window_nothing_is_lost() {
    let mm = mm();
    let file = mm.file_new().unwrap();
    mm.file_write(file, 0, &[3; 2 * PAGE]).unwrap();
    let high = mm.file_page(file, 0, false, FILE_GFP).unwrap().unwrap();
    let windows: Vec<_> = core::iter::from_fn(|| mm.machine().kmap_local(high.0)).collect();
    let mut bytes = [0; 10];
    let none = || AllocError::NoWindow.into();
    assert_eq!(mm.file_read(file, 0, &mut bytes), Err(none()));
    assert_eq!(mm.file_write(file, 0, &bytes), Err(none()));
    assert_eq!(mm.file_set_size(file, 10), Err(none()));
    assert_eq!(mm.file_size(file), 2 * PAGE as u64);
    check(&mm);
    for window in windows.into_iter().rev() {
        // SAFETY: in the reverse order of their opening, and not used again.
        unsafe { mm.machine().kunmap_local(window) };
    }
    mm.put_page(high);
    assert_eq!(content(&mm, file), vec![3; 2 * PAGE]);
}

#[test]
fn each_failure_of_reading_and_writing_a_file_with_a_store() {
    use super::stores::World;
    use crate::page_cache::{FileError, RA_PAGES, Reader};
    use pagelab_abi::page_cache::FileRa;
    for injector in 0..2 {
        for nth in 1.. {
            let world = World::new(100);
            let mm = world.mm;
            for page in 0..10 {
                world.store.set(1, page, &[page as u8; PAGE]);
            }
            let before = frames(mm);
            let file = world.file(1, 10 * PAGE as u64);
            let arm = |nth| injectors(mm)[injector].nth.store(nth, Relaxed);
            let ra = FileRa::new();
            let reader = Reader {
                ra: &ra,
                ra_pages: RA_PAGES,
                random: false,
                noreuse: false,
            };
            arm(nth);
            let mut bytes = vec![0; 4 * PAGE];
            let read = mm.file_read_by(&reader, file, 0, &mut bytes, 4 * PAGE as u64);
            let changed = mm.file_write(file, 8 * PAGE as u64 + 5, b"new");
            let longer = mm.file_write(file, 70 * PAGE as u64, b"end");
            arm(0);
            let passed = injectors(mm)[injector].injected.load(Relaxed) == 0;
            // Of one failure a reader hears nothing: what was not read ahead is read alone.
            assert_eq!(read, Ok(4 * PAGE), "failure {nth}");
            assert!((0..4).all(|page| bytes[page * PAGE..][..PAGE] == [page as u8; PAGE]));
            let no_memory = |done| done == Err(FileError::Memory(AllocError::NoMemory));
            let injected = |done| done == Err(FileError::Memory(AllocError::Injected));
            for done in [changed, longer] {
                assert!(
                    done == Ok(3) || no_memory(done) || injected(done),
                    "{done:?}"
                );
            }
            let pages = if longer.is_ok() { 71 } else { 10 };
            assert_eq!(mm.file_size(file).div_ceil(PAGE as u64), pages);
            check(mm);
            assert_eq!(mm.sync_files(), Ok(()));
            let mut all = content(mm, file);
            let byte = if changed.is_ok() { b'n' } else { 8 };
            assert_eq!((all.swap_remove(8 * PAGE + 5), all[9 * PAGE]), (byte, 9));
            mm.file_put(file);
            check(mm);
            mm.slab().shrink_all(u64::MAX);
            assert_eq!(frames(mm), before, "failure {nth}");
            if passed {
                assert!(nth > 2, "injector {injector}: {nth}");
                break;
            }
        }
    }
}
