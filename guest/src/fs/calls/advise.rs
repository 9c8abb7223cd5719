//! What programs say about how they will use files (Linux mm/fadvise.c, mm/readahead.c).

use super::{Caller, fd};
use crate::fs::{file::Opened, memory::mm, transfer::Answer};
use linux_raw_sys::general as linux;
use pagelab_abi::{PAGE_SHIFT, PAGE_SIZE, errno::Errno};
use pagelab_mm::FileId;

/// Largest offset of a byte in a file.
const LAST_BYTE: u64 = i64::MAX as u64;

pub(super) fn fadvise64(
    caller: &mut Caller<'_>,
    number: u64,
    offset: u64,
    len: u64,
    advice: u64,
) -> Answer {
    let file = caller.files.get(fd(number))?;
    let content = match &file.opened {
        Opened::Pipe(..) => return Err(Errno::ESPIPE.into()),
        Opened::Path => return Err(Errno::EBADF.into()),
        Opened::Regular(content) => Some(content.id()),
        _ => None,
    };
    let advice = advice as u32;
    if len > LAST_BYTE || advice > linux::POSIX_FADV_NOREUSE {
        return Err(Errno::EINVAL.into());
    }
    // A file that has nothing behind it is in memory anyway.
    let Some(content) = content.filter(|content| mm().file_has_store(*content)) else {
        return Ok(0);
    };
    if !file.reading.advise(advice) {
        let last = match offset.wrapping_add(len) {
            end if len == 0 || end < len => LAST_BYTE,
            end => end - 1,
        };
        if advice == linux::POSIX_FADV_WILLNEED {
            will_need(content, offset, last);
        } else {
            dont_need(content, offset, last);
        }
    }
    Ok(0)
}

pub(super) fn readahead(caller: &mut Caller<'_>, number: u64, offset: u64, count: u64) -> Answer {
    let file = caller.files.get(fd(number))?;
    if !file.is_readable() {
        return Err(Errno::EBADF.into());
    }
    match &file.opened {
        Opened::Regular(_) | Opened::Text(_) => fadvise64(
            caller,
            number,
            offset,
            count,
            linux::POSIX_FADV_WILLNEED.into(),
        ),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// Reads the pages from one byte to another.
fn will_need(file: FileId, offset: u64, last: u64) {
    let first = offset >> PAGE_SHIFT;
    let pages = (last >> PAGE_SHIFT).saturating_sub(first) + 1;
    mm().file_willneed(file, first, pages);
}

/// Takes the pages out of the cache that are wholly within these bytes, or at the file's end.
fn dont_need(file: FileId, offset: u64, last: u64) {
    let first = offset.div_ceil(PAGE_SIZE);
    let is_whole = (last + 1).is_multiple_of(PAGE_SIZE) || last + 1 == mm().file_size(file);
    let end = (last >> PAGE_SHIFT) + u64::from(is_whole);
    mm().file_dontneed(
        file,
        offset >> PAGE_SHIFT..(last >> PAGE_SHIFT) + 1,
        first..end,
    );
}
