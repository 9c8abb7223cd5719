//! Processes.

use std::{collections::BTreeSet, sync::atomic::Ordering::Relaxed};

use pagelab_abi::task::{PID_MAX, TaskState, TaskStruct};

use super::{DecodeError, Snapshot};
use crate::inspect::image::read_object;

/// A copy of one process's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Physical address.
    pub gpa: u64,
    /// Its number.
    pub pid: u32,
    /// Its parent's number; 0 for the first.
    pub ppid: u32,
    /// What it is doing; none if the number means nothing.
    pub state: Option<TaskState>,
    /// How it ended, as wait4 gives it.
    pub exit_code: u32,
    /// Physical address of its address space, or 0.
    pub mm: u64,
    /// The name of its program.
    pub comm: String,
    /// Number of its memory group, 0 for the root.
    pub memory_group: u32,
    /// Added to its badness when memory has run out.
    pub oom_score_adj: i32,
}

impl Snapshot<'_> {
    /// All processes, oldest first.
    ///
    /// # Errors
    /// If one cannot be read, or the list does not end or has another length than is counted.
    pub fn tasks(&self) -> Result<Vec<Task>, DecodeError> {
        let mut tasks: Vec<Task> = Vec::new();
        let mut seen = BTreeSet::new();
        let list = &self.root.tasks;
        let field = |field, found: u64, expected: String| DecodeError::Field {
            what: "the list of processes",
            gpa: self.root_gpa,
            field,
            found,
            expected,
        };
        let mut gpa = list.head.load(Relaxed);
        while gpa != 0 {
            if !seen.insert(gpa) || tasks.len() == PID_MAX as usize {
                let expected = format!("0 after at most {PID_MAX} different processes");
                return Err(field("next", gpa, expected));
            }
            let task: TaskStruct =
                read_object(self.mem(), gpa).map_err(DecodeError::unreadable("task_struct"))?;
            tasks.push(Task::new(gpa, &task));
            gpa = task.next.load(Relaxed);
        }
        let count = u64::from(list.count.load(Relaxed));
        if count != tasks.len() as u64 {
            let expected = format!("{}, as the list has", tasks.len());
            return Err(field("count", count, expected));
        }
        Ok(tasks)
    }
}

impl Task {
    fn new(gpa: u64, task: &TaskStruct) -> Self {
        let comm = task.comm.each_ref().map(|byte| byte.load(Relaxed));
        let name = comm.split(|byte| *byte == 0).next().unwrap_or_default();
        Self {
            gpa,
            pid: task.pid.load(Relaxed),
            ppid: task.ppid.load(Relaxed),
            state: TaskState::from_u32(task.state.load(Relaxed)),
            exit_code: task.exit_code.load(Relaxed),
            mm: task.mm.load(Relaxed),
            comm: String::from_utf8_lossy(name).into_owned(),
            memory_group: task.memory_group.load(Relaxed),
            oom_score_adj: task.oom_score_adj.load(Relaxed) as i32,
        }
    }
}
