//! The same calls here and on the host's Linux: the same results.

use super::{DATA, Process, mount};
use linux_raw_sys::general as linux;
use proptest::prelude::*;
use std::{ffi::CString, path::Path};

/// A call on names, with numbers of [`PATHS`].
#[derive(Clone, Copy, Debug)]
enum Step {
    Create(usize),
    CreateNew(usize),
    Open(usize),
    Mkdir(usize),
    Rmdir(usize),
    Unlink(usize),
    Rename(usize, usize),
    Link(usize, usize),
    Symlink(usize, usize),
    Stat(usize),
    Lstat(usize),
    Truncate(usize),
}

/// Relative paths, so that both sides can have a directory of their own.
const PATHS: [&str; 14] = [
    "a", "b", "a/c", "a/d", "b/a", "a/c/e", "a/", "b/.", "a/..", "./b", "a/c/../d", "b/a/", "c",
    "c/a",
];

fn step() -> impl Strategy<Value = Step> {
    let path = || 0..PATHS.len();
    prop_oneof![
        1 => path().prop_map(Step::Create),
        1 => path().prop_map(Step::CreateNew),
        1 => path().prop_map(Step::Open),
        3 => path().prop_map(Step::Mkdir),
        1 => path().prop_map(Step::Rmdir),
        1 => path().prop_map(Step::Unlink),
        3 => (path(), path()).prop_map(|(a, b)| Step::Rename(a, b)),
        1 => (path(), path()).prop_map(|(a, b)| Step::Link(a, b)),
        2 => (path(), path()).prop_map(|(a, b)| Step::Symlink(a, b)),
        1 => path().prop_map(Step::Stat),
        1 => path().prop_map(Step::Lstat),
        1 => path().prop_map(Step::Truncate),
    ]
}

const CREATE: u32 = linux::O_CREAT | linux::O_WRONLY;

/// The call: its number, its paths, and what follows them.
fn call(step: Step) -> (u32, Vec<&'static str>, Vec<u64>) {
    let flags = |flags: u32| vec![u64::from(flags), 0o644];
    match step {
        Step::Create(a) => (linux::__NR_open, vec![PATHS[a]], flags(CREATE)),
        Step::CreateNew(a) => (
            linux::__NR_open,
            vec![PATHS[a]],
            flags(CREATE | linux::O_EXCL),
        ),
        Step::Open(a) => (linux::__NR_open, vec![PATHS[a]], flags(linux::O_RDONLY)),
        Step::Mkdir(a) => (linux::__NR_mkdir, vec![PATHS[a]], vec![0o755]),
        Step::Rmdir(a) => (linux::__NR_rmdir, vec![PATHS[a]], vec![]),
        Step::Unlink(a) => (linux::__NR_unlink, vec![PATHS[a]], vec![]),
        Step::Rename(a, b) => (linux::__NR_rename, vec![PATHS[a], PATHS[b]], vec![]),
        Step::Link(a, b) => (linux::__NR_link, vec![PATHS[a], PATHS[b]], vec![]),
        Step::Symlink(a, b) => (linux::__NR_symlink, vec![PATHS[a], PATHS[b]], vec![]),
        Step::Stat(a) => (linux::__NR_stat, vec![PATHS[a]], vec![DATA]),
        Step::Lstat(a) => (linux::__NR_lstat, vec![PATHS[a]], vec![DATA]),
        Step::Truncate(a) => (linux::__NR_truncate, vec![PATHS[a]], vec![5]),
    }
}

/// What a call tells a program: an error, or for stat the mode, links and size.
type Told = Result<Option<(u32, u64, u64)>, u32>;

fn here(process: &mut Process, step: Step) -> Told {
    let (number, paths, rest) = call(step);
    let mut args: Vec<u64> = (0..)
        .zip(&paths)
        .map(|(place, path)| process.string(place, path))
        .collect();
    args.extend(rest);
    let result = process
        .sys(number, &args)
        .map_err(pagelab_abi::errno::Errno::get)?;
    if number == linux::__NR_open {
        process.close(result);
    }
    let is_stat = number == linux::__NR_stat || number == linux::__NR_lstat;
    Ok(is_stat.then(|| stat_of(&process.bytes(144))))
}

fn stat_of(bytes: &[u8]) -> (u32, u64, u64) {
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let mode = word(24) as u32;
    // How many bytes a directory has is the file system's own affair, and so is how many links.
    if mode & linux::S_IFMT == linux::S_IFDIR {
        (mode, 0, 0)
    } else {
        (mode, word(16), word(48))
    }
}

/// Makes the call on Linux, through the numbers with `at`, below a directory.
fn there(directory: i32, step: Step) -> Told {
    let (number, paths, _) = call(step);
    let paths: Vec<CString> = paths
        .iter()
        .map(|path| CString::new(*path).unwrap())
        .collect();
    let path = |index: usize| paths[index].as_ptr();
    let mut stat = [0_u8; 144];
    // SAFETY: the paths end with NUL, and `stat` has room for the structure.
    let result = unsafe {
        match number {
            linux::__NR_open => {
                let flags = match step {
                    Step::Create(_) => CREATE,
                    Step::CreateNew(_) => CREATE | linux::O_EXCL,
                    _ => linux::O_RDONLY,
                };
                libc::openat(directory, path(0), flags as i32, 0o644)
            }
            linux::__NR_mkdir => libc::mkdirat(directory, path(0), 0o755),
            linux::__NR_rmdir => libc::unlinkat(directory, path(0), libc::AT_REMOVEDIR),
            linux::__NR_unlink => libc::unlinkat(directory, path(0), 0),
            linux::__NR_rename => libc::renameat(directory, path(0), directory, path(1)),
            linux::__NR_link => libc::linkat(directory, path(0), directory, path(1), 0),
            linux::__NR_symlink => libc::symlinkat(path(0), directory, path(1)),
            linux::__NR_stat => libc::fstatat(directory, path(0), stat.as_mut_ptr().cast(), 0),
            linux::__NR_lstat => {
                let flags = libc::AT_SYMLINK_NOFOLLOW;
                libc::fstatat(directory, path(0), stat.as_mut_ptr().cast(), flags)
            }
            _ => {
                let fd = libc::openat(directory, path(0), libc::O_WRONLY);
                if fd < 0 {
                    fd
                } else {
                    let result = libc::ftruncate(fd, 5);
                    libc::close(fd);
                    result
                }
            }
        }
    };
    if result < 0 {
        return Err(std::io::Error::last_os_error().raw_os_error().unwrap() as u32);
    }
    if number == linux::__NR_open {
        // SAFETY: just opened.
        unsafe { libc::close(result) };
    }
    let is_stat = number == linux::__NR_stat || number == linux::__NR_lstat;
    Ok(is_stat.then(|| stat_of(&stat)))
}

/// A directory on memory, like the one here, if Linux has one.
fn scratch() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    let parent = if shm.is_dir() {
        shm.to_owned()
    } else {
        std::env::temp_dir()
    };
    tempfile::tempdir_in(parent).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn names_behave_as_on_linux(steps in prop::collection::vec(step(), 1..40)) {
        let ramfs = mount();
        let mut process = Process::new(&ramfs);
        process.path(linux::__NR_mkdir, "/base", &[0o755]).unwrap();
        process.path(linux::__NR_chdir, "/base", &[]).unwrap();
        let directory = scratch();
        let path = CString::new(directory.path().to_str().unwrap()).unwrap();
        // SAFETY: the path ends with NUL.
        let fd = unsafe { libc::open(path.as_ptr(), libc::O_DIRECTORY) };
        prop_assert!(fd >= 0);
        for (index, &step) in steps.iter().enumerate() {
            let (ours, theirs) = (here(&mut process, step), there(fd, step));
            prop_assert_eq!(ours, theirs, "step {} of {:?}", index, steps);
        }
        // SAFETY: opened above.
        unsafe { libc::close(fd) };
    }
}
