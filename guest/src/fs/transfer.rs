//! Reading and writing open files, whatever is behind them.

use super::{
    device::Device,
    disk,
    file::{OpenFile, Opened},
    inode::{Content, Inode, Kind},
    iov::Transfer,
    memory::mm,
    pipe::{End, PIPE_BUF, Pipe},
    proc::{PidFile, ProcNode},
    reading::Reading,
    task,
};
use core::sync::atomic::Ordering::Relaxed;
use linux_raw_sys::general as linux;
use pagelab_abi::{PAGE_SIZE, errno::Errno};

/// Bytes that go through the kernel's stack at once.
const BOUNCE: usize = 1024;

/// Largest file (Linux: `MAX_LFS_FILESIZE`).
pub(super) const MAX_SIZE: u64 = i64::MAX as u64;

/// Why a call does not return a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It fails.
    Error(Errno),
    /// It waits until another process has done something with a file, and is made again.
    Wait,
    /// It fails with EPIPE, and the process gets SIGPIPE.
    BrokenPipe,
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Error(errno)
    }
}

/// What a call comes to.
pub(crate) type Answer = Result<u64, Stop>;

/// What was done before it stopped counts, if anything was.
fn partly(done: usize, stop: impl Into<Stop>) -> Result<usize, Stop> {
    if done > 0 { Ok(done) } else { Err(stop.into()) }
}

impl OpenFile {
    /// Reads from a position, or from where the file stands, which moves on then.
    ///
    /// # Errors
    /// EBADF, EISDIR, EINVAL, ESPIPE, EAGAIN, EFAULT.
    pub(super) fn read(
        &self,
        transfer: &mut Transfer<'_>,
        position: Option<u64>,
    ) -> Result<usize, Stop> {
        self.check(position, self.is_readable())?;
        transfer.check()?;
        match &self.opened {
            Opened::Directory => Err(Errno::EISDIR.into()),
            Opened::Path => Err(Errno::EBADF.into()),
            Opened::Regular(content) | Opened::Text(content) => {
                let at = position.unwrap_or_else(|| self.position.load(Relaxed));
                let done = read_content(content, &self.reading, transfer, at)?;
                if position.is_none() {
                    self.position.store(at + done as u64, Relaxed);
                }
                if !self.has(linux::O_NOATIME) {
                    self.dentry.inode.accessed();
                }
                Ok(done)
            }
            Opened::Fail(pid, fail) => {
                let at = position.unwrap_or_else(|| self.position.load(Relaxed));
                let done = fail.read(*pid, transfer, at)?;
                if position.is_none() {
                    self.position.store(at + done as u64, Relaxed);
                }
                Ok(done)
            }
            Opened::Knob(knob) => {
                let at = position.unwrap_or_else(|| self.position.load(Relaxed));
                let done = knob.read(transfer, at)?;
                if position.is_none() {
                    self.position.store(at + done as u64, Relaxed);
                }
                Ok(done)
            }
            Opened::Pagemap(pid) => {
                let at = position.unwrap_or_else(|| self.position.load(Relaxed));
                let done = read_pagemap(*pid, transfer, at)?;
                if position.is_none() {
                    self.position.store(at + done as u64, Relaxed);
                }
                Ok(done)
            }
            Opened::Device(device) => read_device(*device, transfer),
            Opened::Pipe(pipe, _) => self.read_pipe(pipe, transfer),
        }
    }

    /// Writes at a position, or where the file stands, which moves on then.
    ///
    /// # Errors
    /// EBADF, ESPIPE, EFBIG, ENOSPC, EAGAIN, EFAULT, EPIPE.
    pub(super) fn write(
        &self,
        transfer: &mut Transfer<'_>,
        position: Option<u64>,
    ) -> Result<usize, Stop> {
        self.check(position, self.is_writable())?;
        transfer.check()?;
        match &self.opened {
            Opened::Directory | Opened::Path | Opened::Pagemap(_) => Err(Errno::EBADF.into()),
            Opened::Regular(content) => {
                let at = if self.has(linux::O_APPEND) {
                    mm().file_size(content.id())
                } else {
                    position.unwrap_or_else(|| self.position.load(Relaxed))
                };
                let done = write_content(content, transfer, at, &self.dentry.inode)?;
                if position.is_none() {
                    self.position.store(at + done as u64, Relaxed);
                }
                if done > 0 {
                    self.dentry.inode.modified();
                    // The bits of O_SYNC are those of O_DSYNC and one more.
                    if self.has(linux::O_DSYNC) {
                        disk::fsync(self)?;
                    }
                }
                Ok(done)
            }
            Opened::Text(_) => self.write_text(transfer),
            Opened::Fail(pid, fail) => fail.write(*pid, transfer),
            Opened::Knob(knob) => knob.write(transfer),
            Opened::Device(device) => write_device(*device, transfer),
            Opened::Pipe(pipe, _) => self.write_pipe(pipe, transfer),
        }
    }

    /// Whether it can be read or written, at a position if there is one.
    ///
    /// # Errors
    /// EBADF, ESPIPE.
    pub(super) fn check(&self, position: Option<u64>, allowed: bool) -> Result<(), Errno> {
        if position.is_some() && !self.seeks() && !self.has(linux::O_PATH) {
            return Err(Errno::ESPIPE);
        }
        if allowed { Ok(()) } else { Err(Errno::EBADF) }
    }

    fn read_pipe(&self, pipe: &Pipe, transfer: &mut Transfer<'_>) -> Result<usize, Stop> {
        if transfer.left() == 0 {
            return Ok(0);
        }
        if pipe.len() == 0 {
            if !pipe.is_open(End::Write) {
                return Ok(0);
            }
            if self.has(linux::O_NONBLOCK) {
                return Err(Errno::EAGAIN.into());
            }
            return Err(Stop::Wait);
        }
        let mut buf = [0; BOUNCE];
        let mut done = 0;
        while transfer.left() > 0 {
            let wanted = transfer.left().min(BOUNCE);
            let there = match pipe.peek(&mut buf[..wanted]) {
                Ok(0) => break,
                Ok(there) => there,
                Err(errno) => return partly(done, errno),
            };
            let given = match transfer.give(&buf[..there]) {
                Ok(given) => given,
                Err(errno) => return partly(done, errno),
            };
            pipe.discard(given);
            done += given;
            if given < there {
                break;
            }
        }
        Ok(done)
    }

    /// Writes all of it, or waits: what is done of a call that waits shows in `transfer`.
    fn write_pipe(&self, pipe: &Pipe, transfer: &mut Transfer<'_>) -> Result<usize, Stop> {
        let mut buf = [0; BOUNCE];
        if transfer.total() == 0 {
            return Ok(0);
        }
        if !pipe.is_open(End::Read) {
            return partly(transfer.done(), Stop::BrokenPipe);
        }
        let is_atomic = transfer.total() <= PIPE_BUF;
        while transfer.left() > 0 {
            let room = pipe.room();
            if room == 0 || is_atomic && transfer.done() == 0 && room < transfer.total() {
                return if self.has(linux::O_NONBLOCK) {
                    partly(transfer.done(), Errno::EAGAIN)
                } else {
                    Err(Stop::Wait)
                };
            }
            let wanted = transfer.left().min(BOUNCE).min(room);
            let appended = transfer
                .peek(&mut buf[..wanted])
                .and_then(|len| pipe.append(&buf[..len]));
            match appended {
                Ok(len) => transfer.skip(len),
                Err(errno) => return partly(transfer.done(), errno),
            }
        }
        Ok(transfer.done())
    }

    /// The one text that can be changed.
    fn write_text(&self, transfer: &mut Transfer<'_>) -> Result<usize, Stop> {
        let Kind::Proc(ProcNode::PidFile(pid, PidFile::OomScoreAdj)) = self.dentry.inode.kind
        else {
            return Err(Errno::EIO.into());
        };
        let mut text = [0; 16];
        let len = transfer.peek(&mut text)?;
        let text = core::str::from_utf8(&text[..len]).map_err(|_| Errno::EINVAL)?;
        let adj: i32 = text.trim().parse().map_err(|_| Errno::EINVAL)?;
        transfer.program().set_oom_score_adj(pid, adj)?;
        transfer.skip(len);
        Ok(len)
    }
}

fn read_content(
    content: &Content,
    reading: &Reading,
    transfer: &mut Transfer<'_>,
    at: u64,
) -> Result<usize, Stop> {
    let reader = reading.reader();
    let mut buf = [0; BOUNCE];
    let mut done = 0;
    while transfer.left() > 0 {
        let wanted = transfer.left().min(BOUNCE);
        let Some(from) = at.checked_add(done as u64) else {
            break;
        };
        let (left, part) = (transfer.left() as u64, &mut buf[..wanted]);
        let there = match mm().file_read_by(&reader, content.id(), from, part, left) {
            Ok(there) => there,
            Err(error) => return partly(done, disk::reported(error.errno())),
        };
        if there == 0 {
            break;
        }
        match transfer.give(&buf[..there]) {
            Ok(given) => done += given,
            Err(errno) => return partly(done, errno),
        }
        if there < wanted {
            break;
        }
    }
    Ok(done)
}

/// Words of /proc/PID/pagemap, always whole ones (Linux: `pagemap_read`).
fn read_pagemap(pid: u32, transfer: &mut Transfer<'_>, at: u64) -> Result<usize, Stop> {
    const WORD: usize = 8;
    if !at.is_multiple_of(WORD as u64) || !transfer.left().is_multiple_of(WORD) {
        return Err(Errno::EINVAL.into());
    }
    let mut buf = [0; BOUNCE];
    let mut done = 0;
    while transfer.left() > 0 {
        let wanted = transfer.left().min(BOUNCE);
        let Some(from) = at.checked_add(done as u64) else {
            break;
        };
        let Some(there) = task::pagemap(pid, from, &mut buf[..wanted]) else {
            return partly(done, Errno::ESRCH);
        };
        if there == 0 {
            break;
        }
        match transfer.give(&buf[..there]) {
            Ok(given) => done += given,
            Err(errno) => return partly(done, errno),
        }
    }
    Ok(done)
}

fn write_content(
    content: &Content,
    transfer: &mut Transfer<'_>,
    at: u64,
    inode: &Inode,
) -> Result<usize, Stop> {
    if transfer.left() > 0 && inode.is_sealed(linux::F_SEAL_WRITE | linux::F_SEAL_FUTURE_WRITE) {
        return Err(Errno::EPERM.into());
    }
    let may_grow = !inode.is_sealed(linux::F_SEAL_GROW);
    let mut buf = [0; BOUNCE];
    let mut done = 0;
    while transfer.left() > 0 {
        let to = at + done as u64;
        let room = MAX_SIZE.saturating_sub(to).min(BOUNCE as u64) as usize;
        if room == 0 {
            return partly(done, Errno::EFBIG);
        }
        let mut wanted = transfer.left().min(room);
        if !may_grow {
            // As Linux: what goes to one page is refused as a whole.
            let in_page = (PAGE_SIZE - to % PAGE_SIZE).min(transfer.left() as u64);
            if to + in_page > mm().file_size(content.id()) {
                return partly(done, Errno::EPERM);
            }
            wanted = wanted.min(in_page as usize);
        }
        let len = match transfer.peek(&mut buf[..wanted]) {
            Ok(0) => break,
            Ok(len) => len,
            Err(errno) => return partly(done, errno),
        };
        match mm().file_write(content.id(), to, &buf[..len]) {
            Ok(written) => {
                transfer.skip(written);
                done += written;
                if written < len {
                    break;
                }
            }
            Err(error) => return partly(done, disk::reported(error.errno())),
        }
    }
    Ok(done)
}

fn read_device(device: Device, transfer: &mut Transfer<'_>) -> Result<usize, Stop> {
    let mut buf = [0; BOUNCE];
    let mut done = 0;
    while transfer.left() > 0 {
        let wanted = transfer.left().min(BOUNCE);
        let there = device.read(&mut buf[..wanted]);
        if there == 0 {
            break;
        }
        match transfer.give(&buf[..there]) {
            Ok(given) => done += given,
            Err(errno) => return partly(done, errno),
        }
    }
    Ok(done)
}

fn write_device(device: Device, transfer: &mut Transfer<'_>) -> Result<usize, Stop> {
    if device == Device::Null {
        // It does not look at what it gets.
        let all = transfer.left();
        transfer.skip(all);
        return Ok(all);
    }
    let mut buf = [0; BOUNCE];
    let mut done = 0;
    while transfer.left() > 0 {
        let wanted = transfer.left().min(BOUNCE);
        let written = transfer
            .peek(&mut buf[..wanted])
            .and_then(|len| device.write(&buf[..len]));
        match written {
            Ok(0) => break,
            Ok(len) => {
                transfer.skip(len);
                done += len;
            }
            Err(errno) => return partly(done, errno),
        }
    }
    Ok(done)
}
