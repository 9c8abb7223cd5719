//! Whether a read or a write would go on at once (Linux: `vfs_poll`).

use super::{
    Files,
    device::Device,
    file::{OpenFile, Opened},
    pipe::{End, PIPE_BUF},
};
use linux_raw_sys::general as linux;

const READABLE: u32 = linux::POLLIN | linux::POLLRDNORM;
const WRITABLE: u32 = linux::POLLOUT | linux::POLLWRNORM;

impl Files {
    /// What poll says of a descriptor: POLLIN and the like. None if it is not open.
    pub(crate) fn poll(&self, fd: u32) -> Option<u32> {
        self.get(fd).ok()?.poll()
    }
}

impl OpenFile {
    fn poll(&self) -> Option<u32> {
        Some(match &self.opened {
            Opened::Path => return None,
            Opened::Regular(_) | Opened::Directory | Opened::Text(_) => READABLE | WRITABLE,
            Opened::Device(Device::Tty | Device::Stderr) if !self.is_readable() => WRITABLE,
            Opened::Device(_) | Opened::Fail(..) | Opened::Knob(_) | Opened::Pagemap(_) => {
                READABLE | WRITABLE
            }
            Opened::Pipe(pipe, End::Read) => {
                let bytes = if pipe.len() > 0 { READABLE } else { 0 };
                let end = if pipe.is_open(End::Write) {
                    0
                } else {
                    linux::POLLHUP
                };
                bytes | end
            }
            Opened::Pipe(pipe, End::Both) => {
                let bytes = if pipe.len() > 0 { READABLE } else { 0 };
                let room = if pipe.room() >= PIPE_BUF { WRITABLE } else { 0 };
                bytes | room
            }
            Opened::Pipe(pipe, End::Write) => {
                let room = if pipe.room() >= PIPE_BUF { WRITABLE } else { 0 };
                let end = if pipe.is_open(End::Read) {
                    0
                } else {
                    linux::POLLERR
                };
                room | end
            }
        })
    }
}
