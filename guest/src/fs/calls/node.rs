//! Names of what has no content: FIFOs and devices; and how FIFOs are opened.

use super::Caller;
use crate::fs::{
    dentry::Dentry,
    device::Device,
    disk,
    file::{OpenFile, Opened},
    inode::{Inode, Kind},
    object::Shared,
    path::AtEnd,
    pipe::{self, End, Pipe},
    table::Opening,
    transfer::{Answer, Stop},
};
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;

/// A device's major and minor number (Linux include/linux/kdev_t.h: `new_decode_dev`).
const fn decode(device: u64) -> (u32, u32) {
    let device = device as u32;
    (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xfff00)
}

/// Files, FIFOs, and the devices that there are. A disk gets files alone.
pub(super) fn mknodat(
    caller: &mut Caller<'_>,
    dirfd: u64,
    path: u64,
    mode: u64,
    device: u64,
) -> Answer {
    let mode = mode as u32;
    let permissions = mode & 0o7777 & !caller.files.umask;
    let kind = mode & linux::S_IFMT;
    match kind {
        0 | linux::S_IFREG | linux::S_IFIFO | linux::S_IFCHR => {}
        linux::S_IFDIR | linux::S_IFBLK | linux::S_IFSOCK => return Err(Errno::EPERM.into()),
        _ => return Err(Errno::EINVAL.into()),
    }
    let at = caller.walk_at(dirfd, path, AtEnd::Name)?;
    if at.found.is_some() {
        return Err(Errno::EEXIST.into());
    }
    caller.check_parent(&at)?;
    if at.has_slash {
        return Err(Errno::ENOENT.into());
    }
    if matches!(kind, 0 | linux::S_IFREG) {
        caller.make(&at, disk::New::Regular, permissions)?;
        return Ok(0);
    }
    let in_group = matches!(at.parent.inode.kind, Kind::Cgroup(_));
    if at.parent.inode.disk != 0 || in_group {
        return Err(Errno::EPERM.into());
    }
    let kind = if kind == linux::S_IFIFO {
        Kind::Fifo(Pipe::create()?)
    } else {
        if !caller.cred.is_capable() {
            return Err(Errno::EPERM.into());
        }
        let mut named = Device::NAMED.iter();
        let found = named.find(|(_, it)| it.numbers() == decode(device));
        Kind::Device(found.ok_or(Errno::EPERM)?.1)
    };
    let inode = Inode::create(kind, permissions)?;
    caller.own(&at.parent.inode, &inode, false);
    at.parent.add(at.name(), inode)?;
    Ok(0)
}

impl Caller<'_> {
    /// Opens a FIFO, which waits for the other end (Linux fs/pipe.c: `fifo_open`). `call` is what the
    /// call was asked for, by which it is known when it is made again.
    pub(super) fn open_fifo(
        &mut self,
        dentry: &Shared<Dentry>,
        pipe: &Shared<Pipe>,
        flags: u32,
        call: [u64; 3],
    ) -> Result<Shared<OpenFile>, Stop> {
        let (end, other) = match flags & linux::O_ACCMODE {
            linux::O_RDONLY => (End::Read, End::Write),
            linux::O_WRONLY => (End::Write, End::Read),
            _ => (End::Both, End::Both),
        };
        let pending = self.files.opening.take();
        let pending =
            pending.filter(|opening| opening.call == call && opening.file.dentry.is(dentry));
        let opening = match pending {
            Some(opening) => opening,
            None => {
                let waits_not = flags & linux::O_NONBLOCK != 0;
                if end == End::Write && waits_not && !pipe.is_open(other) {
                    return Err(Errno::ENXIO.into());
                }
                let seen = pipe.openings(other);
                let opened = Opened::Pipe(pipe.clone(), end);
                let file = OpenFile::create(opened, dentry.clone(), flags)?;
                // Who waits for this end.
                pipe::note_change();
                Opening { call, file, seen }
            }
        };
        let reads_at_once = end == End::Read && flags & linux::O_NONBLOCK != 0;
        let met = pipe.is_open(other) || pipe.openings(other) != opening.seen;
        if met || reads_at_once {
            return Ok(opening.file);
        }
        self.files.opening = Some(opening);
        Err(Stop::Wait)
    }
}
