//! The files of /proc/PID, written from what the host decoded.
//!
//! `maps` and `smaps` have Linux's lines (fs/proc/task_mmu.c). `pagemap`, which Linux has as an
//! array of 64-bit words, is written as one line for each page that is there. `rmap`, which Linux
//! has not, names for each frame everybody who holds it.

mod maps;
mod pagemap;
mod rmap;
mod smaps;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::inspect::{
    decode::{DecodeError, Snapshot},
    users::{Space, Users},
};

/// A file of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskView {
    /// The areas.
    Maps,
    /// The areas, with what is there of each.
    Smaps,
    /// The pages.
    Pagemap,
    /// The frames, and who holds them.
    Rmap,
}

impl TaskView {
    /// All of them, in the order in which they are printed.
    pub const ALL: [Self; 4] = [Self::Maps, Self::Smaps, Self::Pagemap, Self::Rmap];

    /// The name on the command line and in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Maps => "maps",
            Self::Smaps => "smaps",
            Self::Pagemap => "pagemap",
            Self::Rmap => "rmap",
        }
    }
}

/// What a view is written from.
struct Processes<'s> {
    snapshot: &'s Snapshot<'s>,
    users: Users,
}

/// The text of a file of one process, or of all that have an address space, each under its name.
///
/// # Errors
/// If the processes cannot be decoded.
pub fn task_text(
    snapshot: &Snapshot<'_>,
    view: TaskView,
    pid: Option<u32>,
) -> Result<String, DecodeError> {
    let processes = Processes {
        users: Users::read(snapshot)?,
        snapshot,
    };
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = processes.write(&mut text, view, pid);
    Ok(text)
}

impl Processes<'_> {
    fn write(&self, out: &mut impl fmt::Write, view: TaskView, pid: Option<u32>) -> fmt::Result {
        let mut shown = 0;
        for task in &self.users.tasks {
            let of_task = |space: &&Space| space.mm.gpa == task.mm;
            let space = self.users.spaces.iter().find(of_task);
            let (true, Some(space)) = (pid.is_none_or(|pid| pid == task.pid), space) else {
                continue;
            };
            shown += 1;
            if pid.is_none() {
                writeln!(out, "pid {} ({})", task.pid, task.comm)?;
            }
            match view {
                TaskView::Maps => self.maps(out, space)?,
                TaskView::Smaps => self.smaps(out, space)?,
                TaskView::Pagemap => self.pagemap(out, space)?,
                TaskView::Rmap => self.rmap(out, space)?,
            }
        }
        match (shown, pid) {
            (0, Some(pid)) => writeln!(
                out,
                "no process {pid} with an address space is there; --inspect {} shows all",
                view.name()
            ),
            (0, None) => writeln!(
                out,
                "no process with an address space is there; stop the run while one is (--stop-at)"
            ),
            _ => Ok(()),
        }
    }
}
