//! Fail the first allocation, then the second, until none fails: each time nothing has leaked,
//! everything is consistent, and what was there is there.

use super::{
    FaultSignal, MmapRequest, PAGE, RW, World,
    cpu::{load, store, switch},
    oracle::{allocated, check, objects},
};
use crate::{testing::TestMachine, user_mm::UserMm};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::{errno::Errno, mman::Prot};

/// Which allocations fail.
#[derive(Clone, Copy, Debug)]
enum Fail {
    Pages,
    Objects,
}

fn arm(world: &World, fail: Fail, nth: u64) {
    let control = pagelab_control(world);
    let attr = match fail {
        Fail::Pages => &control.fail_page_alloc,
        Fail::Objects => &control.failslab,
    };
    attr.nth.store(nth, Relaxed);
}

fn pagelab_control(world: &World) -> &'static pagelab_abi::control::Control {
    use crate::machine::Machine;
    world.mm().machine().control()
}

/// Whether the failure that was armed has not come, and takes it back.
fn disarm(world: &World) -> bool {
    let control = pagelab_control(world);
    let pages = control.fail_page_alloc.nth.swap(0, Relaxed);
    let objects = control.failslab.nth.swap(0, Relaxed);
    pages | objects != 0
}

/// Three areas far apart, with content in each.
fn prepare(world: &World) -> UserMm<TestMachine> {
    let mut user = world.user();
    switch(world.mm().machine());
    for at in AREAS {
        user.mmap(&MmapRequest::anonymous(8 * PAGE, RW).fixed(at))
            .unwrap();
        for page in 0..4 {
            store(&mut user, at + page * PAGE, 1 + page as u8).unwrap();
        }
    }
    user
}

const AREAS: [u64; 3] = [0x40_0000, 0x40_0000_0000, 0x7f00_0000_0000];

/// What [`prepare`] left.
fn content(user: &mut UserMm<TestMachine>) {
    for at in AREAS {
        for page in 0..4 {
            let mut byte = [0];
            user.read(at + page * PAGE, &mut byte).unwrap();
            assert_eq!(byte[0], 1 + page as u8, "at {at:#x}");
        }
    }
}

/// Fails the n-th allocation of `step`, for each n that there is. After a failure `undone` is asked,
/// and frames and areas must be what they were.
fn sweep(
    kinds: &[Fail],
    mut step: impl FnMut(&mut UserMm<TestMachine>) -> Result<Option<UserMm<TestMachine>>, Errno>,
) {
    for &fail in kinds {
        let mut failures = 0;
        for nth in 1.. {
            let world = World::new();
            let mut user = prepare(&world);
            let areas: std::vec::Vec<_> = user.tree().iter().map(crate::vma::Area::of).collect();
            world.mm().slab().shrink_all(u64::MAX);
            let before = (
                allocated(world.mm()),
                objects(world.mm(), "vm_area_struct"),
                objects(world.mm(), "mm_struct"),
            );
            arm(&world, fail, nth);
            let result = step(&mut user);
            let passed = disarm(&world);
            match result {
                Ok(mut child) => {
                    let mut users = std::vec![&mut user];
                    users.extend(child.as_mut());
                    check(world.mm(), &mut users);
                    if let Some(child) = child {
                        child.destroy();
                    }
                }
                Err(errno) => {
                    failures += 1;
                    assert_eq!(errno, Errno::ENOMEM);
                    check(world.mm(), &mut [&mut user]);
                    world.mm().slab().shrink_all(u64::MAX);
                    let after = (
                        allocated(world.mm()),
                        objects(world.mm(), "vm_area_struct"),
                        objects(world.mm(), "mm_struct"),
                    );
                    assert_eq!(after, before, "{fail:?} {nth}");
                    let now: std::vec::Vec<_> =
                        user.tree().iter().map(crate::vma::Area::of).collect();
                    assert_eq!(now, areas, "{fail:?} {nth}");
                    content(&mut user);
                    // It works when there is memory.
                    if let Some(child) = step(&mut user).unwrap() {
                        child.destroy();
                    }
                }
            }
            check(world.mm(), &mut [&mut user]);
            user.destroy();
            world.check_empty();
            if passed {
                break;
            }
            assert!(nth < 200, "no end");
        }
        assert!(failures > 0, "{fail:?}: nothing failed");
    }
}

#[test]
fn fork() {
    sweep(&[Fail::Pages, Fail::Objects], |user| {
        user.fork().map(Some).map_err(|_| Errno::ENOMEM)
    });
}

#[test]
fn mmap() {
    sweep(&[Fail::Objects], |user| {
        user.mmap(&MmapRequest::anonymous(4 * PAGE, RW))
            .map(|_| None)
    });
}

#[test]
fn mmap_over_the_middle_of_another() {
    let at = AREAS[1] + 2 * PAGE;
    sweep(&[Fail::Objects], |user| {
        let request = MmapRequest::anonymous(PAGE, Prot::READ).fixed(at);
        user.mmap(&request)?;
        // As it was, for the content that is looked at.
        user.mprotect(at, PAGE, RW)?;
        user.write(at, &[3]).unwrap();
        Ok(None)
    });
}

#[test]
fn munmap_with_a_split() {
    sweep(&[Fail::Objects], |user| {
        user.munmap(AREAS[0] + 5 * PAGE, PAGE).map(|()| None)
    });
}

#[test]
fn mprotect() {
    sweep(&[Fail::Objects], |user| {
        user.mprotect(AREAS[0] + 2 * PAGE, 2 * PAGE, Prot::READ)
            .map(|()| None)
    });
}

#[test]
fn faults() {
    let enomem = |signal| {
        assert_eq!(signal, FaultSignal::Oom);
        Errno::ENOMEM
    };
    // A page only, the zero page far away, and a page where all tables are missing.
    sweep(&[Fail::Pages], |user| {
        store(user, AREAS[0] + 6 * PAGE, 9)
            .map(|()| None)
            .map_err(enomem)
    });
    for write in [false, true] {
        sweep(&[Fail::Pages], |user| {
            let at = 0x20_0000_0000;
            let request = MmapRequest::anonymous(PAGE, RW).fixed(at);
            user.mmap(&request)?;
            let result = if write {
                store(user, at, 1)
            } else {
                load(user, at).map(drop)
            };
            if result.is_err() {
                user.munmap(at, PAGE)?;
            }
            result.map(|()| None).map_err(enomem)
        });
    }
}

#[test]
fn copying_on_write() {
    for nth in 1..3 {
        let world = World::new();
        let mut parent = prepare(&world);
        let mut child = parent.fork().unwrap();
        arm(&world, Fail::Pages, nth);
        let result = store(&mut child, AREAS[0], 9);
        let passed = disarm(&world);
        assert_eq!(
            result,
            if passed {
                Ok(())
            } else {
                Err(FaultSignal::Oom)
            }
        );
        assert_eq!(passed, nth == 2);
        check(world.mm(), &mut [&mut child, &mut parent]);
        content(&mut parent);
    }
}

#[test]
fn mremap() {
    use pagelab_abi::mman::MremapFlags;
    let flags = MremapFlags::MAYMOVE | MremapFlags::FIXED;
    sweep(&[Fail::Pages, Fail::Objects], |user| {
        let (from, to) = (AREAS[0] + PAGE, 0x12_3456_7000);
        user.mremap(from, 2 * PAGE, 3 * PAGE, flags, to)?;
        let mut byte = [0];
        user.read(to + PAGE, &mut byte).unwrap();
        assert_eq!(byte, [3]);
        Ok(None)
    });
}

#[test]
fn shared_memory_and_files() {
    use pagelab_abi::mman::MapFlags;
    let at = 0x20_0000_0000;
    for kind in [MapFlags::SHARED, MapFlags::PRIVATE] {
        sweep(&[Fail::Pages, Fail::Objects], |user| {
            let mm = user.mm();
            let file = mm.file_new().map_err(|_| Errno::ENOMEM)?;
            let request = MmapRequest::of_file(PAGE, RW, kind, file, 3);
            let result = mm
                .file_set_size(file, 5 * PAGE)
                .map_err(|_| Errno::ENOMEM)
                .and_then(|()| user.mmap(&request.fixed(at)));
            mm.file_put(file);
            result?;
            let stored = store(user, at, 1);
            user.munmap(at, PAGE)?;
            stored.map(|()| None).map_err(|signal| {
                assert_eq!(signal, FaultSignal::Oom);
                Errno::ENOMEM
            })
        });
    }
    sweep(&[Fail::Objects], |user| {
        let request = MmapRequest {
            flags: MapFlags::SHARED | MapFlags::ANONYMOUS,
            ..MmapRequest::anonymous(PAGE, RW)
        };
        user.mmap(&request).map(|_| None)
    });
}

#[test]
fn advice_and_locks() {
    use pagelab_abi::mman::MADV_DONTFORK;
    sweep(&[Fail::Objects], |user| {
        user.madvise(AREAS[0] + 2 * PAGE, 2 * PAGE, MADV_DONTFORK)
            .map(|()| None)
    });
    sweep(&[Fail::Objects], |user| {
        user.mlock(AREAS[0] + 2 * PAGE, 2 * PAGE, 0).map(|()| None)
    });
}
