//! Values in a program's memory.

use crate::task::{Space, Task};
use pagelab_abi::errno::Errno;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

/// Loads a value.
///
/// # Errors
/// EFAULT.
pub(crate) fn load<T: FromBytes + IntoBytes>(space: &mut Space, at: u64) -> Result<T, Errno> {
    let mut value = T::new_zeroed();
    space
        .read(at, value.as_mut_bytes())
        .map_err(|_| Errno::EFAULT)?;
    Ok(value)
}

/// Stores a value.
///
/// # Errors
/// EFAULT.
pub(crate) fn store<T: IntoBytes + Immutable>(
    space: &mut Space,
    at: u64,
    value: &T,
) -> Result<(), Errno> {
    space.write(at, value.as_bytes()).map_err(|_| Errno::EFAULT)
}

/// Stores a value, unless the address is 0.
///
/// # Errors
/// EFAULT.
pub(crate) fn store_if<T: IntoBytes + Immutable>(
    space: &mut Space,
    at: u64,
    value: &T,
) -> Result<(), Errno> {
    if at == 0 {
        return Ok(());
    }
    store(space, at, value)
}

/// The memory of a task that makes a system call.
///
/// # Errors
/// EFAULT if it has none.
pub(crate) fn space(task: &mut Task) -> Result<&mut Space, Errno> {
    task.space.as_mut().ok_or(Errno::EFAULT)
}

/// Loads a string up to its NUL, which is not counted, into `buf`.
///
/// # Errors
/// EFAULT; `too_long` if there is no NUL in as many bytes as `buf` has.
pub(crate) fn load_string<'b>(
    space: &mut Space,
    at: u64,
    buf: &'b mut [u8],
    too_long: Errno,
) -> Result<&'b [u8], Errno> {
    const CHUNK: u64 = 64;
    let mut len = 0;
    while len < buf.len() {
        let from = at.checked_add(len as u64).ok_or(Errno::EFAULT)?;
        // Up to the next boundary: what is behind the NUL may not be there.
        let bytes = ((CHUNK - from % CHUNK) as usize).min(buf.len() - len);
        let part = &mut buf[len..len + bytes];
        space.read(from, part).map_err(|_| Errno::EFAULT)?;
        if let Some(end) = part.iter().position(|&byte| byte == 0) {
            return Ok(&buf[..len + end]);
        }
        len += bytes;
    }
    Err(too_long)
}
