//! Error numbers of system calls, with Linux's names and numbers
//! (include/uapi/asm-generic/errno-base.h, errno.h).

use core::fmt;

/// Why a system call failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(u16);

impl Errno {
    /// Whether it tells of memory, a disk or a page that is not to be had, and not of what was asked for: what a
    /// program gets that meets an injected failure.
    pub const fn is_shortage(self) -> bool {
        matches!(
            self,
            Self::ENOMEM
                | Self::EIO
                | Self::ENOSPC
                | Self::EFAULT
                | Self::EUCLEAN
                | Self::EHWPOISON
        )
    }

    /// The number as C's `errno` has it.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0 as u32
    }

    /// The error with this number, if it is one that can be: 1 to 4095.
    #[inline]
    pub const fn from_number(number: u32) -> Option<Self> {
        if number >= 1 && number <= 4095 {
            Some(Self(number as u16))
        } else {
            None
        }
    }

    /// What the system call returns: the number negated.
    #[inline]
    pub const fn to_return(self) -> u64 {
        (self.0 as i64).wrapping_neg() as u64
    }
}

/// Declares the numbers in use.
macro_rules! errnos {
    ($($name:ident = $number:literal, $what:literal;)*) => {
        impl Errno {
            $(#[doc = $what] pub const $name: Self = Self($number);)*

            /// The name, as in C.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    _ => "E?",
                }
            }
        }
    };
}

errnos! {
    EPERM = 1, "Operation not permitted.";
    ENOENT = 2, "No such file or directory.";
    ESRCH = 3, "No such process.";
    EINTR = 4, "Interrupted system call.";
    EIO = 5, "Input/output error.";
    ENXIO = 6, "No such device or address.";
    E2BIG = 7, "Argument list too long.";
    ENOEXEC = 8, "Exec format error.";
    EBADF = 9, "Bad file descriptor.";
    ECHILD = 10, "No child processes.";
    EAGAIN = 11, "Resource temporarily unavailable.";
    ENOMEM = 12, "Cannot allocate memory.";
    EACCES = 13, "Permission denied.";
    EFAULT = 14, "Bad address.";
    EBUSY = 16, "Device or resource busy.";
    EEXIST = 17, "File exists.";
    EXDEV = 18, "Invalid cross-device link.";
    ENODEV = 19, "No such device.";
    ENOTDIR = 20, "Not a directory.";
    EISDIR = 21, "Is a directory.";
    EINVAL = 22, "Invalid argument.";
    ENFILE = 23, "Too many open files in system.";
    EMFILE = 24, "Too many open files.";
    ENOTTY = 25, "Inappropriate ioctl for device.";
    ETXTBSY = 26, "Text file busy.";
    EFBIG = 27, "File too large.";
    ENOSPC = 28, "No space left on device.";
    ESPIPE = 29, "Illegal seek.";
    EROFS = 30, "Read-only file system.";
    EMLINK = 31, "Too many links.";
    EPIPE = 32, "Broken pipe.";
    EDOM = 33, "Numerical argument out of domain.";
    ERANGE = 34, "Numerical result out of range.";
    EDEADLK = 35, "Resource deadlock avoided.";
    ENAMETOOLONG = 36, "File name too long.";
    ENOLCK = 37, "No locks available.";
    ENOSYS = 38, "Function not implemented.";
    ENOTEMPTY = 39, "Directory not empty.";
    ELOOP = 40, "Too many levels of symbolic links.";
    EOVERFLOW = 75, "Value too large for defined data type.";
    EILSEQ = 84, "Invalid or incomplete multibyte or wide character.";
    ENOTSOCK = 88, "Socket operation on non-socket.";
    EOPNOTSUPP = 95, "Operation not supported.";
    ETIMEDOUT = 110, "Connection timed out.";
    EUCLEAN = 117, "Structure needs cleaning.";
    EHWPOISON = 133, "Memory page has hardware error.";
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "E?" => write!(f, "Errno({})", self.0),
            name => f.write_str(name),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl core::error::Error for Errno {}

#[cfg(test)]
mod tests {
    use super::Errno;

    #[test]
    fn a_number_is_returned_negated() {
        assert_eq!(Errno::ENOMEM.to_return() as i64, -12);
        assert!(Errno::ENOMEM.is_shortage() && !Errno::ENOENT.is_shortage());
        assert_eq!(Errno::EOPNOTSUPP.name(), "EOPNOTSUPP");
    }
}
