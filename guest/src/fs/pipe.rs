//! Pipes (Linux fs/pipe.c): a ring of 16 pages, each of which is there while it holds something.

use super::{
    memory::{Pools, mm},
    object::{Pooled, Shared},
};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use pagelab_abi::{PAGE_SIZE, errno::Errno, gfp::Gfp};
use pagelab_mm::{Order, Pfn, slab::KmemCache};
use spin::Mutex;

/// Whether a pipe has changed since [`take_change`] was called last.
static CHANGED: AtomicBool = AtomicBool::new(false);

/// Whether a pipe has changed since the last call, so that who waits for one has to look again.
pub(crate) fn take_change() -> bool {
    CHANGED.swap(false, Relaxed)
}

/// What somebody waits for has changed, though it is no pipe.
pub(super) fn note_change() {
    CHANGED.store(true, Relaxed);
}

/// Pages of a pipe (Linux: `PIPE_DEF_BUFFERS`).
const PAGES: usize = 16;

const PAGE: usize = PAGE_SIZE as usize;

/// Bytes that a pipe holds.
pub(crate) const CAPACITY: usize = PAGES * PAGE;

/// Bytes that are written all at once or not at all (Linux: `PIPE_BUF`).
pub(crate) const PIPE_BUF: usize = PAGE;

/// One of a pipe's ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Where one reads.
    Read,
    /// Where one writes.
    Write,
    /// Both, of a FIFO.
    Both,
}

impl End {
    /// Whether this one is, or is among, `end`.
    const fn is_of(self, end: Self) -> bool {
        matches!(
            (self, end),
            (_, Self::Both) | (Self::Read, Self::Read) | (Self::Write, Self::Write)
        )
    }
}

/// A pipe.
pub(crate) struct Pipe {
    ring: Mutex<Ring>,
}

struct Ring {
    pages: [Option<Pfn>; PAGES],
    /// Place of the first byte, below [`CAPACITY`].
    start: usize,
    /// Bytes.
    len: usize,
    /// How often each end is open, and how often it was opened: that of reading, that of writing.
    users: [u32; 2],
    openings: [u32; 2],
}

impl Pipe {
    /// An empty pipe without an open end.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn create() -> Result<Shared<Self>, Errno> {
        Shared::new(Self {
            ring: Mutex::new(Ring {
                pages: [None; PAGES],
                start: 0,
                len: 0,
                users: [0; 2],
                openings: [0; 2],
            }),
        })
    }

    /// An end is open once more.
    pub(super) fn open(&self, end: End) {
        let mut ring = self.ring.lock();
        for index in Ring::ends(end) {
            ring.users[index] += 1;
            ring.openings[index] = ring.openings[index].wrapping_add(1);
        }
    }

    /// An end is open once less. What is in a pipe that nobody has open is gone.
    pub(super) fn close(&self, end: End) {
        let left = {
            let mut ring = self.ring.lock();
            for index in Ring::ends(end) {
                ring.users[index] -= 1;
            }
            if ring.users == [0; 2] { ring.len } else { 0 }
        };
        CHANGED.store(true, Relaxed);
        self.discard(left);
    }

    /// Whether anybody has this end open.
    pub(super) fn is_open(&self, end: End) -> bool {
        let ring = self.ring.lock();
        Ring::ends(end).any(|index| ring.users[index] > 0)
    }

    /// How often this end has been opened.
    pub(super) fn openings(&self, end: End) -> u32 {
        let ring = self.ring.lock();
        Ring::ends(end).fold(0, |sum, index| ring.openings[index].wrapping_add(sum))
    }

    /// Bytes to read.
    pub(super) fn len(&self) -> usize {
        self.ring.lock().len
    }

    /// Bytes that there is room for.
    pub(super) fn room(&self) -> usize {
        self.ring.lock().room()
    }

    /// Copies the first bytes, and leaves them there.
    ///
    /// # Errors
    /// ENOMEM if a page cannot be looked at.
    pub(super) fn peek(&self, buf: &mut [u8]) -> Result<usize, Errno> {
        let ring = self.ring.lock();
        let wanted = buf.len().min(ring.len);
        let mut done = 0;
        while done < wanted {
            let at = (ring.start + done) % CAPACITY;
            let len = (wanted - done).min(PAGE - at % PAGE);
            if let Some(pfn) = ring.pages[at / PAGE] {
                mm().read_frame(pfn, at % PAGE, &mut buf[done..done + len])
                    .map_err(|_| Errno::ENOMEM)?;
            }
            done += len;
        }
        Ok(done)
    }

    /// Takes the first bytes out. Pages that hold nothing more go back.
    pub(super) fn discard(&self, len: usize) {
        let mut left = len.min(self.len());
        CHANGED.store(true, Relaxed);
        while left > 0 {
            let emptied = {
                let mut ring = self.ring.lock();
                let at = ring.start;
                let part = left.min(PAGE - at % PAGE);
                ring.start = (at + part) % CAPACITY;
                ring.len -= part;
                left -= part;
                let is_done = ring.start.is_multiple_of(PAGE) || ring.len == 0;
                is_done.then(|| ring.pages[at / PAGE].take()).flatten()
            };
            free(emptied);
        }
        let mut ring = self.ring.lock();
        if ring.len == 0 {
            ring.start = 0;
        }
    }

    /// Appends bytes, as many as there is room for.
    ///
    /// # Errors
    /// ENOMEM if not one byte could be.
    pub(super) fn append(&self, buf: &[u8]) -> Result<usize, Errno> {
        let mut done = 0;
        while done < buf.len() {
            match self.append_part(&buf[done..]) {
                Ok(0) => break,
                Ok(part) => done += part,
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Appends to one page.
    fn append_part(&self, buf: &[u8]) -> Result<usize, Errno> {
        let page = self.ring.lock().page_to_fill();
        let Some((index, is_there)) = page else {
            return Ok(0);
        };
        if !is_there {
            // Not under the lock: an allocation is an event.
            let pfn = mm()
                .alloc_pages(Gfp::HIGHUSER, Order::ZERO)
                .map_err(|_| Errno::ENOMEM)?;
            self.ring.lock().pages[index] = Some(pfn);
        }
        let mut ring = self.ring.lock();
        let at = (ring.start + ring.len) % CAPACITY;
        let len = buf.len().min(PAGE - at % PAGE).min(ring.room());
        if let Some(pfn) = ring.pages[index] {
            mm().write_frame(pfn, at % PAGE, &buf[..len])
                .map_err(|_| Errno::ENOMEM)?;
        }
        ring.len += len;
        CHANGED.store(true, Relaxed);
        Ok(len)
    }
}

impl Ring {
    /// Places of an end's counts.
    fn ends(end: End) -> impl Iterator<Item = usize> {
        let both = [End::Read, End::Write].into_iter().enumerate();
        both.filter(move |(_, one)| one.is_of(end))
            .map(|(index, _)| index)
    }

    /// Bytes that there is room for. The first page's is not used again before all of it has been
    /// read.
    const fn room(&self) -> usize {
        CAPACITY - self.start % PAGE - self.len
    }

    /// The page that the next byte goes to, and whether it is there; none if the pipe is full.
    fn page_to_fill(&self) -> Option<(usize, bool)> {
        if self.room() == 0 {
            return None;
        }
        let index = (self.start + self.len) % CAPACITY / PAGE;
        Some((index, self.pages[index].is_some()))
    }
}

fn free(page: Option<Pfn>) {
    if let Some(pfn) = page {
        mm().free_pages(pfn, Order::ZERO);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        for page in &mut self.ring.get_mut().pages {
            free(page.take());
        }
    }
}

impl Pooled for Pipe {
    fn pool(pools: &Pools) -> &KmemCache {
        &pools.pipe
    }
}
