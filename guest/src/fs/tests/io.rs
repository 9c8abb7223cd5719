//! Descriptors, bytes, sizes, devices and /proc.

use super::{BASE, DATA, Process, SIZE, mount, without_leak};
use crate::fs::line::{Line, sent};
use linux_raw_sys::{general as linux, ioctl};
use pagelab_abi::errno::Errno;

const RDWR_CREAT: u32 = linux::O_RDWR | linux::O_CREAT;

#[test]
fn reads_and_writes_move_on_and_share_their_place() {
    without_leak(|| {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        let fd = process.open("/f", RDWR_CREAT).unwrap();
        assert_eq!(fd, 3);
        assert_eq!(process.write(fd, b"hello world"), Ok(11));
        let copy = process.sys(linux::__NR_dup, &[fd]).unwrap();
        assert_eq!(process.sys(linux::__NR_lseek, &[copy, 6, 0]), Ok(6));
        let mut child = process.fork();
        assert_eq!(child.read(fd, 3).unwrap(), b"wor");
        assert_eq!(process.read(copy, 10).unwrap(), b"ld");
        assert_eq!(process.read(fd, 10).unwrap(), b"");
        let pread = process.sys(linux::__NR_pread64, &[fd, DATA, 5, 0]);
        assert_eq!((pread, process.bytes(5)), (Ok(5), b"hello".to_vec()));
        assert_eq!(process.sys(linux::__NR_pwrite64, &[fd, DATA, 5, 20]), Ok(5));
        let content = process.content("/f").unwrap();
        assert_eq!(content, b"hello world\0\0\0\0\0\0\0\0\0hello");
        let negative = -1_i64 as u64;
        for number in [linux::__NR_pread64, linux::__NR_pwrite64] {
            let call = process.sys(number, &[fd, DATA, 5, negative]);
            assert_eq!(call, Err(Errno::EINVAL));
        }
        assert_eq!(
            process.sys(linux::__NR_lseek, &[fd, negative, 0]),
            Err(Errno::EINVAL)
        );
        assert_eq!(process.sys(linux::__NR_lseek, &[fd, negative, 2]), Ok(24));
        assert_eq!(process.sys(linux::__NR_lseek, &[fd, 5, 3]), Ok(5));
        assert_eq!(process.sys(linux::__NR_lseek, &[fd, 5, 4]), Ok(25));
        assert_eq!(
            process.sys(linux::__NR_lseek, &[fd, 25, 3]),
            Err(Errno::ENXIO)
        );
    });
}

#[test]
fn vectors_go_through_their_pieces() {
    without_leak(|| {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        let fd = process.open("/f", RDWR_CREAT).unwrap();
        let list = BASE;
        let put = |process: &mut Process, pieces: &[(u64, u64)]| {
            for (index, (at, len)) in pieces.iter().enumerate() {
                let mut bytes = at.to_le_bytes().to_vec();
                bytes.extend(len.to_le_bytes());
                let part = process.memory.part(list + index as u64 * 16, 16);
                part.copy_from_slice(&bytes);
            }
        };
        process.memory.part(DATA, 6).copy_from_slice(b"abcdef");
        put(&mut process, &[(DATA + 3, 3), (0, 0), (DATA, 2)]);
        assert_eq!(process.sys(linux::__NR_writev, &[fd, list, 3]), Ok(5));
        assert_eq!(process.content("/f").unwrap(), b"defab");
        put(&mut process, &[(DATA, 2), (DATA + 100, 100)]);
        assert_eq!(process.sys(linux::__NR_preadv, &[fd, list, 2, 1]), Ok(4));
        assert_eq!(process.bytes(2), b"ef");
        assert_eq!(process.memory.part(DATA + 100, 2), b"ab");
        put(&mut process, &[(DATA, u64::MAX)]);
        assert_eq!(
            process.sys(linux::__NR_readv, &[fd, list, 1]),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            process.sys(linux::__NR_readv, &[fd, list, 1025]),
            Err(Errno::EINVAL)
        );
        assert_eq!(
            process.sys(linux::__NR_readv, &[fd, 0, 1]),
            Err(Errno::EFAULT)
        );
        assert_eq!(process.sys(linux::__NR_readv, &[fd, 0, 0]), Ok(0));
    });
}

#[test]
fn wild_pointers_are_efault_and_what_was_before_them_counts() {
    without_leak(|| {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        process.file("/f", &[7; 3000]);
        let fd = process.open("/f", linux::O_RDWR).unwrap();
        for wild in [0, 0xdead_0000_0000, u64::MAX - 5, 1 << 63] {
            for number in [linux::__NR_read, linux::__NR_write] {
                assert_eq!(process.sys(number, &[fd, wild, 10]), Err(Errno::EFAULT));
                // What cannot be an address is refused before anybody asks for bytes.
                let nothing = if wild == 0 { Ok(0) } else { Err(Errno::EFAULT) };
                assert_eq!(process.sys(number, &[fd, wild, 0]), nothing);
            }
            for number in [
                linux::__NR_open,
                linux::__NR_stat,
                linux::__NR_mkdir,
                linux::__NR_unlink,
                linux::__NR_rename,
                linux::__NR_symlink,
                linux::__NR_readlink,
                linux::__NR_chdir,
                linux::__NR_truncate,
                linux::__NR_access,
                linux::__NR_pipe,
                linux::__NR_memfd_create,
            ] {
                let call = process.sys(number, &[wild, wild, 0]);
                let late = number == linux::__NR_readlink && wild == u64::MAX;
                assert!(late || call == Err(Errno::EFAULT) || call == Err(Errno::EINVAL));
            }
            assert_eq!(
                process.sys(linux::__NR_fstat, &[fd, wild]),
                Err(Errno::EFAULT)
            );
            assert_eq!(
                process.sys(linux::__NR_getcwd, &[wild, 100]),
                Err(Errno::EFAULT)
            );
        }
        let end = BASE + SIZE as u64;
        assert_eq!(
            process.sys(linux::__NR_read, &[fd, end - 100, 3000]),
            Ok(100)
        );
        assert_eq!(process.sys(linux::__NR_lseek, &[fd, 0, 1]), Ok(100));
        assert_eq!(
            process.sys(linux::__NR_write, &[fd, end - 30, 3000]),
            Ok(30)
        );
        // A pipe whose numbers cannot be told leaves no descriptor.
        assert_eq!(process.sys(linux::__NR_dup, &[fd]), Ok(fd + 1));
    });
}

#[test]
fn access_modes_and_closed_descriptors_are_ebadf() {
    without_leak(|| {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        process.file("/f", b"x");
        let reader = process.open("/f", linux::O_RDONLY).unwrap();
        let writer = process.open("/f", linux::O_WRONLY).unwrap();
        let path = process.open("/f", linux::O_PATH).unwrap();
        assert_eq!(process.write(reader, b"y"), Err(Errno::EBADF));
        assert_eq!(process.read(writer, 1), Err(Errno::EBADF));
        assert_eq!(process.read(path, 1), Err(Errno::EBADF));
        let ftruncate = linux::__NR_ftruncate;
        assert_eq!(process.sys(ftruncate, &[reader, 0]), Err(Errno::EINVAL));
        assert_eq!(
            process.sys(ftruncate, &[writer, u64::MAX]),
            Err(Errno::EINVAL)
        );
        assert_eq!(process.sys(ftruncate, &[writer, 10]), Ok(0));
        assert_eq!(process.content("/f").unwrap(), b"x\0\0\0\0\0\0\0\0\0");
        for fd in [99, 1 << 20, u64::MAX] {
            assert_eq!(process.read(fd, 1), Err(Errno::EBADF));
            assert_eq!(process.sys(linux::__NR_close, &[fd]), Err(Errno::EBADF));
            assert_eq!(
                process.sys(linux::__NR_dup2, &[reader, fd | 1 << 11]),
                Err(Errno::EBADF)
            );
        }
        let dir = process.open("/", linux::O_RDONLY).unwrap();
        assert_eq!(process.read(dir, 1), Err(Errno::EISDIR));
    });
}

#[test]
fn descriptors_are_the_lowest_free_and_limited() {
    without_leak(|| {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        let first = process.open("/dev/null", linux::O_RDONLY).unwrap();
        while process.sys(linux::__NR_dup, &[first]).is_ok() {}
        assert_eq!(process.sys(linux::__NR_dup, &[first]), Err(Errno::EMFILE));
        assert_eq!(process.open("/dev/null", 0), Err(Errno::EMFILE));
        process.close(500);
        process.close(100);
        assert_eq!(process.sys(linux::__NR_dup, &[first]), Ok(100));
        let dupfd = u64::from(linux::F_DUPFD);
        assert_eq!(
            process.sys(linux::__NR_fcntl, &[first, dupfd, 200]),
            Ok(500)
        );
        assert_eq!(
            process.sys(linux::__NR_fcntl, &[first, dupfd, 1024]),
            Err(Errno::EINVAL)
        );
        assert_eq!(process.sys(linux::__NR_dup2, &[first, 1023]), Ok(1023));
        assert_eq!(
            process.sys(linux::__NR_dup2, &[first, 1024]),
            Err(Errno::EBADF)
        );
        assert_eq!(
            process.sys(linux::__NR_dup3, &[first, first, 0]),
            Err(Errno::EINVAL)
        );
        assert_eq!(process.sys(linux::__NR_dup2, &[first, first]), Ok(first));
        assert_eq!(
            process.sys(linux::__NR_close_range, &[4, u64::MAX, 0]),
            Ok(0)
        );
        assert_eq!(process.sys(linux::__NR_dup, &[first]), Ok(4));
    });
}

#[test]
fn execve_closes_what_it_shall() {
    without_leak(|| {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        let closed = process.open("/dev/null", linux::O_CLOEXEC).unwrap();
        let kept = process.open("/dev/null", 0).unwrap();
        let fcntl = linux::__NR_fcntl;
        let (get, set) = (u64::from(linux::F_GETFD), u64::from(linux::F_SETFD));
        assert_eq!(process.sys(fcntl, &[closed, get]), Ok(1));
        assert_eq!(process.sys(fcntl, &[kept, get]), Ok(0));
        let copy = process.sys(linux::__NR_dup, &[closed]).unwrap();
        assert_eq!(process.sys(fcntl, &[copy, get]), Ok(0));
        assert_eq!(process.sys(fcntl, &[kept, set, 1]), Ok(0));
        assert_eq!(process.sys(fcntl, &[kept, set, 0]), Ok(0));
        let mut child = process.fork();
        child.files.close_on_exec();
        for (fd, is_open) in [(closed, false), (kept, true), (copy, true), (1, true)] {
            assert_eq!(child.sys(fcntl, &[fd, get]).is_ok(), is_open, "{fd}");
            assert!(process.sys(fcntl, &[fd, get]).is_ok());
        }
    });
}

#[test]
fn devices_are_what_they_are() {
    without_leak(|| {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        let mut of = |name: &str| {
            let fd = process
                .open(&format!("/dev/{name}"), linux::O_RDWR)
                .unwrap();
            let result = (process.read(fd, 5000), process.write(fd, &[1; 5000]));
            process.close(fd);
            result
        };
        assert_eq!(of("null"), (Ok(vec![]), Ok(5000)));
        assert_eq!(of("zero"), (Ok(vec![0; 5000]), Ok(5000)));
        assert_eq!(of("full"), (Ok(vec![0; 5000]), Err(Errno::ENOSPC)));
        let (random, written) = of("urandom");
        let random = random.unwrap();
        assert!(random.len() == 5000 && written == Ok(5000));
        assert!((0..=255).all(|byte| random.contains(&byte)));
        assert_eq!(process.read(0, 10).unwrap(), b"");
        assert_eq!(process.write(1, b"to stdout"), Ok(9));
        assert_eq!(process.write(2, b"to stderr"), Ok(9));
        assert_eq!(
            (sent(Line::Stdout).len(), sent(Line::Stderr)),
            (9, b"to stderr".to_vec())
        );
        for command in [ioctl::TCGETS, ioctl::TIOCGWINSZ] {
            let call = process.sys(linux::__NR_ioctl, &[1, command.into(), DATA]);
            assert_eq!(call, Err(Errno::ENOTTY));
        }
        assert_eq!(
            process.sys(linux::__NR_lseek, &[1, 0, 1]),
            Err(Errno::ESPIPE)
        );
    });
}

#[test]
fn proc_tells_of_memory_and_of_the_process() {
    without_leak(|| {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        let text = process.content("/proc/meminfo").unwrap();
        assert!(text.starts_with(b"MemTotal:") && text.ends_with(b" kB\n"));
        assert_eq!(process.content("/proc/self/maps").unwrap(), b"Maps\n");
        assert_eq!(process.content("/proc/7/status").unwrap(), b"Status\n");
        assert_eq!(process.open("/proc/8/status", 0), Err(Errno::ENOENT));
        assert_eq!(process.open("/proc/self/exe", 0), Err(Errno::ENOENT));
        process
            .path(linux::__NR_readlink, "/proc/self", &[DATA, 100])
            .unwrap();
        assert_eq!(process.bytes(1), b"7");
        assert!(
            process
                .list("/proc")
                .unwrap()
                .contains(&"vmstat".to_owned())
        );
        let adj = process
            .open("/proc/self/oom_score_adj", linux::O_RDWR)
            .unwrap();
        assert_eq!(process.write(adj, b"-17\n"), Ok(4));
        assert_eq!(process.memory.part(BASE, 4), (-17_i32).to_le_bytes());
        assert_eq!(process.write(adj, b"2000\n"), Err(Errno::EINVAL));
        for path in ["/proc/x", "/proc/self/x"] {
            let create = process.open(path, linux::O_CREAT | linux::O_WRONLY);
            assert_eq!(create, Err(Errno::EACCES));
        }
        assert_eq!(
            process.path(linux::__NR_unlink, "/proc/meminfo", &[]),
            Err(Errno::EPERM)
        );
        process.path(linux::__NR_chdir, "/proc/self", &[]).unwrap();
        process.sys(linux::__NR_getcwd, &[DATA, 100]).unwrap();
        assert_eq!(process.bytes(8), b"/proc/7\0");
    });
}

#[test]
fn memory_files_have_content_and_no_name() {
    without_leak(|| {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        let fd = process
            .path(linux::__NR_memfd_create, "name", &[1])
            .unwrap();
        assert_eq!(process.sys(linux::__NR_ftruncate, &[fd, 1 << 30]), Ok(0));
        assert_eq!(
            process.sys(linux::__NR_pwrite64, &[fd, DATA, 4, 1 << 29]),
            Ok(4)
        );
        assert_eq!(
            process.sys(linux::__NR_fallocate, &[fd, 3, 0, 1 << 30]),
            Ok(0)
        );
        assert_eq!(
            process.sys(linux::__NR_fallocate, &[fd, 0, 1 << 30, 5000]),
            Ok(0)
        );
        assert_eq!(
            process.sys(linux::__NR_lseek, &[fd, 0, 2]),
            Ok((1 << 30) + 5000)
        );
        let huge = process.sys(linux::__NR_fallocate, &[fd, 0, 0, i64::MAX as u64]);
        assert!(
            matches!(huge, Err(Errno::EFBIG | Errno::ENOSPC)),
            "{huge:?}"
        );
        let size = process.sys(linux::__NR_lseek, &[fd, 0, 2]);
        assert_eq!(
            size,
            Ok((1 << 30) + 5000),
            "a failed fallocate changes nothing"
        );
        let keep = linux::FALLOC_FL_KEEP_SIZE.into();
        let call = [fd, keep, 1 << 30, 1 << 20];
        assert_eq!(process.sys(linux::__NR_fallocate, &call), Ok(0));
        assert_eq!(process.sys(linux::__NR_lseek, &[fd, 0, 2]), size);
        let long = "n".repeat(250);
        let call = process.path(linux::__NR_memfd_create, &long, &[0]);
        assert_eq!(call, Err(Errno::EINVAL));
    });
}

#[test]
fn sendfile_copies() {
    without_leak(|| {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        let text: Vec<u8> = (0..5000).map(|i| (i % 253) as u8).collect();
        process.file("/from", &text);
        let from = process.open("/from", 0).unwrap();
        let to = process.open("/to", RDWR_CREAT).unwrap();
        let sendfile = linux::__NR_sendfile;
        assert_eq!(process.sys(sendfile, &[to, from, 0, 100]), Ok(100));
        assert_eq!(process.sys(sendfile, &[to, from, 0, 1 << 40]), Ok(4900));
        assert_eq!(process.content("/to").unwrap(), text);
        process
            .memory
            .part(BASE, 8)
            .copy_from_slice(&4990_u64.to_le_bytes());
        assert_eq!(process.sys(sendfile, &[1, from, BASE, 100]), Ok(10));
        assert_eq!(sent(Line::Stdout), text[4990..]);
        assert_eq!(process.memory.part(BASE, 8), 5000_u64.to_le_bytes());
        assert_eq!(process.sys(sendfile, &[from, to, 0, 1]), Err(Errno::EBADF));
        assert_eq!(process.sys(sendfile, &[to, 0, 0, 1]), Err(Errno::EINVAL));
    });
}
