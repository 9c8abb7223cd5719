//! Files: for now, programs of the initial ramfs, and output to the ports of the first process's
//! descriptors 1 and 2.

use crate::{
    memory::mm,
    syscall::{Args, Outcome, user},
    task::Task,
};
use linux_raw_sys::general as nr;
use pagelab_abi::{
    errno::Errno,
    program::{STDERR_PORT, STDOUT_PORT},
};

/// Bytes that are written at once.
const CHUNK: usize = 512;

/// The initial ramfs.
pub(crate) struct Ramfs;

impl Ramfs {
    pub(crate) fn mount(_: &'static [u8]) -> Result<Self, Errno> {
        Ok(Self)
    }
}

/// Open files.
pub(crate) struct Files;

impl Files {
    pub(crate) fn new(_: &Ramfs) -> Result<Self, Errno> {
        Ok(Self)
    }

    pub(crate) fn fork(&self) -> Result<Self, Errno> {
        Ok(Self)
    }

    pub(crate) fn close_on_exec(&mut self) {}
}

/// A program.
pub(crate) struct ExecFile(&'static [u8]);

impl ExecFile {
    pub(crate) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    pub(crate) fn read_at(&self, at: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let from = self.0.get(at as usize..).unwrap_or(&[]);
        let len = from.len().min(buf.len());
        buf[..len].copy_from_slice(&from[..len]);
        Ok(len)
    }
}

/// The content of a file of an archive.
pub(crate) fn file_of(archive: &'static [u8], path: &str) -> Option<&'static [u8]> {
    let path = path.trim_start_matches('/');
    let mut entries = cpio_reader::iter_files(archive);
    entries.find_map(|entry| (entry.name() == path).then(|| entry.file()))
}

pub(crate) fn open_exec(_: &Task, path: &[u8]) -> Result<ExecFile, Errno> {
    let archive = crate::arch::boot::initrd().ok_or(Errno::ENOENT)?;
    let path = core::str::from_utf8(path).map_err(|_| Errno::ENOENT)?;
    file_of(archive, path).map(ExecFile).ok_or(Errno::ENOENT)
}

pub(crate) fn syscall(task: &mut Task, number: u32, args: &Args) -> Option<Outcome> {
    match number {
        nr::__NR_write => Some(write(task, args).into()),
        nr::__NR_writev => Some(writev(task, args).into()),
        nr::__NR_ioctl => Some(Outcome::Error(Errno::ENOTTY)),
        nr::__NR_fstat | nr::__NR_newfstatat => Some(Outcome::Error(Errno::EBADF)),
        nr::__NR_readlink | nr::__NR_readlinkat => Some(Outcome::Error(Errno::ENOENT)),
        _ => None,
    }
}

fn write(task: &mut Task, args: &Args) -> Result<u64, Errno> {
    let [fd, at, len, ..] = *args;
    let port = match fd {
        1 => STDOUT_PORT,
        2 => STDERR_PORT,
        _ => return Err(Errno::EBADF),
    };
    let mut done = 0;
    while done < len {
        let mut buffer = [0; CHUNK];
        let part = &mut buffer[..(len - done).min(CHUNK as u64) as usize];
        user::space(task)?
            .read(at + done, part)
            .map_err(|_| Errno::EFAULT)?;
        output(port, part);
        done += part.len() as u64;
    }
    let _ = mm();
    Ok(len)
}

fn writev(task: &mut Task, args: &Args) -> Result<u64, Errno> {
    let mut total = 0;
    for i in 0..args[2].min(1024) {
        let [base, len]: [u64; 2] = user::load(user::space(task)?, args[1] + 16 * i)?;
        total += write(task, &[args[0], base, len, 0, 0, 0])?;
    }
    Ok(total)
}

fn output(port: u16, bytes: &[u8]) {
    // SAFETY: the transmitter of a serial port.
    unsafe {
        core::arch::asm!(
            "rep outsb",
            inout("rsi") bytes.as_ptr() => _, inout("rcx") bytes.len() => _, in("dx") port,
            options(nostack, readonly)
        );
    }
}
