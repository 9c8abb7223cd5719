//! From a path to a name (Linux fs/namei.c).

use super::{
    dentry::{Dentry, NAME_MAX},
    inode::{Inode, Kind},
    object::Shared,
    proc,
};
use crate::cred::Viewer;
use linux_raw_sys::general::X_OK;
use pagelab_abi::errno::Errno;

/// Longest path, its NUL included (Linux: `PATH_MAX`).
pub(crate) const PATH_MAX: usize = 4096;

/// Most symbolic links on one way (Linux: `MAXSYMLINKS`).
const MAX_SYMLINKS: usize = 40;

/// Where walks begin, and who walks.
pub(crate) struct Origin<'a> {
    /// What `/` is.
    pub(crate) root: &'a Shared<Dentry>,
    /// Where a path that does not begin with `/` begins.
    pub(crate) start: &'a Shared<Dentry>,
    /// Number of the process, which /proc/self leads to.
    pub(crate) pid: u32,
    /// As files see it.
    pub(crate) who: Viewer<'a>,
    /// Its program, which /proc/self/exe leads to.
    pub(crate) exe: Option<&'a Shared<Dentry>>,
}

/// What the last part of a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// A name.
    Name,
    /// `.`, or `/` alone.
    Dot,
    /// `..`.
    DotDot,
}

/// What is to be done with a symbolic link at a path's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtEnd {
    /// It is followed.
    Follow,
    /// It is what is looked for, unless a slash comes after it.
    Keep,
    /// It is a name, which is to come or go: whatever comes after it, and even if it is no directory.
    Name,
    /// It is followed, and a file is made there: no slash may come after it.
    Create,
    /// A file is made there, and nothing may be there: no slash may come after it.
    CreateNew,
}

/// Where a path leads.
pub(crate) struct Resolved {
    /// The directory in which its last part is.
    pub(crate) parent: Shared<Dentry>,
    /// What is there, if anything is.
    pub(crate) found: Option<Shared<Dentry>>,
    /// What its last part is.
    pub(crate) last: Last,
    /// It ends with `/`, and so must be a directory.
    pub(crate) has_slash: bool,
    name: [u8; NAME_MAX],
    len: usize,
}

impl Resolved {
    /// The last part.
    pub(crate) fn name(&self) -> &[u8] {
        &self.name[..self.len]
    }

    /// What is there.
    ///
    /// # Errors
    /// ENOENT.
    pub(crate) fn existing(self) -> Result<Shared<Dentry>, Errno> {
        self.found.ok_or(Errno::ENOENT)
    }
}

/// A symbolic link whose target is being walked, and how far.
type Pending = Option<(Shared<Inode>, usize)>;

/// A walk: the path, and the symbolic links that it has led into.
struct Walk<'p> {
    path: &'p [u8],
    position: usize,
    links: [Pending; MAX_SYMLINKS],
    depth: usize,
    /// Links followed so far.
    followed: usize,
}

impl Walk<'_> {
    /// The text that is being walked, and how far.
    fn current(&mut self) -> (&[u8], &mut usize) {
        match self.depth.checked_sub(1).map(|top| &mut self.links[top]) {
            Some(Some((inode, position))) => match &inode.kind {
                Kind::Symlink(target) => (target, position),
                _ => (&[], position),
            },
            _ => (self.path, &mut self.position),
        }
    }

    /// Copies the next part into `name`. None at the end of everything; a name that is too long is
    /// an error.
    fn next_part(&mut self, name: &mut [u8; NAME_MAX]) -> Result<Option<usize>, Errno> {
        loop {
            let (text, position) = self.current();
            let rest = &text[*position..];
            let slashes = rest.iter().take_while(|&&byte| byte == b'/').count();
            let part = &rest[slashes..];
            let len = part.iter().take_while(|&&byte| byte != b'/').count();
            if len > 0 {
                let to = name.get_mut(..len).ok_or(Errno::ENAMETOOLONG)?;
                to.copy_from_slice(&part[..len]);
                *position += slashes + len;
                return Ok(Some(len));
            }
            *position += slashes;
            if self.depth == 0 {
                return Ok(None);
            }
            self.depth -= 1;
            self.links[self.depth] = None;
        }
    }

    /// Whether nothing but slashes follows, and whether there is one.
    fn rest(&self) -> (bool, bool) {
        let targets = self.links[..self.depth].iter().flatten();
        let targets = targets.map(|(inode, position)| match &inode.kind {
            Kind::Symlink(target) => &target[*position..],
            _ => &[],
        });
        let mut has_slash = false;
        for text in targets.chain([&self.path[self.position..]]) {
            if text.iter().any(|&byte| byte != b'/') {
                return (false, true);
            }
            has_slash |= !text.is_empty();
        }
        (true, has_slash)
    }

    /// Goes on with the target of a link.
    fn follow(&mut self, link: Shared<Inode>, target_is_empty: bool) -> Result<(), Errno> {
        self.followed += 1;
        if self.followed > MAX_SYMLINKS {
            return Err(Errno::ELOOP);
        }
        if target_is_empty {
            return Err(Errno::ENOENT);
        }
        self.links[self.depth] = Some((link, 0));
        self.depth += 1;
        Ok(())
    }
}

/// Walks a path.
///
/// # Errors
/// ENOENT if a directory on the way is missing, or the path is empty; EACCES of one that must not be
/// searched; ENOTDIR, ELOOP, ENAMETOOLONG,
/// ENOMEM; EISDIR if a file shall be made and a slash is behind its name.
pub(crate) fn resolve(origin: &Origin<'_>, path: &[u8], at_end: AtEnd) -> Result<Resolved, Errno> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    let start = if path[0] == b'/' {
        origin.root
    } else {
        origin.start
    };
    let mut walk = Walk {
        path,
        position: 0,
        links: [const { None }; MAX_SYMLINKS],
        depth: 0,
        followed: 0,
    };
    let mut at = start.clone();
    let mut resolved = Resolved {
        parent: at.clone(),
        found: Some(at.clone()),
        last: Last::Dot,
        has_slash: false,
        name: [0; NAME_MAX],
        len: 0,
    };
    loop {
        let Some(len) = walk.next_part(&mut resolved.name)? else {
            // Only slashes, or a link to `/`.
            resolved.parent = at.clone();
            resolved.found = Some(at);
            return Ok(resolved);
        };
        if !at.inode.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if !origin.who.is_capable() {
            origin.who.may(X_OK, at.inode.guarded())?;
        }
        let (is_last, has_slash) = walk.rest();
        let creates = matches!(at_end, AtEnd::Create | AtEnd::CreateNew);
        if is_last && has_slash && creates {
            return Err(Errno::EISDIR);
        }
        let name = &resolved.name[..len];
        let (next, last) = match name {
            b"." => (Some(at.clone()), Last::Dot),
            b".." if at.is(origin.root) => (Some(at.clone()), Last::DotDot),
            b".." => (Some(at.parent()), Last::DotDot),
            _ => (look_up(&at, name, origin)?, Last::Name),
        };
        if let Some(dentry) = &next
            && let Kind::Symlink(target) = &dentry.inode.kind
            && (!is_last
                || matches!(at_end, AtEnd::Follow | AtEnd::Create)
                || has_slash && at_end == AtEnd::Keep)
        {
            walk.follow(dentry.inode.clone(), target.is_empty())?;
            if target.first() == Some(&b'/') {
                at = origin.root.clone();
            }
            continue;
        }
        if is_last {
            let is_file = next.as_ref().is_some_and(|it| !it.inode.is_dir());
            if has_slash && is_file && at_end != AtEnd::Name {
                return Err(Errno::ENOTDIR);
            }
            resolved.len = len;
            resolved.parent = at;
            resolved.found = next;
            resolved.last = last;
            resolved.has_slash = has_slash;
            return Ok(resolved);
        }
        at = next.ok_or(Errno::ENOENT)?;
    }
}

/// The entry of this name in a directory.
fn look_up(
    directory: &Shared<Dentry>,
    name: &[u8],
    origin: &Origin<'_>,
) -> Result<Option<Shared<Dentry>>, Errno> {
    match &directory.inode.kind {
        Kind::Proc(node) => proc::look_up(directory, *node, name, origin),
        Kind::Cgroup(group) => match group.file(name) {
            Some(file) => {
                let kind = Kind::CgroupFile(group.group, file);
                let inode = Inode::create(kind, file.mode())?;
                inode.nlink.store(1, core::sync::atomic::Ordering::Relaxed);
                Dentry::create(name, inode, Some(directory.clone())).map(Some)
            }
            None => Ok(directory.child(name)),
        },
        _ => Ok(directory.child(name)),
    }
}
