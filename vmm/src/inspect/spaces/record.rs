//! What the processes had at one moment.

use std::{collections::BTreeMap, fmt, ops::Range, sync::atomic::Ordering::Relaxed};

use pagelab_abi::{
    PAGE_SIZE,
    vma::{NO_FILE, VmFlags},
};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::inspect::{
    decode::{Area, BlockState, DecodeError, Snapshot, UserPage},
    users::{Space, Users},
};

/// What may be done: read, write, execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rights([bool; 3]);

/// An area.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AreaRecord {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// What the area allows.
    pub rights: Rights,
    /// Whether others see what is stored.
    pub shared: bool,
    /// Number of the file, 0 for anonymous memory.
    pub file: u64,
}

/// A page that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRecord {
    /// Address of its first byte.
    pub va: u64,
    /// Frame of that.
    pub pfn: u32,
    /// Frames: 1, or those of a large page.
    pub frames: u64,
    /// What ring 3 may do through the entry.
    pub rights: Rights,
    /// Whether the CPU has used the entry.
    pub accessed: bool,
    /// Whether the CPU has stored through the entry.
    pub dirty: bool,
}

/// Pages in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Pages {
    /// First address.
    pub start: u64,
    /// Pages of 4 KiB.
    pub pages: u64,
    /// Frame of the first page; the others' follow, but for the page of zeros, which is one frame.
    pub pfn: u32,
    /// What ring 3 may do.
    pub rights: Rights,
    /// Whether the CPU has used them.
    pub accessed: bool,
    /// Whether the CPU has stored to them.
    pub dirty: bool,
}

/// A process with an address space.
#[derive(Clone, Debug)]
pub struct ProcessRecord {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Number of its address space, which execve changes.
    pub mm: u64,
    /// Areas in ascending order.
    pub areas: Vec<AreaRecord>,
    /// Pages in ascending order.
    pub pages: Vec<PageRecord>,
}

/// What there was at one moment.
#[derive(Clone, Debug)]
pub struct Record {
    /// Event at which the guest stood.
    pub event: u64,
    /// Processes, oldest first.
    pub processes: Vec<ProcessRecord>,
    /// First frame of each run of equal state, up to the next one; none where there is no block.
    frames: BTreeMap<u32, Option<BlockState>>,
}

impl Rights {
    /// Those that have their letter in a text.
    #[cfg(test)]
    pub(super) fn of_letters(text: &str) -> Self {
        Self(['r', 'w', 'x'].map(|letter| text.contains(letter)))
    }

    /// Those of an area.
    fn of_area(flags: VmFlags) -> Self {
        Self([VmFlags::READ, VmFlags::WRITE, VmFlags::EXEC].map(|flag| flags.contains(flag)))
    }

    /// Whether stores are allowed.
    pub const fn write(self) -> bool {
        self.0[1]
    }

    /// Whether instruction fetches are allowed.
    pub const fn execute(self) -> bool {
        self.0[2]
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |(allowed, letter)| if allowed { letter } else { '-' };
        let text: String = self.0.into_iter().zip("rwx".chars()).map(letter).collect();
        f.pad(&text)
    }
}

impl Serialize for Rights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Rights {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rights".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Letters for read, write and execute, or - for what is not allowed.",
            "type": "string",
            "pattern": "^[r-][w-][x-]$"
        })
    }
}

impl AreaRecord {
    fn of(area: &Area, users: &Users) -> Self {
        let file = users.file(area.file).map_or(0, |file| file.file.ino);
        Self {
            start: area.start,
            end: area.end,
            rights: Rights::of_area(area.flags),
            shared: area.flags.contains(VmFlags::SHARED),
            file: if area.file == NO_FILE { 0 } else { file },
        }
    }

    /// Its addresses.
    pub fn range(&self) -> Range<u64> {
        self.start..self.end
    }

    /// Its pages.
    pub fn pages(&self) -> u64 {
        self.end.saturating_sub(self.start) / PAGE_SIZE
    }
}

impl fmt::Display for AreaRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.shared { 's' } else { 'p' };
        write!(
            f,
            "{:012x}-{:012x} {}{kind}",
            self.start, self.end, self.rights
        )?;
        if self.file != 0 {
            write!(f, " file {}", self.file)?;
        }
        Ok(())
    }
}

impl PageRecord {
    fn of(page: &UserPage) -> Option<Self> {
        let [user, write, execute] = page.rights();
        Some(Self {
            va: page.va(),
            pfn: page.pfn()?,
            frames: page.frames(),
            rights: Rights([user, user && write, user && execute]),
            accessed: page.accessed(),
            dirty: page.dirty(),
        })
    }

    /// First address behind it.
    pub fn end(&self) -> u64 {
        self.va.saturating_add(self.frames * PAGE_SIZE)
    }

    /// Its frames.
    pub fn pfns(&self) -> impl Iterator<Item = u32> {
        (0..self.frames).filter_map(move |at| self.pfn.checked_add(u32::try_from(at).ok()?))
    }
}

impl Pages {
    /// Pages in rows.
    pub fn rows<'p>(pages: impl IntoIterator<Item = &'p PageRecord>) -> Vec<Self> {
        let mut rows: Vec<Self> = Vec::new();
        for page in pages {
            match rows.last_mut() {
                Some(row) if row.goes_on_with(page) => row.pages += page.frames,
                _ => rows.push(Self {
                    start: page.va,
                    pages: page.frames,
                    pfn: page.pfn,
                    rights: page.rights,
                    accessed: page.accessed,
                    dirty: page.dirty,
                }),
            }
        }
        rows
    }

    /// First address behind them.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.pages * PAGE_SIZE)
    }

    fn goes_on_with(&self, page: &PageRecord) -> bool {
        let alike =
            (self.rights, self.accessed, self.dirty) == (page.rights, page.accessed, page.dirty);
        let next = u64::from(self.pfn) + self.pages == u64::from(page.pfn);
        alike && next && self.end() == page.va
    }
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:012x}-{:012x} {} {:>6} pfn {:06x} {}{}",
            self.start,
            self.end(),
            self.rights,
            self.pages,
            self.pfn,
            if self.accessed { 'a' } else { '-' },
            if self.dirty { 'd' } else { '-' },
        )
    }
}

impl ProcessRecord {
    fn of(space: &Space, users: &Users, pid: u32, comm: &str) -> Self {
        Self {
            pid,
            comm: comm.to_owned(),
            mm: space.mm.id(),
            areas: space
                .areas
                .iter()
                .map(|area| AreaRecord::of(area, users))
                .collect(),
            pages: space
                .held()
                .filter_map(|(page, _)| PageRecord::of(page))
                .collect(),
        }
    }

    /// The pages within a range of addresses.
    pub fn pages_in(&self, range: &Range<u64>) -> &[PageRecord] {
        let at = |va| self.pages.partition_point(|page| page.va < va);
        &self.pages[at(range.start)..at(range.end).max(at(range.start))]
    }
}

impl Record {
    /// A record made by hand.
    #[cfg(test)]
    pub(super) fn new(
        event: u64,
        processes: Vec<ProcessRecord>,
        frames: BTreeMap<u32, Option<BlockState>>,
    ) -> Self {
        Self {
            event,
            processes,
            frames,
        }
    }

    /// Of the guest as it stands.
    ///
    /// # Errors
    /// If the processes cannot be decoded.
    pub fn take(snapshot: &Snapshot<'_>) -> Result<Self, DecodeError> {
        let users = Users::read(snapshot)?;
        let mut processes = Vec::new();
        for task in &users.tasks {
            if let Some(space) = users.spaces.iter().find(|space| space.mm.gpa == task.mm) {
                processes.push(ProcessRecord::of(space, &users, task.pid, &task.comm));
            }
        }
        Ok(Self {
            event: snapshot.root.clock.count.load(Relaxed),
            processes,
            frames: frame_states(snapshot),
        })
    }

    /// The process with this number.
    pub fn process(&self, pid: u32) -> Option<&ProcessRecord> {
        self.processes.iter().find(|process| process.pid == pid)
    }

    /// Runs of frames in each state: first frames, and state from there on.
    pub(super) fn frame_states(&self) -> &BTreeMap<u32, Option<BlockState>> {
        &self.frames
    }

    /// Only the process with this number, if there is one.
    #[must_use]
    pub fn only(mut self, pid: Option<u32>) -> Self {
        self.processes
            .retain(|process| pid.is_none_or(|pid| pid == process.pid));
        self
    }
}

/// Runs of frames in one state.
fn frame_states(snapshot: &Snapshot<'_>) -> BTreeMap<u32, Option<BlockState>> {
    let mut runs = BTreeMap::new();
    let mut end = 0;
    for zone in &snapshot.zones {
        for block in snapshot.blocks(zone).flatten() {
            if block.pfn != end {
                runs.insert(end, None);
            }
            let before = runs.last_key_value().and_then(|(_, state)| *state);
            if before != Some(block.state) {
                runs.insert(block.pfn, Some(block.state));
            }
            end = block.pfns().end;
        }
    }
    runs.insert(end, None);
    runs
}
