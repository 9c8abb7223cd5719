//! Processes and address spaces belong together.

use std::collections::BTreeSet;

use pagelab_abi::task::{PID_MAX, TaskState};

use super::{Audit, Findings, Guest, Skip};

pub(super) const AUDIT: Audit = Audit {
    name: "processes",
    checks: "processes have their own numbers and known parents, the living an address space, the dead none",
    run,
};

fn run(guest: &Guest<'_>, findings: &mut Findings) -> Result<(), Skip> {
    let users = guest.users()?;
    let mut pids = BTreeSet::new();
    for task in &users.tasks {
        let (pid, comm) = (task.pid, &task.comm);
        findings.require((1..PID_MAX).contains(&pid) && pids.insert(pid), || {
            format!(
                "the process at {:#x} ({comm}) has number {pid}, which is taken or impossible",
                task.gpa
            )
        });
        let is_zombie = task.state == Some(TaskState::Zombie);
        findings.require(task.state.is_some(), || {
            format!("pid {pid} ({comm}) is in no state")
        });
        findings.require(!is_zombie || task.mm == 0, || {
            format!("pid {pid} ({comm}) has ended, and still has an address space")
        });
        let is_known = task.mm == 0 || users.spaces.iter().any(|space| space.mm.gpa == task.mm);
        findings.require(is_known, || {
            format!(
                "pid {pid} ({comm}) runs in {:#x}, which is no address space",
                task.mm
            )
        });
    }
    for task in &users.tasks {
        findings.require(task.ppid == 0 || pids.contains(&task.ppid), || {
            format!(
                "pid {} ({}) has the parent {}, which is not there",
                task.pid, task.comm, task.ppid
            )
        });
    }
    Ok(())
}
