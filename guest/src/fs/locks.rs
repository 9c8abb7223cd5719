//! Locks on files (Linux fs/locks.c): those of flock, and records, which a process or an open file has.
//!
//! They are advisory: reads and writes ignore them. All are in one table, as there are few.

use super::pipe;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use pagelab_abi::errno::Errno;
use spin::Mutex;

/// Locks that there may be at once.
const MAX_LOCKS: usize = 256;

/// Processes that may wait for records at once; more are not looked at for deadlocks.
const MAX_WAITS: usize = 256;

/// The last byte of every file.
pub(super) const LAST: u64 = i64::MAX as u64;

/// Whose a lock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A process's: the number of its files.
    Process(u64),
    /// An open file's: where it is.
    File(u64),
}

/// Locks of different kinds do not see each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// flock.
    Whole,
    /// fcntl.
    Record,
}

/// A lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lock {
    /// Number of the inode.
    pub(super) ino: u64,
    pub(super) kind: Kind,
    pub(super) owner: Owner,
    /// Nobody else may have one there.
    pub(super) exclusive: bool,
    /// The first byte, and the last one.
    pub(super) start: u64,
    pub(super) end: u64,
    /// The process that asked for it.
    pub(super) pid: u32,
}

impl Lock {
    /// Whether another is of the same file, kind and owner.
    fn is_of_same(&self, other: &Self) -> bool {
        (self.ino, self.kind, self.owner) == (other.ino, other.kind, other.owner)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// Whether the two can be one.
    fn joins(&self, other: &Self) -> bool {
        self.exclusive == other.exclusive
            && self.start <= other.end.saturating_add(1)
            && other.start <= self.end.saturating_add(1)
    }

    fn conflicts(&self, other: &Self) -> bool {
        (self.ino, self.kind) == (other.ino, other.kind)
            && self.owner != other.owner
            && self.overlaps(other)
            && (self.exclusive || other.exclusive)
    }
}

struct Table {
    locks: [Option<Lock>; MAX_LOCKS],
    /// Who waits for whose record.
    waits: [Option<(Owner, Owner)>; MAX_WAITS],
}

static TABLE: Mutex<Table> = Mutex::new(Table {
    locks: [None; MAX_LOCKS],
    waits: [None; MAX_WAITS],
});

/// Locks and waits in the table: with none, closing a file has nothing to do here.
static USED: AtomicUsize = AtomicUsize::new(0);

impl Table {
    fn conflict(&self, wanted: &Lock) -> Option<Lock> {
        let mut locks = self.locks.iter().flatten();
        locks.find(|lock| wanted.conflicts(lock)).copied()
    }

    /// Puts a lock in the place of all that its owner has there; `unlocks` leaves nothing there. True
    /// if it had something.
    ///
    /// # Errors
    /// ENOLCK if the table is full; nothing has changed then.
    fn put(&mut self, wanted: &Lock, unlocks: bool) -> Result<bool, Errno> {
        let mut new = *wanted;
        if !unlocks {
            for lock in self.locks.iter().flatten() {
                if lock.is_of_same(wanted) && lock.joins(&new) {
                    new.start = new.start.min(lock.start);
                    new.end = new.end.max(lock.end);
                }
            }
        }
        // What is left of one before it, and of one behind it.
        let mut rests = [None; 2];
        let mut freed = 0;
        for lock in self.locks.iter().flatten() {
            if lock.is_of_same(&new) && lock.overlaps(&new) {
                freed += 1;
                if lock.start < new.start {
                    let end = new.start - 1;
                    rests[0] = Some(Lock { end, ..*lock });
                }
                if lock.end > new.end {
                    let start = new.end + 1;
                    rests[1] = Some(Lock { start, ..*lock });
                }
            }
        }
        let placed = rests.into_iter().flatten();
        let placed = placed.chain((!unlocks).then_some(new));
        let free = self.locks.iter().filter(|place| place.is_none()).count();
        if placed.clone().count() > free + freed {
            return Err(Errno::ENOLCK);
        }
        for place in &mut self.locks {
            if place.is_some_and(|lock| lock.is_of_same(&new) && lock.overlaps(&new)) {
                *place = None;
            }
        }
        let mut places = self.locks.iter_mut().filter(|place| place.is_none());
        for lock in placed {
            if let Some(place) = places.next() {
                *place = Some(lock);
            }
        }
        self.count();
        Ok(freed > 0)
    }

    fn count(&self) {
        let used = self.locks.iter().flatten().count() + self.waits.iter().flatten().count();
        USED.store(used, Relaxed);
    }

    /// Whether `owner` would wait for itself if it waited for `other` (Linux:
    /// `posix_locks_deadlock`).
    fn deadlocks(&self, owner: Owner, other: Owner) -> bool {
        let mut at = other;
        // No chain is longer than the table, and none comes back but to `owner`.
        for _ in 0..MAX_WAITS {
            let waits = self.waits.iter().flatten();
            match waits.clone().find(|(waiter, _)| *waiter == at) {
                Some((_, next)) if *next == owner => return true,
                Some((_, next)) => at = *next,
                None => return false,
            }
        }
        false
    }

    fn forget_wait(&mut self, owner: Owner) {
        for wait in &mut self.waits {
            if wait.is_some_and(|(waiter, _)| waiter == owner) {
                *wait = None;
            }
        }
    }
}

/// What a try came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// It is locked.
    Done,
    /// This one is in the way.
    Conflict(Lock),
}

/// Tries to get a lock.
///
/// # Errors
/// ENOLCK.
pub(super) fn lock(wanted: &Lock) -> Result<Tried, Errno> {
    let mut table = TABLE.lock();
    table.forget_wait(wanted.owner);
    if let Some(other) = table.conflict(wanted) {
        table.count();
        return Ok(Tried::Conflict(other));
    }
    // One that became shared may be what somebody waits for.
    if table.put(wanted, false)? {
        pipe::note_change();
    }
    Ok(Tried::Done)
}

/// The lock that is in the way of one.
pub(super) fn in_the_way(wanted: &Lock) -> Option<Lock> {
    TABLE.lock().conflict(wanted)
}

/// Unlocks a range.
///
/// # Errors
/// ENOLCK if a lock would have to become two, and there is no room.
pub(super) fn unlock(range: &Lock) -> Result<(), Errno> {
    if TABLE.lock().put(range, true)? {
        pipe::note_change();
    }
    Ok(())
}

/// Notes that a process waits for another's record.
///
/// # Errors
/// EDEADLK if that one waits for it, by itself or by others.
pub(super) fn wait_for(owner: Owner, other: Owner) -> Result<(), Errno> {
    let mut table = TABLE.lock();
    if table.deadlocks(owner, other) {
        return Err(Errno::EDEADLK);
    }
    if let Some(place) = table.waits.iter_mut().find(|place| place.is_none()) {
        *place = Some((owner, other));
    }
    table.count();
    Ok(())
}

/// A process no longer waits.
pub(super) fn stop_waiting(owner: Owner) {
    if USED.load(Relaxed) > 0 {
        let mut table = TABLE.lock();
        table.forget_wait(owner);
        table.count();
    }
}

/// Takes all locks of an owner away: on one file, or on all.
pub(super) fn release(owner: Owner, ino: Option<u64>) {
    if USED.load(Relaxed) == 0 {
        return;
    }
    let mut table = TABLE.lock();
    let mut any = false;
    for place in &mut table.locks {
        if place.is_some_and(|lock| lock.owner == owner && ino.is_none_or(|ino| ino == lock.ino)) {
            *place = None;
            any = true;
        }
    }
    if ino.is_none() {
        table.forget_wait(owner);
    }
    table.count();
    if any {
        pipe::note_change();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table {
            locks: [None; MAX_LOCKS],
            waits: [None; MAX_WAITS],
        }
    }

    fn record(owner: u64, exclusive: bool, start: u64, end: u64) -> Lock {
        Lock {
            ino: 1,
            kind: Kind::Record,
            owner: Owner::Process(owner),
            exclusive,
            start,
            end,
            pid: owner as u32,
        }
    }

    fn ranges(table: &Table) -> Vec<(u64, u64, bool)> {
        let mut ranges: Vec<_> = table
            .locks
            .iter()
            .flatten()
            .map(|lock| (lock.start, lock.end, lock.exclusive))
            .collect();
        ranges.sort_unstable();
        ranges
    }

    #[test]
    fn ranges_join_split_and_replace_each_other() {
        let mut table = table();
        let mut put = |lock: Lock, unlocks| {
            table.put(&lock, unlocks).unwrap();
            ranges(&table)
        };
        assert_eq!(put(record(1, true, 10, 19), false), [(10, 19, true)]);
        assert_eq!(put(record(1, true, 20, 29), false), [(10, 29, true)]);
        let three = [(10, 14, true), (15, 19, false), (20, 29, true)];
        assert_eq!(put(record(1, false, 15, 19), false), three);
        let cut = [(10, 11, true), (18, 19, false), (20, 29, true)];
        assert_eq!(put(record(1, true, 12, 17), true), cut);
        assert_eq!(put(record(1, false, 0, LAST), false), [(0, LAST, false)]);
        assert_eq!(put(record(1, false, 0, LAST), true), []);
    }

    #[test]
    fn a_full_table_stays_as_it_is() {
        let mut table = table();
        for at in 0..MAX_LOCKS as u64 {
            table
                .put(&record(1, true, 10 * at, 10 * at + 4), false)
                .unwrap();
        }
        let before = ranges(&table);
        assert_eq!(table.put(&record(1, true, 2, 2), true), Err(Errno::ENOLCK));
        assert_eq!(table.put(&record(2, true, 5, 6), false), Err(Errno::ENOLCK));
        assert_eq!(ranges(&table), before);
        // What joins two needs no room.
        assert_eq!(table.put(&record(1, true, 5, 9), false), Ok(true));
        assert_eq!(ranges(&table).len(), MAX_LOCKS - 1);
    }

    #[test]
    fn locks_of_others_are_in_the_way_unless_both_are_shared() {
        let mut table = table();
        table.put(&record(1, false, 0, 9), false).unwrap();
        assert_eq!(table.conflict(&record(2, false, 5, 5)), None);
        assert!(table.conflict(&record(2, true, 9, 20)).is_some());
        assert_eq!(table.conflict(&record(2, true, 10, 20)), None);
        assert_eq!(table.conflict(&record(1, true, 0, 20)), None);
        let whole = Lock {
            kind: Kind::Whole,
            ..record(2, true, 0, LAST)
        };
        assert_eq!(table.conflict(&whole), None);
    }

    #[test]
    fn a_circle_is_found() {
        let mut table = table();
        let owner = Owner::Process;
        table.waits[0] = Some((owner(1), owner(2)));
        table.waits[5] = Some((owner(2), owner(3)));
        assert!(table.deadlocks(owner(3), owner(1)));
        assert!(!table.deadlocks(owner(4), owner(1)));
        table.forget_wait(owner(2));
        assert!(!table.deadlocks(owner(3), owner(1)));
    }
}
