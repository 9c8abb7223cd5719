//! A process's own part in fault injection.

use super::{DATA, Process, mm, mount};
use crate::fs::memory::Ram;
use core::sync::atomic::Ordering::Relaxed;
use linux_raw_sys::general as linux;
use pagelab_abi::{errno::Errno, fault::FaultCaller};
use pagelab_mm::machine::Machine;

fn caller() -> &'static FaultCaller {
    let machine: &'static Ram = mm().machine();
    &machine.control().caller
}

#[test]
fn a_process_lets_its_own_allocations_fail() {
    let ramfs = mount();
    let mut process = Process::new(&ramfs);
    caller().pid.store(7, Relaxed);
    let path = "/proc/self/fail-nth";
    let fd = process.open(path, linux::O_RDWR).unwrap();
    assert_eq!(process.read(fd, 16), Ok(b"0\n".to_vec()));
    assert_eq!(process.write(fd, b"1"), Ok(1));
    assert_eq!(caller().fail_nth.load(Relaxed), 1);
    let pread = [fd, DATA, 16, 0];
    assert_eq!(process.sys(linux::__NR_pread64, &pread), Ok(2));
    assert_eq!(process.bytes(2), b"1\n");
    assert_eq!(
        process.path(linux::__NR_mkdir, "/d", &[0o755]),
        Err(Errno::ENOMEM)
    );
    assert_eq!(process.sys(linux::__NR_pread64, &pread), Ok(2));
    assert_eq!(process.bytes(2), b"0\n");
    assert_eq!(process.path(linux::__NR_mkdir, "/d", &[0o755]), Ok(0));
    assert_eq!(process.write(fd, b"7\n"), Ok(2));
    assert_eq!(process.write(fd, b" 0 "), Ok(3));
    assert_eq!(caller().fail_nth.load(Relaxed), 0);
    for text in [
        &b"x"[..],
        b"-1",
        b"4294967296",
        b"1 1",
        b"",
        b"00000000000000001",
    ] {
        assert_eq!(process.write(fd, text), Err(Errno::EINVAL), "{text:?}");
    }
}

#[test]
fn the_filter_of_tasks_is_0_or_1() {
    let ramfs = mount();
    let mut process = Process::new(&ramfs);
    caller().pid.store(7, Relaxed);
    let fd = process
        .open("/proc/self/task/7/make-it-fail", linux::O_RDWR)
        .unwrap();
    assert_eq!(process.write(fd, b"1"), Ok(1));
    assert_eq!(caller().make_it_fail.load(Relaxed), 1);
    assert_eq!(process.write(fd, b"2"), Err(Errno::EINVAL));
    assert_eq!(process.write(fd, b"0"), Ok(1));
    assert_eq!(caller().make_it_fail.load(Relaxed), 0);
    caller().pid.store(8, Relaxed);
    assert_eq!(process.write(fd, b"1"), Err(Errno::ESRCH), "a child's");
}

#[test]
fn they_are_listed() {
    let ramfs = mount();
    let mut process = Process::new(&ramfs);
    let names = process.list("/proc/self").unwrap();
    for name in ["fail-nth", "make-it-fail", "task"] {
        assert!(names.iter().any(|found| found == name), "{name}");
    }
    assert_eq!(
        process.open("/proc/self/task/8/fail-nth", linux::O_RDWR),
        Err(Errno::ENOENT)
    );
}
