//! From file to file.

use super::{Caller, fd};
use crate::fs::{
    file::{OpenFile, Opened},
    iov::Transfer,
    memory::mm,
    pipe::End,
    transfer::{Answer, Stop},
    user::Program,
};
use core::sync::atomic::Ordering::Relaxed;
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;

/// Bytes that are copied at once.
const BOUNCE: usize = 1024;

/// Bytes of the kernel's that are written as if they were a program's.
struct Kernel<'a>(&'a [u8]);

impl Program for Kernel<'_> {
    fn load(&mut self, at: u64, buf: &mut [u8]) -> Result<(), usize> {
        let from = self.0.get(at as usize..).unwrap_or_default();
        let len = from.len().min(buf.len());
        buf[..len].copy_from_slice(&from[..len]);
        if len == buf.len() { Ok(()) } else { Err(len) }
    }

    fn store(&mut self, _: u64, _: &[u8]) -> Result<(), usize> {
        Err(0)
    }
}

pub(super) fn sendfile(
    caller: &mut Caller<'_>,
    to: u64,
    from: u64,
    offset: u64,
    count: u64,
) -> Answer {
    let (to, from) = (caller.files.get(fd(to))?, caller.files.get(fd(from))?);
    if !from.is_readable() || !to.is_writable() {
        return Err(Errno::EBADF.into());
    }
    let (Opened::Regular(content) | Opened::Text(content)) = &from.opened else {
        return Err(Errno::EINVAL.into());
    };
    if to.has(linux::O_APPEND) {
        return Err(Errno::EINVAL.into());
    }
    let start = if offset == 0 {
        from.position.load(Relaxed)
    } else {
        caller.program.get(offset)?
    };
    if start > i64::MAX as u64 {
        return Err(Errno::EINVAL.into());
    }
    let mut done = 0;
    let mut stopped = None;
    let mut buf = [0; BOUNCE];
    let reader = from.reading.reader();
    while done < count {
        let wanted = (count - done).min(BOUNCE as u64) as usize;
        let Some(at) = start.checked_add(done) else {
            break;
        };
        let part = &mut buf[..wanted];
        let there = match mm().file_read_by(&reader, content.id(), at, part, count - done) {
            Ok(there) => there,
            Err(error) => {
                stopped = Some(error.errno().into());
                break;
            }
        };
        match write_all(&to, &buf[..there]) {
            Ok(0) => break,
            Ok(written) => done += written as u64,
            Err(stop) => {
                stopped = Some(stop);
                break;
            }
        }
    }
    if let Some(stop) = stopped
        && done == 0
    {
        return Err(stop);
    }
    if offset == 0 {
        from.position.store(start + done, Relaxed);
    } else {
        caller.program.put(offset, &(start + done))?;
    }
    Ok(done)
}

/// Writes bytes of the kernel's, as many as can be without waiting.
fn write_all(to: &OpenFile, bytes: &[u8]) -> Result<usize, Stop> {
    let mut len = bytes.len();
    if let Opened::Pipe(pipe, End::Write) = &to.opened
        && pipe.is_open(End::Read)
        && len > 0
    {
        len = len.min(pipe.room());
        if len == 0 {
            return Err(if to.has(linux::O_NONBLOCK) {
                Errno::EAGAIN.into()
            } else {
                Stop::Wait
            });
        }
    }
    let mut kernel = Kernel(&bytes[..len]);
    let mut transfer = Transfer::single(&mut kernel, 0, len as u64);
    to.write(&mut transfer, None)
}
