//! Pipes.

use super::{BASE, DATA, Process, mount, without_leak};
use crate::fs::{
    pipe::{CAPACITY, PIPE_BUF},
    transfer::Stop,
};
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;

fn pipe(process: &mut Process, flags: u32) -> (u64, u64) {
    process
        .sys(linux::__NR_pipe2, &[BASE, flags.into()])
        .unwrap();
    let number = |bytes: &[u8]| u64::from(u32::from_le_bytes(bytes.try_into().unwrap()));
    let fds = process.memory.part(BASE, 8);
    (number(&fds[..4]), number(&fds[4..]))
}

#[test]
fn what_goes_in_comes_out() {
    without_leak(|| {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        let (from, to) = pipe(&mut process, 0);
        let read = |process: &mut Process, len| process.stop(linux::__NR_read, &[from, DATA, len]);
        assert_eq!(read(&mut process, 10), Err(Stop::Wait));
        assert_eq!(read(&mut process, 0), Ok(0));
        for round in 0..200_u32 {
            let text: Vec<u8> = (0..997).map(|i| (i * round) as u8).collect();
            assert_eq!(process.write(to, &text), Ok(997));
            assert_eq!(process.read(from, 500).unwrap(), text[..500]);
            assert_eq!(process.read(from, 5000).unwrap(), text[500..]);
        }
        process.write(to, b"last").unwrap();
        process.close(to);
        assert_eq!(process.read(from, 10).unwrap(), b"last");
        assert_eq!(process.read(from, 10).unwrap(), b"");
        assert_eq!(
            process.sys(linux::__NR_lseek, &[from, 0, 0]),
            Err(Errno::ESPIPE)
        );
        assert_eq!(
            process.sys(linux::__NR_pread64, &[from, DATA, 1, 0]),
            Err(Errno::ESPIPE)
        );
    });
}

#[test]
fn a_large_write_waits_and_goes_on_where_it_was() {
    without_leak(|| {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        let (from, to) = pipe(&mut process, 0);
        let mut reader = process.fork();
        let text: Vec<u8> = (0..200_000).map(|i| (i % 241) as u8).collect();
        process.memory.part(DATA, text.len()).copy_from_slice(&text);
        let call = [to, DATA, text.len() as u64];
        let mut got = Vec::new();
        let written = loop {
            match process.stop(linux::__NR_write, &call) {
                Err(Stop::Wait) => got.extend(reader.read(from, 30_000).unwrap()),
                other => break other,
            }
        };
        assert_eq!(written, Ok(text.len() as u64));
        while got.len() < text.len() {
            got.extend(reader.read(from, 30_000).unwrap());
        }
        assert!(got == text);
        // Another call afterwards is one of its own.
        assert_eq!(process.write(to, b"new"), Ok(3));
        assert_eq!(reader.read(from, 10).unwrap(), b"new");
    });
}

#[test]
fn a_signal_ends_a_write_with_what_it_has_done() {
    without_leak(|| {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        let (_, to) = pipe(&mut process, 0);
        let call = [to, DATA, 100_000];
        assert_eq!(process.stop(linux::__NR_write, &call), Err(Stop::Wait));
        assert_eq!(process.files.take_partial(), Some(CAPACITY as u64));
        assert_eq!(process.files.take_partial(), None);
    });
}

#[test]
fn small_writes_are_whole_or_not_at_all() {
    without_leak(|| {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        let (from, to) = pipe(&mut process, linux::O_NONBLOCK);
        assert_eq!(process.read(from, 1), Err(Errno::EAGAIN));
        assert_eq!(
            process.write(to, &vec![1; CAPACITY - 100]),
            Ok(CAPACITY as u64 - 100)
        );
        assert_eq!(process.write(to, &[2; PIPE_BUF]), Err(Errno::EAGAIN));
        assert_eq!(process.write(to, &[2; PIPE_BUF + 1]), Ok(100));
        assert_eq!(process.write(to, &[3]), Err(Errno::EAGAIN));
        let size = u64::from(linux::F_GETPIPE_SZ);
        let size = process.sys(linux::__NR_fcntl, &[to, size]);
        assert_eq!(size, Ok(CAPACITY as u64));
    });
}

#[test]
fn nobody_reads_is_a_broken_pipe() {
    without_leak(|| {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        let (from, to) = pipe(&mut process, 0);
        let child = process.fork();
        process.close(from);
        assert_eq!(process.write(to, b"x"), Ok(1));
        drop(child);
        let call = process.stop(linux::__NR_write, &[to, DATA, 1]);
        assert_eq!(call, Err(Stop::BrokenPipe));
        assert_eq!(process.stop(linux::__NR_write, &[to, DATA, 0]), Ok(0));
    });
}

#[test]
fn a_pipe_takes_what_memory_there_is() {
    without_leak(|| {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        let mut written = 0;
        for _ in 0..500 {
            let (_, to) = pipe(&mut process, linux::O_NONBLOCK);
            match process.write(to, &vec![1; CAPACITY]) {
                Ok(len) => written += len,
                Err(errno) => {
                    assert_eq!(errno, Errno::ENOMEM);
                    assert!(written > 8 << 20);
                    return;
                }
            }
        }
        panic!("memory has no end");
    });
}
