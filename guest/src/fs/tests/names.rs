//! Paths, names and directories.

use super::{DATA, Process, mount, without_leak};
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;

/// A process in a file system with a directory, a file and some links.
fn prepared() -> Process {
    let ramfs = mount();
    let mut process = Process::new(&ramfs);
    // The names live on with the process's root.
    core::mem::forget(ramfs);
    process.path(linux::__NR_mkdir, "/d", &[0o755]).unwrap();
    process.file("/d/f", b"content");
    for (target, link) in [
        ("d", "/to_d"),
        ("/d/f", "/d/to_f"),
        ("loop", "/loop"),
        ("missing", "/dangling"),
        ("to_d/to_f", "/two"),
        ("/", "/d/up"),
    ] {
        process.paths(linux::__NR_symlink, target, link).unwrap();
    }
    process
}

#[test]
fn paths_lead_where_they_do_on_linux() {
    let mut process = prepared();
    for (path, expected) in [
        ("/d/f", Ok(())),
        ("d/f", Ok(())),
        ("/d//./f", Ok(())),
        ("/d/../d/f", Ok(())),
        ("/../../d/f", Ok(())),
        ("/to_d/f", Ok(())),
        ("/to_d/to_f", Ok(())),
        ("/two", Ok(())),
        ("/d/up/d/up/two", Ok(())),
        ("/d/", Ok(())),
        ("/to_d/", Ok(())),
        ("/d/up", Ok(())),
        ("", Err(Errno::ENOENT)),
        ("/x", Err(Errno::ENOENT)),
        ("/x/y", Err(Errno::ENOENT)),
        ("/dangling", Err(Errno::ENOENT)),
        ("/d/f/", Err(Errno::ENOTDIR)),
        ("/d/f/x", Err(Errno::ENOTDIR)),
        ("/d/f/..", Err(Errno::ENOTDIR)),
        ("/d/to_f/", Err(Errno::ENOTDIR)),
        ("/loop", Err(Errno::ELOOP)),
        ("/loop/x", Err(Errno::ELOOP)),
    ] {
        let stat = process.path(linux::__NR_stat, path, &[DATA]).map(|_| ());
        assert_eq!(stat, expected, "{path}");
    }
    let long = "x".repeat(256);
    let stat = process.path(linux::__NR_stat, &long, &[DATA]);
    assert_eq!(stat, Err(Errno::ENAMETOOLONG));
    let fits = process.path(linux::__NR_stat, &long[1..], &[DATA]);
    assert_eq!(fits, Err(Errno::ENOENT));
    let slashes = "/".repeat(4095);
    assert_eq!(process.path(linux::__NR_stat, &slashes, &[DATA]), Ok(0));
    let slashes = "/".repeat(4096);
    let stat = process.path(linux::__NR_stat, &slashes, &[DATA]);
    assert_eq!(stat, Err(Errno::ENAMETOOLONG));
}

#[test]
fn forty_links_are_followed_and_no_more() {
    let mut process = prepared();
    let mut target = "/d/f".to_owned();
    for number in 1..=41 {
        let link = format!("/l{number}");
        process.paths(linux::__NR_symlink, &target, &link).unwrap();
        target = link;
    }
    assert_eq!(process.path(linux::__NR_stat, "/l40", &[DATA]), Ok(0));
    let stat = process.path(linux::__NR_stat, "/l41", &[DATA]);
    assert_eq!(stat, Err(Errno::ELOOP));
}

#[test]
fn open_makes_what_it_shall() {
    let mut process = prepared();
    let create = linux::O_CREAT | linux::O_WRONLY;
    for (path, flags, expected) in [
        ("/d/f", create | linux::O_EXCL, Err(Errno::EEXIST)),
        ("/dangling", create | linux::O_EXCL, Err(Errno::EEXIST)),
        ("/d", create, Err(Errno::EISDIR)),
        ("/d", linux::O_WRONLY, Err(Errno::EISDIR)),
        ("/new/", create, Err(Errno::EISDIR)),
        ("/x/new", create, Err(Errno::ENOENT)),
        ("/d/f", linux::O_DIRECTORY, Err(Errno::ENOTDIR)),
        ("/two", linux::O_NOFOLLOW, Err(Errno::ELOOP)),
        ("/dangling", create, Ok(())),
    ] {
        let open = process.open(path, flags).map(|fd| process.close(fd));
        assert_eq!(open, expected, "{path}");
    }
    // It was made where the link leads.
    assert_eq!(process.content("/missing").unwrap(), b"");
    let truncate = process
        .open("/d/f", linux::O_RDWR | linux::O_TRUNC)
        .unwrap();
    assert_eq!(process.read(truncate, 10).unwrap(), b"");
    assert_eq!(process.write(truncate, b"abc"), Ok(3));
    let append = process
        .open("/d/f", linux::O_WRONLY | linux::O_APPEND)
        .unwrap();
    assert_eq!(process.write(append, b"def"), Ok(3));
    assert_eq!(process.content("/d/f").unwrap(), b"abcdef");
}

#[test]
fn files_without_a_name_live_while_they_are_open() {
    without_leak(|| {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        process.file("/f", b"still here");
        let fd = process.open("/f", linux::O_RDONLY).unwrap();
        process.path(linux::__NR_unlink, "/f", &[]).unwrap();
        assert_eq!(process.open("/f", 0), Err(Errno::ENOENT));
        assert_eq!(process.read(fd, 20).unwrap(), b"still here");
        process.path(linux::__NR_mkdir, "/gone", &[0o755]).unwrap();
        process.path(linux::__NR_chdir, "/gone", &[]).unwrap();
        process.path(linux::__NR_rmdir, "/gone", &[]).unwrap();
        let getcwd = process.sys(linux::__NR_getcwd, &[DATA, 100]);
        assert_eq!(getcwd, Err(Errno::ENOENT));
        let create = process.open("new", linux::O_CREAT | linux::O_WRONLY);
        assert_eq!(create, Err(Errno::ENOENT));
        assert_eq!(process.path(linux::__NR_stat, "..", &[DATA]), Ok(0));
    });
}

#[test]
fn listings_show_each_name_once_while_names_come_and_go() {
    without_leak(|| {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        process.path(linux::__NR_mkdir, "/many", &[0o755]).unwrap();
        for number in 0..100 {
            process.file(&format!("/many/{number}"), b"");
        }
        let mut names = process.list("/many").unwrap();
        assert_eq!(names[..3], [".", "..", "99"]);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 102);
        // As rm -r does it: list some, remove them, go on.
        let fd = process.open("/many", linux::O_DIRECTORY).unwrap();
        let mut removed = 0;
        loop {
            let len = process
                .sys(linux::__NR_getdents64, &[fd, DATA, 200])
                .unwrap() as usize;
            if len == 0 {
                break;
            }
            let bytes = process.bytes(len);
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let len = usize::from(u16::from_le_bytes([rest[16], rest[17]]));
                let name = rest[19..len].split(|&byte| byte == 0).next().unwrap();
                let name = String::from_utf8(name.to_vec()).unwrap();
                rest = &rest[len..];
                if !name.starts_with('.') {
                    let path = format!("/many/{name}");
                    process.path(linux::__NR_unlink, &path, &[]).unwrap();
                    removed += 1;
                }
            }
        }
        assert_eq!(removed, 100);
        process.path(linux::__NR_rmdir, "/many", &[]).unwrap();
        let small = process.open("/", linux::O_DIRECTORY).unwrap();
        let call = process.sys(linux::__NR_getdents64, &[small, DATA, 10]);
        assert_eq!(call, Err(Errno::EINVAL));
    });
}

#[test]
fn stat_tells_what_a_file_is() {
    let mut process = prepared();
    let mut stat = |number, path: &str| {
        process.path(number, path, &[DATA]).unwrap();
        let bytes = process.bytes(144);
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        (word(24) as u32, word(16), word(48), word(64))
    };
    // Mode, links, size, blocks.
    let content = (linux::S_IFREG | 0o644, 1, 7, 8);
    assert_eq!(stat(linux::__NR_stat, "/d/f"), content);
    assert_eq!(stat(linux::__NR_stat, "/two"), content);
    assert_eq!(stat(linux::__NR_lstat, "/two").0, linux::S_IFLNK | 0o777);
    assert_eq!(stat(linux::__NR_lstat, "/two").2, 9);
    assert_eq!(stat(linux::__NR_stat, "/d").0, linux::S_IFDIR | 0o755);
    assert_eq!(stat(linux::__NR_stat, "/d").1, 2);
    // /d, /dev, /tmp, /proc.
    assert_eq!(stat(linux::__NR_stat, "/").1, 6);
    assert_eq!(
        stat(linux::__NR_stat, "/dev/null").0,
        linux::S_IFCHR | 0o666
    );
}
