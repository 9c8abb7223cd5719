//! Names: a tree of directory entries. All that exist are in memory, for there is no other place.

use super::{
    inode::Inode,
    memory::Pools,
    object::{Bytes, Pooled, Shared},
};
use core::sync::atomic::Ordering::Relaxed;
use pagelab_abi::errno::Errno;
use pagelab_mm::slab::KmemCache;
use spin::Mutex;

/// Longest name (Linux: `NAME_MAX`).
pub(crate) const NAME_MAX: usize = 255;

/// Position of the first name behind `.` and `..` in a directory.
const FIRST_COOKIE: u64 = 2;

/// Position of the first name that a directory ever gets; later ones have lower positions, so that
/// a listing shows the newest first, as Linux's ramfs does, and each name just once.
const LAST_COOKIE: u64 = 1 << 40;

/// A name and what it stands for.
pub(crate) struct Dentry {
    /// What it stands for.
    pub(crate) inode: Shared<Inode>,
    state: Mutex<State>,
}

/// What changes. Of all locks of this kind, one is held at a time.
struct State {
    name: Bytes,
    hash: u32,
    /// The directory it is in, or was in when it was removed. The root has none.
    parent: Option<Shared<Dentry>>,
    /// It can be found in its parent.
    is_linked: bool,
    /// Its position there.
    cookie: u64,
    /// The next older name there.
    next: Option<Shared<Dentry>>,
    /// The newest name in this directory.
    first: Option<Shared<Dentry>>,
    /// Position of the next name in it.
    next_cookie: u64,
}

/// A short number that differs for most names (FNV-1a).
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// An entry of a listing.
pub(crate) struct Listed {
    /// The entry.
    pub(crate) dentry: Shared<Dentry>,
    /// Its position.
    pub(crate) cookie: u64,
}

impl Dentry {
    /// A name that is in no directory, though it may have a `parent` it will be in or seems to be
    /// in.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn create(
        name: &[u8],
        inode: Shared<Inode>,
        parent: Option<Shared<Self>>,
    ) -> Result<Shared<Self>, Errno> {
        let name_copy = Bytes::copy(name)?;
        Shared::new(Self {
            inode,
            state: Mutex::new(State {
                name: name_copy,
                hash: hash(name),
                parent,
                is_linked: false,
                cookie: 0,
                next: None,
                first: None,
                next_cookie: LAST_COOKIE,
            }),
        })
    }

    /// Calls `see` with the name.
    pub(super) fn with_name<R>(&self, see: impl FnOnce(&[u8]) -> R) -> R {
        see(&self.state.lock().name)
    }

    /// Whether it can be found where it is.
    pub(super) fn is_linked(&self) -> bool {
        self.state.lock().is_linked
    }

    /// Whether no name is in this directory.
    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().first.is_none()
    }

    fn next(&self) -> Option<Shared<Self>> {
        self.state.lock().next.clone()
    }

    fn first(&self) -> Option<Shared<Self>> {
        self.state.lock().first.clone()
    }
}

impl Shared<Dentry> {
    /// The directory that this name is in; the root is in itself.
    pub(super) fn parent(&self) -> Self {
        let parent = self.state.lock().parent.clone();
        parent.unwrap_or_else(|| self.clone())
    }

    /// The entry of this name in a directory.
    pub(super) fn child(&self, name: &[u8]) -> Option<Self> {
        let wanted = hash(name);
        let mut at = self.first();
        while let Some(dentry) = at {
            {
                let state = dentry.state.lock();
                if state.hash == wanted && *state.name == *name {
                    drop(state);
                    return Some(dentry);
                }
            }
            at = dentry.next();
        }
        None
    }

    /// The next entry of a listing from a position on.
    pub(super) fn next_listed(&self, position: u64) -> Option<Listed> {
        let mut at = self.first();
        while let Some(dentry) = at {
            let cookie = dentry.state.lock().cookie;
            if cookie >= position.max(FIRST_COOKIE) {
                return Some(Listed { dentry, cookie });
            }
            at = dentry.next();
        }
        None
    }

    /// The name behind this one, if all names below `top` are read one behind the other, each in front
    /// of those below it.
    pub(super) fn following(&self, top: &Self) -> Option<Self> {
        if let Some(first) = self.first() {
            return Some(first);
        }
        let mut at = self.clone();
        while !at.is(top) {
            if let Some(next) = at.next() {
                return Some(next);
            }
            at = at.parent();
        }
        None
    }

    /// Whether a name in this directory leads to this inode of the disk.
    pub(super) fn has_child_on_disk(&self, ino: u32) -> bool {
        let mut at = self.first();
        while let Some(dentry) = at {
            if dentry.inode.disk == ino {
                return true;
            }
            at = dentry.next();
        }
        false
    }

    /// Makes a new name for an inode in this directory, where the name is not taken.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn add(&self, name: &[u8], inode: Shared<Inode>) -> Result<Self, Errno> {
        let dentry = Dentry::create(name, inode, Some(self.clone()))?;
        self.insert(dentry.clone());
        dentry.inode.nlink.fetch_add(1, Relaxed);
        if dentry.inode.is_dir() {
            // Its `.`, and the `..` that leads here.
            dentry.inode.nlink.fetch_add(1, Relaxed);
            self.inode.nlink.fetch_add(1, Relaxed);
        }
        dentry.inode.changed();
        self.inode.modified();
        Ok(dentry)
    }

    /// Takes a name out of its directory.
    pub(super) fn remove(&self) {
        let parent = self.parent();
        parent.take_out(self);
        let nlink = &self.inode.nlink;
        if self.inode.is_dir() {
            nlink.fetch_sub(1, Relaxed);
            parent.inode.nlink.fetch_sub(1, Relaxed);
        }
        nlink.fetch_sub(1, Relaxed);
        self.inode.changed();
        parent.inode.modified();
    }

    /// Gives a name another one, in this directory or another, where it is not taken.
    pub(super) fn rename(&self, to: &Self, name: Bytes) {
        let from = self.parent();
        from.take_out(self);
        {
            let mut state = self.state.lock();
            state.hash = hash(&name);
            state.name = name;
            state.parent = Some(to.clone());
        }
        to.insert(self.clone());
        if self.inode.is_dir() && !from.is(to) {
            from.inode.nlink.fetch_sub(1, Relaxed);
            to.inode.nlink.fetch_add(1, Relaxed);
        }
        self.inode.changed();
        from.inode.modified();
        to.inode.modified();
    }

    /// Puts an entry at the head of this directory's list.
    fn insert(&self, dentry: Self) {
        let (next, cookie) = {
            let mut state = self.state.lock();
            state.next_cookie -= 1;
            (state.first.take(), state.next_cookie)
        };
        {
            let mut state = dentry.state.lock();
            state.next = next;
            state.cookie = cookie;
            state.is_linked = true;
        }
        self.state.lock().first = Some(dentry);
    }

    /// Takes an entry out of this directory's list.
    fn take_out(&self, dentry: &Self) {
        let next = {
            let mut state = dentry.state.lock();
            state.is_linked = false;
            state.next.take()
        };
        let first = self.first();
        if first.as_ref().is_some_and(|first| first.is(dentry)) {
            self.state.lock().first = next;
            return;
        }
        let mut at = first;
        while let Some(entry) = at {
            let after = entry.next();
            if after.as_ref().is_some_and(|after| after.is(dentry)) {
                entry.state.lock().next = next;
                return;
            }
            at = after;
        }
        debug_assert!(false, "a linked name is in its parent's list");
    }

    /// Whether this directory is `other`, or below it.
    pub(super) fn is_below(&self, other: &Self) -> bool {
        let mut at = self.clone();
        loop {
            if at.is(other) {
                return true;
            }
            let parent = at.parent();
            if parent.is(&at) {
                return false;
            }
            at = parent;
        }
    }

    /// The first name below this directory that is wanted.
    pub(super) fn find_below(&self, wanted: impl Fn(&Dentry) -> bool) -> Option<Self> {
        let mut at = self.clone();
        loop {
            if wanted(&at) {
                return Some(at);
            }
            let mut next = at.first();
            while next.is_none() {
                if at.is(self) {
                    return None;
                }
                next = at.next();
                if next.is_none() {
                    at = at.parent();
                }
            }
            at = next?;
        }
    }

    /// The absolute path, written to the end of `buf`; where it starts. A name that was removed has
    /// none.
    ///
    /// # Errors
    /// ENOENT; ERANGE if there is no room.
    pub(super) fn path_to(&self, root: &Self, buf: &mut [u8]) -> Result<usize, Errno> {
        let mut start = buf.len();
        let mut prepend = |bytes: &[u8]| -> Result<usize, Errno> {
            start = start.checked_sub(bytes.len()).ok_or(Errno::ERANGE)?;
            buf[start..start + bytes.len()].copy_from_slice(bytes);
            Ok(start)
        };
        if self.is(root) {
            return prepend(b"/");
        }
        let mut at = self.clone();
        loop {
            let parent = at.parent();
            if !at.is_linked() && !at.inode.is_transient() || parent.is(&at) {
                return Err(Errno::ENOENT);
            }
            at.with_name(&mut prepend)?;
            let place = prepend(b"/")?;
            if parent.is(root) {
                return Ok(place);
            }
            at = parent;
        }
    }

    /// Takes all names below this directory out, however deep they are.
    pub(super) fn clear(&self) {
        let mut at = self.clone();
        loop {
            match at.first() {
                Some(child) => at = child,
                None if at.is(self) => return,
                None => {
                    let parent = at.parent();
                    at.remove();
                    at = parent;
                }
            }
        }
    }
}

impl Drop for Dentry {
    /// Parents that go with their last child, one after the other: a chain of them may be long.
    fn drop(&mut self) {
        let mut next = self.state.get_mut().parent.take();
        while let Some(dentry) = next {
            next = match dentry.into_last() {
                Some(mut last) => last.state.get_mut().parent.take(),
                None => None,
            };
        }
    }
}

impl Pooled for Dentry {
    fn pool(pools: &Pools) -> &KmemCache {
        &pools.dentry
    }
}
