//! What a page, an access or a call comes to in the model.

use super::PAGE;
use super::{BASE, Files, OFFSET, Page, Source, Space};
use crate::user_mm::{Access, FaultSignal};
use pagelab_abi::{
    errno::Errno,
    mman::{
        MADV_DOFORK, MADV_DONTFORK, MADV_DONTNEED, MADV_PAGEOUT, MADV_WILLNEED, MADV_WIPEONFORK,
        Prot,
    },
};

/// What an access does in the model: the byte that is read then, or the signal.
pub(super) fn access(
    space: &mut Space,
    files: &mut Files,
    page: u64,
    kind: Access,
    value: Option<u8>,
) -> Result<u8, FaultSignal> {
    let address = BASE + page * PAGE + OFFSET;
    let Some(found) = space.get_mut(&page) else {
        return Err(FaultSignal::MapErr(address));
    };
    let allowed = match kind {
        Access::Read => !found.prot.is_empty(),
        Access::Write => found.prot.contains(Prot::WRITE),
        Access::Exec => found.prot.contains(Prot::EXEC),
    };
    if !allowed {
        return Err(FaultSignal::AccErr(address));
    }
    match &mut found.source {
        Source::Anonymous(byte) => {
            *byte = value.unwrap_or(*byte);
            Ok(*byte)
        }
        Source::Private(_, _, Some(copy)) => {
            *copy = value.unwrap_or(*copy);
            Ok(*copy)
        }
        &mut (Source::Private(file, index, _) | Source::Shared(file, index)) => {
            let Some(byte) = files[file].get_mut(index) else {
                return Err(FaultSignal::BusAdrErr(address));
            };
            match (value, &mut found.source) {
                (Some(value), Source::Private(_, _, copy)) => *copy = Some(value),
                (Some(value), _) => *byte = value,
                // A store that changes nothing, as populating does, makes a copy as well.
                (None, Source::Private(_, _, copy)) if kind == Access::Write => {
                    *copy = Some(*byte);
                }
                _ => {}
            }
            Ok(value.unwrap_or(*byte))
        }
    }
}

/// Does `each` to the pages of a range up to the first that is missing: then `ENOMEM`.
pub(super) fn up_to_hole(
    space: &mut Space,
    at: u64,
    len: u64,
    mut each: impl FnMut(&mut Page),
) -> Result<(), Errno> {
    for page in at..at + len {
        each(space.get_mut(&page).ok_or(Errno::ENOMEM)?);
    }
    Ok(())
}

pub(super) fn madvise(space: &mut Space, at: u64, len: u64, advice: u32) -> Result<(), Errno> {
    let mut result = Ok(());
    for number in at..at + len {
        let Some(page) = space.get_mut(&number) else {
            result = Err(Errno::ENOMEM);
            continue;
        };
        let anonymous = matches!(page.source, Source::Anonymous(_));
        match advice {
            MADV_DONTNEED | MADV_PAGEOUT if page.locked => return Err(Errno::EINVAL),
            MADV_WIPEONFORK if !anonymous => return Err(Errno::EINVAL),
            MADV_DONTNEED => match &mut page.source {
                Source::Anonymous(byte) => *byte = 0,
                Source::Private(_, _, copy) => *copy = None,
                Source::Shared(..) => {}
            },
            // Where a page is makes no difference.
            MADV_PAGEOUT | MADV_WILLNEED => {}
            MADV_DONTFORK => page.dont_fork = true,
            MADV_DOFORK => page.dont_fork = false,
            MADV_WIPEONFORK => page.wipe = true,
            _ => page.wipe = false,
        }
    }
    result
}

pub(super) fn mlock(space: &mut Space, files: &mut Files, at: u64, len: u64) -> Result<(), Errno> {
    up_to_hole(space, at, len, |page| page.locked = true)?;
    for number in at..at + len {
        let page = space[&number];
        let shared = matches!(page.source, Source::Shared(..));
        let kind = if page.prot.contains(Prot::WRITE) && !shared {
            Access::Write
        } else {
            Access::Read
        };
        access(space, files, number, kind, None).map_err(|_| Errno::ENOMEM)?;
    }
    Ok(())
}

/// What the child of a process has.
pub(super) fn child_of(space: &Space) -> Space {
    let kept = space.iter().filter(|(_, page)| !page.dont_fork);
    kept.map(|(&number, &page)| {
        let mut page = Page {
            locked: false,
            ..page
        };
        if page.wipe {
            page.source = Source::Anonymous(0);
        }
        (number, page)
    })
    .collect()
}

/// Unmaps pages.
pub(super) fn clear(space: &mut Space, pages: core::ops::Range<u64>) {
    for page in pages {
        space.remove(&page);
    }
}

/// A page that comes into an area `steps` behind one of its pages.
pub(super) fn follow(page: Page, steps: usize) -> Page {
    let source = match page.source {
        Source::Anonymous(_) => Source::Anonymous(0),
        Source::Private(file, index, _) => Source::Private(file, index + steps, None),
        Source::Shared(file, index) => Source::Shared(file, index + steps),
    };
    Page { source, ..page }
}

/// New pages of a locked area are brought in, as far as that goes.
pub(super) fn touch(space: &mut Space, files: &mut Files, at: u64, len: u64) {
    for page in at..at + len {
        let found = space[&page];
        let shared = matches!(found.source, Source::Shared(..));
        if found.locked && found.prot.contains(Prot::WRITE) && !shared {
            // The first page that cannot be had ends it.
            if access(space, files, page, Access::Write, None).is_err() {
                return;
            }
        }
    }
}
