mod archive;
mod fail;
mod io;
mod names;
mod native;
mod pipes;
mod shortage;

use super::{
    calls::{Args, Caller, call},
    dentry::Dentry,
    memory::mm,
    object::Shared,
    proc::PidFile,
    ramfs::Ramfs,
    table::Files,
    task::NoText,
    transfer::Stop,
    user::Program,
};
use crate::cred::Cred;
use core::fmt::Write;
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;

/// The number of every process here.
const PID: u32 = 7;

const NO_ARGS: Args = [0; 6];

/// Where a test's memory begins, and how much there is.
const BASE: u64 = 0x1_0000;
const SIZE: usize = 1 << 20;

/// Where paths are put.
const PATHS: u64 = BASE + 0x8000;

/// The rest is for data.
const DATA: u64 = BASE + 0x2_0000;

struct Memory(Vec<u8>);

impl Memory {
    /// The part of a range that is there.
    fn part(&mut self, at: u64, len: usize) -> &mut [u8] {
        let start = at.wrapping_sub(BASE).min(SIZE as u64) as usize;
        let end = start.saturating_add(len).min(SIZE);
        &mut self.0[start..end]
    }
}

fn whole(copied: usize, len: usize) -> Result<(), usize> {
    if copied == len { Ok(()) } else { Err(copied) }
}

impl Program for Memory {
    fn load(&mut self, at: u64, buf: &mut [u8]) -> Result<(), usize> {
        let part = self.part(at, buf.len());
        buf[..part.len()].copy_from_slice(part);
        whole(part.len(), buf.len())
    }

    fn store(&mut self, at: u64, buf: &[u8]) -> Result<(), usize> {
        let part = self.part(at, buf.len());
        part.copy_from_slice(&buf[..part.len()]);
        whole(part.len(), buf.len())
    }

    fn proc_text(
        &mut self,
        pid: u32,
        file: PidFile,
        _: &Shared<Dentry>,
        out: &mut dyn Write,
    ) -> Result<(), NoText> {
        if pid != PID {
            return Err(NoText::Gone);
        }
        Ok(writeln!(out, "{file:?}")?)
    }

    fn set_oom_score_adj(&mut self, pid: u32, adj: i32) -> Result<(), Errno> {
        assert_eq!(pid, PID);
        if !(-1000..=1000).contains(&adj) {
            return Err(Errno::EINVAL);
        }
        self.0[..4].copy_from_slice(&adj.to_le_bytes());
        Ok(())
    }
}

/// A process.
struct Process {
    files: Files,
    cred: Cred,
    memory: Memory,
}

impl Process {
    fn new(ramfs: &Ramfs) -> Self {
        Self {
            files: ramfs.first_files().unwrap(),
            cred: Cred::root(),
            memory: Memory(vec![0; SIZE]),
        }
    }

    fn fork(&self) -> Self {
        Self {
            files: self.files.fork().unwrap(),
            cred: self.cred.copy().unwrap(),
            memory: Memory(self.memory.0.clone()),
        }
    }

    fn stop(&mut self, number: u32, args: &[u64]) -> Result<u64, Stop> {
        let mut all = NO_ARGS;
        all[..args.len()].copy_from_slice(args);
        let mut caller = Caller {
            files: &mut self.files,
            program: &mut self.memory,
            pid: PID,
            cred: &self.cred,
            nofile: 1024,
        };
        call(&mut caller, number, &all).expect("a call on files")
    }

    /// Makes a call that does not wait.
    fn sys(&mut self, number: u32, args: &[u64]) -> Result<u64, Errno> {
        self.stop(number, args).map_err(|stop| match stop {
            Stop::Error(errno) => errno,
            other => panic!("{other:?}"),
        })
    }

    /// Puts a string into memory, in one of some places.
    fn string(&mut self, place: u64, text: &str) -> u64 {
        let at = PATHS + place * 0x2000;
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.memory.store(at, &bytes).unwrap();
        at
    }

    /// Makes a call whose first argument is a path.
    fn path(&mut self, number: u32, path: &str, rest: &[u64]) -> Result<u64, Errno> {
        let mut args = vec![self.string(0, path)];
        args.extend(rest);
        self.sys(number, &args)
    }

    /// Makes a call whose first two arguments are paths.
    fn paths(&mut self, number: u32, first: &str, second: &str) -> Result<u64, Errno> {
        let args = [self.string(0, first), self.string(1, second)];
        self.sys(number, &args)
    }

    fn open(&mut self, path: &str, flags: u32) -> Result<u64, Errno> {
        self.path(linux::__NR_open, path, &[flags.into(), 0o666])
    }

    fn close(&mut self, fd: u64) {
        self.sys(linux::__NR_close, &[fd]).unwrap();
    }

    fn write(&mut self, fd: u64, bytes: &[u8]) -> Result<u64, Errno> {
        self.memory.store(DATA, bytes).unwrap();
        self.sys(linux::__NR_write, &[fd, DATA, bytes.len() as u64])
    }

    fn read(&mut self, fd: u64, len: usize) -> Result<Vec<u8>, Errno> {
        let read = self.sys(linux::__NR_read, &[fd, DATA, len as u64])?;
        Ok(self.bytes(read as usize))
    }

    /// What calls have left in memory.
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        self.memory.part(DATA, len).to_vec()
    }

    /// Makes a file.
    fn file(&mut self, path: &str, content: &[u8]) {
        let fd = self.open(path, linux::O_CREAT | linux::O_WRONLY | linux::O_TRUNC);
        let fd = fd.unwrap();
        assert_eq!(self.write(fd, content), Ok(content.len() as u64));
        self.close(fd);
    }

    /// A file's content.
    fn content(&mut self, path: &str) -> Result<Vec<u8>, Errno> {
        let fd = self.open(path, linux::O_RDONLY)?;
        let content = self.read(fd, SIZE / 2);
        self.close(fd);
        content
    }

    /// Names in a directory, in their order.
    fn list(&mut self, path: &str) -> Result<Vec<String>, Errno> {
        let fd = self.open(path, linux::O_RDONLY | linux::O_DIRECTORY)?;
        let mut names = Vec::new();
        loop {
            let len = self.sys(linux::__NR_getdents64, &[fd, DATA, 128])? as usize;
            if len == 0 {
                break;
            }
            let bytes = self.bytes(len);
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let len = usize::from(u16::from_le_bytes([rest[16], rest[17]]));
                let name = rest[19..len].split(|&byte| byte == 0).next().unwrap();
                names.push(String::from_utf8(name.to_vec()).unwrap());
                rest = &rest[len..];
            }
        }
        self.close(fd);
        Ok(names)
    }
}

/// An archive of these entries: name, mode, content.
fn archive(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (ino, (name, mode, content)) in (1..).zip(entries) {
        add_entry(&mut archive, ino, 1, name, *mode, content);
    }
    add_entry(&mut archive, 0, 1, "TRAILER!!!", 0, &[]);
    archive
}

fn add_entry(archive: &mut Vec<u8>, ino: u32, nlink: u32, name: &str, mode: u32, content: &[u8]) {
    let size = content.len() as u32;
    let name_len = name.len() as u32 + 1;
    let fields = [ino, mode, 0, 0, nlink, 1, size, 0, 0, 0, 0, name_len, 0];
    archive.extend(b"070701");
    for field in fields {
        archive.extend(format!("{field:08X}").bytes());
    }
    archive.extend(name.bytes());
    archive.push(0);
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend(content);
    archive.resize(archive.len().next_multiple_of(4), 0);
}

fn mount() -> Ramfs {
    Ramfs::mount(&archive(&[])).unwrap()
}

/// Objects of each cache that are in use, and frames outside slabs.
fn inventory() -> Vec<(String, u64)> {
    use pagelab_abi::vmstat::NodeStat;
    let mm = mm();
    mm.slab().drain_local();
    let mut all = Vec::new();
    let mut newer = None;
    while let Some(info) = mm.slab().info_of_next(newer) {
        if !["kmem_cache", "array_cache"].contains(&info.name) {
            all.push((info.name.to_owned(), info.active_objs));
        }
        newer = Some(info.index);
    }
    let census = mm.validate(&mut |violation| panic!("{violation}"));
    let allocated: u64 = census.iter().map(|zone| zone.allocated).sum();
    let slabs = mm.node_stat(NodeStat::SlabReclaimable) + mm.node_stat(NodeStat::SlabUnreclaimable);
    all.push(("frames".to_owned(), allocated - slabs as u64));
    mm.validate_page_cache(&mut |violation| panic!("{violation}"));
    mm.slab().validate().unwrap();
    all
}

/// Runs `work`, after which nothing more is in use than before.
fn without_leak<R>(work: impl FnOnce() -> R) -> R {
    let before = inventory();
    let result = work();
    assert_eq!(inventory(), before);
    result
}
