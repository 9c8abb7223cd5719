//! Every single failure of an allocation, one after the other, in every call that makes something.

use super::{Process, inventory, mm, mount};
use crate::fs::{memory::Ram, ramfs::Ramfs};
use core::sync::atomic::Ordering::Relaxed;
use linux_raw_sys::general as linux;
use pagelab_abi::{errno::Errno, fault::FaultAttr};
use pagelab_mm::machine::Machine;

fn injectors() -> [&'static FaultAttr; 2] {
    let machine: &'static Ram = mm().machine();
    let control = machine.control();
    [&control.fail_page_alloc, &control.failslab]
}

/// Runs `work` with the n-th allocation of each kind failing, for each n until none does. After a
/// failure nothing of it is left.
fn each_failure(work: &mut dyn FnMut() -> Result<(), Errno>) -> u64 {
    let mut failures = 0;
    for attr in injectors() {
        for nth in 1.. {
            let before = inventory();
            let injected = attr.injected.load(Relaxed);
            attr.nth.store(nth, Relaxed);
            let result = work();
            attr.nth.store(0, Relaxed);
            if attr.injected.load(Relaxed) == injected {
                assert_eq!(result, Ok(()));
                break;
            }
            failures += 1;
            if result.is_err() {
                assert_eq!(result, Err(Errno::ENOMEM), "failure {nth}");
                assert_eq!(inventory(), before, "failure {nth}");
            }
        }
    }
    failures
}

#[test]
fn each_failure_of_a_mount() {
    let archive = super::archive(&[
        ("d", linux::S_IFDIR | 0o755, &[]),
        ("d/f", linux::S_IFREG | 0o755, &[1; 5000]),
        ("l", linux::S_IFLNK | 0o777, b"d/f"),
    ]);
    let failures = each_failure(&mut || match Ramfs::mount(&archive) {
        Ok(_) => Ok(()),
        Err(_) => Err(Errno::ENOMEM),
    });
    assert!(failures > 20, "{failures}");
}

#[test]
fn each_failure_of_a_call() {
    let ramfs = mount();
    let mut process = Process::new(&ramfs);
    process.file("/f", b"x");
    process.path(linux::__NR_mkdir, "/d", &[0o755]).unwrap();
    let create = linux::O_CREAT | linux::O_WRONLY;
    let mut number = 0;
    let mut fresh = || {
        number += 1;
        format!("/d/a-name-that-is-not-taken-{number}")
    };
    type Call<'a> = (
        &'a str,
        &'a dyn Fn(&mut Process, &str) -> Result<u64, Errno>,
    );
    let calls: [Call<'_>; 9] = [
        ("open", &|process, _| process.open("/f", 0)),
        ("create", &|process, name| process.open(name, create)),
        ("mkdir", &|process, name| {
            process.path(linux::__NR_mkdir, name, &[0o755])
        }),
        ("symlink", &|process, name| {
            process.paths(linux::__NR_symlink, "/f", name)
        }),
        ("link", &|process, name| {
            process.paths(linux::__NR_link, "/f", name)
        }),
        ("pipe", &|process, _| {
            process.sys(linux::__NR_pipe, &[super::BASE])
        }),
        ("memfd", &|process, _| {
            process.path(linux::__NR_memfd_create, "m", &[0])
        }),
        ("proc", &|process, _| process.open("/proc/self/status", 0)),
        ("getcwd", &|process, _| {
            process.sys(linux::__NR_getcwd, &[super::DATA, 100])
        }),
    ];
    for (name, call) in calls {
        let failures = each_failure(&mut || {
            let path = fresh();
            call(&mut process, &path).map(|_| ())
        });
        assert!(failures > 0, "{name}");
    }
    let failures = each_failure(&mut || process.files.fork().map(|_| ()));
    assert!(failures > 0);
    let mut at = "/f".to_owned();
    let failures = each_failure(&mut || {
        let to = fresh();
        process.paths(linux::__NR_rename, &at, &to)?;
        at = to;
        Ok(())
    });
    assert!(failures > 0);
}
