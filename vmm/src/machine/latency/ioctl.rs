//! The kernel's interface (Linux include/uapi/linux/userfaultfd.h). The crate that has it builds its bindings
//! with libclang, which a newcomer would have to install.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

use vmm_sys_util::ioctl::{ioctl_with_mut_ref, ioctl_with_ref};
use vmm_sys_util::{ioctl_io_nr, ioctl_ior_nr, ioctl_iowr_nr};

use super::LatencyError;
use crate::machine::snapshot::PAGE;

const UFFDIO: u32 = 0xaa;
const UFFD_API: u64 = 0xaa;

/// Faults at pages that are not there.
const UFFDIO_REGISTER_MODE_MISSING: u64 = 1;

/// Number of the message for a fault.
const UFFD_EVENT_PAGEFAULT: u8 = 0x12;

#[repr(C)]
#[derive(Default)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Range {
    start: u64,
    len: u64,
}

#[repr(C)]
#[derive(Default)]
struct Register {
    range: Range,
    mode: u64,
    ioctls: u64,
}

#[repr(C)]
#[derive(Default)]
struct Copy {
    dst: u64,
    src: u64,
    len: u64,
    mode: u64,
    copied: i64,
}

#[repr(C)]
#[derive(Default)]
struct ZeroPage {
    range: Range,
    mode: u64,
    zeroed: i64,
}

ioctl_io_nr!(USERFAULTFD_IOC_NEW, UFFDIO, 0x00);
ioctl_iowr_nr!(UFFDIO_API, UFFDIO, 0x3f, Api);
ioctl_iowr_nr!(UFFDIO_REGISTER, UFFDIO, 0x00, Register);
ioctl_ior_nr!(UFFDIO_UNREGISTER, UFFDIO, 0x01, Range);
ioctl_ior_nr!(UFFDIO_WAKE, UFFDIO, 0x02, Range);
ioctl_iowr_nr!(UFFDIO_COPY, UFFDIO, 0x03, Copy);
ioctl_iowr_nr!(UFFDIO_ZEROPAGE, UFFDIO, 0x04, ZeroPage);

/// A message of the kernel: its kind, and the address of the fault.
const MESSAGE: usize = 32;
const ADDRESS: std::ops::Range<usize> = 16..24;

/// The descriptor.
pub(super) struct Userfaultfd(File);

fn last() -> io::Error {
    io::Error::last_os_error()
}

impl Userfaultfd {
    /// One for faults of the kernel as well: KVM's are such.
    pub(super) fn open() -> Result<Self, LatencyError> {
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: the call takes flags only and returns a new descriptor or an error.
        let mut fd = unsafe { libc::syscall(libc::SYS_userfaultfd, flags) } as RawFd;
        if fd < 0 {
            let refused = last();
            let device = OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/userfaultfd");
            let Ok(device) = device else {
                return Err(LatencyError::Permission(refused));
            };
            // SAFETY: the descriptor is the device's, and the call takes flags.
            fd = unsafe { ioctl_new(&device, flags) };
            if fd < 0 {
                return Err(LatencyError::Permission(last()));
            }
        }
        // SAFETY: a new descriptor that nothing else has.
        let this = Self(unsafe { File::from_raw_fd(fd) });
        let mut api = Api {
            api: UFFD_API,
            ..Api::default()
        };
        // SAFETY: the descriptor is a userfaultfd, and the call fills the structure.
        if unsafe { ioctl_with_mut_ref(&this.0, UFFDIO_API(), &mut api) } < 0 {
            return Err(LatencyError::Kernel(last()));
        }
        Ok(this)
    }

    /// Gets the faults of a range from now on.
    pub(super) fn register(&self, start: u64, len: u64) -> io::Result<()> {
        let mut register = Register {
            range: Range { start, len },
            mode: UFFDIO_REGISTER_MODE_MISSING,
            ioctls: 0,
        };
        // SAFETY: the descriptor is a userfaultfd; the call changes no memory.
        match unsafe { ioctl_with_mut_ref(&self.0, UFFDIO_REGISTER(), &mut register) } {
            0.. => Ok(()),
            _ => Err(last()),
        }
    }

    /// Gets none of them any more, and wakes who waits.
    pub(super) fn unregister(&self, start: u64, len: u64) {
        let range = Range { start, len };
        // SAFETY: as above. It can only fail for a range that is not registered.
        unsafe { ioctl_with_ref(&self.0, UFFDIO_UNREGISTER(), &range) };
    }

    /// Puts a page of these bytes, or of zeros, where none is, and wakes who waits for it.
    pub(super) fn supply(&self, at: u64, bytes: Option<&[u8; PAGE]>) {
        let range = Range {
            start: at,
            len: PAGE as u64,
        };
        let result = match bytes {
            Some(bytes) => {
                let mut copy = Copy {
                    dst: at,
                    src: bytes.as_ptr() as u64,
                    len: PAGE as u64,
                    ..Copy::default()
                };
                // SAFETY: the source is a page of bytes; the target is in a registered range of guest memory,
                // which is only accessed as memory that may change at any time.
                unsafe { ioctl_with_mut_ref(&self.0, UFFDIO_COPY(), &mut copy) }
            }
            None => {
                let mut zero = ZeroPage {
                    range,
                    ..ZeroPage::default()
                };
                // SAFETY: as above.
                unsafe { ioctl_with_mut_ref(&self.0, UFFDIO_ZEROPAGE(), &mut zero) }
            }
        };
        if result < 0 {
            // It is there already: whoever waits can look again.
            // SAFETY: changes no memory.
            unsafe { ioctl_with_ref(&self.0, UFFDIO_WAKE(), &range) };
        }
    }

    /// The address of the next fault that waits; none if none does.
    pub(super) fn next_fault(&self) -> Option<u64> {
        let mut message = [0_u8; MESSAGE];
        let read = io::Read::read(&mut &self.0, &mut message).ok()?;
        if read != MESSAGE || message[0] != UFFD_EVENT_PAGEFAULT {
            return None;
        }
        let address = message[ADDRESS].try_into().ok()?;
        Some(u64::from_ne_bytes(address))
    }

    pub(super) fn raw(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// A new descriptor from the device.
///
/// # Safety
/// `device` is /dev/userfaultfd.
unsafe fn ioctl_new(device: &File, flags: libc::c_int) -> RawFd {
    // SAFETY: by contract; the argument is flags.
    unsafe {
        vmm_sys_util::ioctl::ioctl_with_val(device, USERFAULTFD_IOC_NEW(), flags as libc::c_ulong)
    }
}
