//! Which number is what.

use super::{
    Args, Flow, Outcome, cred, futex, identity, memory, poll, prctl, process, process_vm, schedule,
    signals, system, time, timer,
};
use crate::{
    fs,
    machine::Guest,
    root,
    task::{Slot, Task, Tasks, WaitFor},
};
use linux_raw_sys::general as nr;
use pagelab_abi::{errno::Errno, event::EventKind};
use pagelab_mm::machine::Machine;

/// Bytes of the `syscall` instruction.
const SYSCALL_LEN: u64 = 2;

/// Begins the system call that a task's registers ask for. True if that was all.
#[inline(always)]
pub(crate) fn quick(task: &mut Task) -> bool {
    let regs = &mut task.context.regs;
    let number = regs.rax as u32;
    Guest.event(EventKind::Syscall, number.into(), regs.rdi);
    task.count_syscall();
    let Some(value) = identity::quick(task, number) else {
        return false;
    };
    task.context.regs.rax = value;
    true
}

/// Makes a system call that [`quick`] has begun.
pub(crate) fn dispatch(tasks: &mut Tasks, slot: Slot) -> Flow {
    let task = tasks.get_mut(slot);
    let number = task.context.regs.rax as u32;
    let regs = &task.context.regs;
    let args = [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9];
    let again = task.restart.take().is_some();
    if !again {
        task.deadline = None;
    }
    let outcome = call(tasks, slot, number, &args);
    if outcome == Outcome::Gone {
        return Flow::Gone;
    }
    let task = tasks.get_mut(slot);
    let regs = &mut task.context.regs;
    match outcome {
        Outcome::Value(value) => regs.rax = value,
        Outcome::Error(errno) => {
            regs.rax = errno.to_return();
            if errno.is_shortage() {
                root::count(&root::program().failed_calls);
            }
        }
        Outcome::Yield(value) => {
            regs.rax = value;
            return Flow::Switch;
        }
        Outcome::Keep | Outcome::Gone => {}
        Outcome::Wait(what) => {
            task.make_again(number);
            task.wait_for(what);
            return Flow::Switch;
        }
        Outcome::Waits => {
            task.make_again(number);
            return Flow::Switch;
        }
    }
    Flow::Continue
}

impl Task {
    /// Goes back to the system call, so that it is made again.
    fn make_again(&mut self, number: u32) {
        self.context.regs.rip -= SYSCALL_LEN;
        self.context.regs.rax = number.into();
        self.restart = Some(number);
    }
}

/// Whether a call that a signal interrupts is made again after a handler that has SA_RESTART.
pub(crate) fn is_restarted(number: u32) -> bool {
    !matches!(
        number,
        nr::__NR_nanosleep
            | nr::__NR_clock_nanosleep
            | nr::__NR_pause
            | nr::__NR_rt_sigsuspend
            | nr::__NR_rt_sigtimedwait
            | nr::__NR_poll
            | nr::__NR_ppoll
            | nr::__NR_select
            | nr::__NR_pselect6
    )
}

/// Ends a call that waited and that a signal has interrupted.
pub(crate) fn interrupted(tasks: &mut Tasks, slot: Slot, number: u32) {
    time::write_remaining(tasks, slot, number);
    let task = tasks.get_mut(slot);
    task.deadline = None;
    task.context.regs.rip += SYSCALL_LEN;
    // A write that has done a part says how much.
    let done = task.files.as_mut().and_then(fs::Files::take_partial);
    task.context.regs.rax = match done {
        Some(done) if done > 0 => done,
        _ => Errno::EINTR.to_return(),
    };
}

/// A call of the groups whose functions take the address space alone.
macro_rules! in_space {
    ($tasks:expr, $slot:expr, $function:path, $args:expr) => {
        match &mut $tasks.get_mut($slot).space {
            Some(space) => $function(space, $args).into(),
            None => Outcome::Error(Errno::EFAULT),
        }
    };
}

fn call(tasks: &mut Tasks, slot: Slot, number: u32, args: &Args) -> Outcome {
    match number {
        nr::__NR_mmap => memory::mmap(tasks, slot, args).into(),
        nr::__NR_munmap => in_space!(tasks, slot, memory::munmap, args),
        nr::__NR_mprotect => in_space!(tasks, slot, memory::mprotect, args),
        nr::__NR_mremap => in_space!(tasks, slot, memory::mremap, args),
        nr::__NR_brk => in_space!(tasks, slot, memory::brk, args),
        nr::__NR_madvise => in_space!(tasks, slot, memory::madvise, args),
        nr::__NR_msync => in_space!(tasks, slot, memory::msync, args),
        nr::__NR_mincore => in_space!(tasks, slot, memory::mincore, args),
        nr::__NR_mlock => in_space!(tasks, slot, memory::mlock, args),
        nr::__NR_mlock2 => in_space!(tasks, slot, memory::mlock2, args),
        nr::__NR_munlock => in_space!(tasks, slot, memory::munlock, args),
        nr::__NR_mlockall => in_space!(tasks, slot, memory::mlockall, args),
        nr::__NR_munlockall => in_space!(tasks, slot, memory::munlockall, args),
        nr::__NR_membarrier => memory::membarrier(args).into(),

        nr::__NR_fork => process::fork(tasks, slot),
        nr::__NR_vfork => process::vfork(tasks, slot),
        nr::__NR_clone => process::clone(tasks, slot, args),
        nr::__NR_clone3 => process::clone3(tasks, slot, args),
        nr::__NR_execve => process::execve(tasks, slot, args),
        nr::__NR_exit | nr::__NR_exit_group => process::exit(tasks, slot, args),
        nr::__NR_wait4 => process::wait4(tasks, slot, args),
        nr::__NR_waitid => process::waitid(tasks, slot, args),

        nr::__NR_getpgrp => Ok(tasks.get(slot).pgid().0.into()).into(),
        nr::__NR_getpgid => identity::getpgid(tasks, slot, args).into(),
        nr::__NR_setpgid => identity::setpgid(tasks, slot, args).into(),
        nr::__NR_getsid => identity::getsid(tasks, slot, args).into(),
        nr::__NR_setsid => identity::setsid(tasks, slot).into(),
        nr::__NR_setuid
        | nr::__NR_setgid
        | nr::__NR_setreuid
        | nr::__NR_setregid
        | nr::__NR_setresuid
        | nr::__NR_setresgid => cred::set_ids(tasks.get_mut(slot), number, args).into(),
        nr::__NR_setfsuid | nr::__NR_setfsgid => {
            Outcome::Value(cred::set_fs_id(tasks.get_mut(slot), number, args))
        }
        nr::__NR_getresuid | nr::__NR_getresgid => {
            cred::get_ids(tasks.get_mut(slot), number, args).into()
        }
        nr::__NR_getgroups => cred::getgroups(tasks.get_mut(slot), args).into(),
        nr::__NR_setgroups => cred::setgroups(tasks.get_mut(slot), args).into(),

        nr::__NR_rt_sigaction => signals::rt_sigaction(tasks.get_mut(slot), args).into(),
        nr::__NR_rt_sigprocmask => signals::rt_sigprocmask(tasks.get_mut(slot), args).into(),
        nr::__NR_rt_sigpending => signals::rt_sigpending(tasks.get_mut(slot), args).into(),
        nr::__NR_rt_sigsuspend => signals::rt_sigsuspend(tasks.get_mut(slot), args),
        nr::__NR_rt_sigtimedwait => signals::rt_sigtimedwait(tasks, slot, args),
        nr::__NR_rt_sigreturn => signals::rt_sigreturn(tasks.get_mut(slot)),
        nr::__NR_sigaltstack => signals::sigaltstack(tasks.get_mut(slot), args).into(),
        nr::__NR_pause => Outcome::Wait(WaitFor::Signal),
        nr::__NR_kill => signals::kill(tasks, slot, args).into(),
        nr::__NR_tkill => signals::tkill(tasks, slot, args[0], args[1]).into(),
        nr::__NR_tgkill => signals::tgkill(tasks, slot, args).into(),

        nr::__NR_arch_prctl => process::arch_prctl(tasks.get_mut(slot), args).into(),
        nr::__NR_set_tid_address => process::set_tid_address(tasks.get_mut(slot), args).into(),
        nr::__NR_set_robust_list => process::set_robust_list(tasks.get_mut(slot), args).into(),
        nr::__NR_get_robust_list => process::get_robust_list(tasks, slot, args).into(),
        nr::__NR_prctl => prctl::prctl(tasks.get_mut(slot), args).into(),
        nr::__NR_futex => futex::futex(tasks, slot, args),
        nr::__NR_sched_yield => Outcome::Yield(0),
        nr::__NR_sched_getaffinity => schedule::sched_getaffinity(tasks, slot, args).into(),
        nr::__NR_sched_setaffinity => schedule::sched_setaffinity(tasks, slot, args).into(),
        nr::__NR_getpriority => schedule::getpriority(tasks, slot, args).into(),
        nr::__NR_setpriority => schedule::setpriority(tasks, slot, args).into(),

        nr::__NR_prlimit64 => system::prlimit64(tasks, slot, args).into(),
        nr::__NR_getrlimit => system::getrlimit(tasks, slot, args).into(),
        nr::__NR_setrlimit => system::setrlimit(tasks, slot, args).into(),
        nr::__NR_getrusage => system::getrusage(tasks, slot, args).into(),
        nr::__NR_sysinfo => system::sysinfo(tasks, slot, args).into(),
        nr::__NR_uname => in_space!(tasks, slot, system::uname, args),
        nr::__NR_getrandom => system::getrandom(tasks, slot, args).into(),
        nr::__NR_getcpu => in_space!(tasks, slot, system::getcpu, args),

        nr::__NR_time => time::time(tasks, slot, args).into(),
        nr::__NR_gettimeofday => time::gettimeofday(tasks, slot, args).into(),
        nr::__NR_clock_gettime => time::clock_gettime(tasks, slot, args).into(),
        nr::__NR_clock_getres => in_space!(tasks, slot, time::clock_getres, args),
        nr::__NR_nanosleep => time::nanosleep(tasks, slot, args),
        nr::__NR_clock_nanosleep => time::clock_nanosleep(tasks, slot, args),
        nr::__NR_times => time::times(tasks, slot, args).into(),
        nr::__NR_alarm => timer::alarm(tasks, slot, args).into(),
        nr::__NR_setitimer => timer::setitimer(tasks, slot, args).into(),
        nr::__NR_getitimer => timer::getitimer(tasks, slot, args).into(),

        nr::__NR_poll => poll::poll(tasks, slot, args),
        nr::__NR_ppoll => poll::ppoll(tasks, slot, args),
        nr::__NR_select => poll::select(tasks, slot, args),
        nr::__NR_pselect6 => poll::pselect6(tasks, slot, args),
        nr::__NR_process_vm_readv => {
            process_vm::copy(tasks, slot, args, process_vm::Way::Read).into()
        }
        nr::__NR_process_vm_writev => {
            process_vm::copy(tasks, slot, args, process_vm::Way::Write).into()
        }

        nr::__NR_rseq => process::rseq(tasks.get_mut(slot), args).into(),
        _ => file_call(tasks, slot, number, args),
    }
}

/// A call on files, or one that does not exist.
fn file_call(tasks: &mut Tasks, slot: Slot, number: u32, args: &Args) -> Outcome {
    fs::clock::set(tasks.clock().realtime());
    if matches!(number, nr::__NR_open | nr::__NR_openat) {
        // It may be of /proc.
        tasks.tell_usage(slot);
    }
    let outcome = fs::syscall(tasks.get_mut(slot), number, args);
    match outcome {
        Some(outcome) => {
            // Also if this call itself waits: it may have done a part before.
            if fs::pipe::take_change() {
                tasks.wake_file_waiters();
            }
            outcome
        }
        None => {
            tell_unknown(tasks, number);
            Outcome::Error(Errno::ENOSYS)
        }
    }
}

/// One line about a call that does not exist, once for each number.
fn tell_unknown(tasks: &mut Tasks, number: u32) {
    let told = &mut tasks.unknown_told;
    let bit = 1 << (number % 64);
    match told.get_mut(number as usize / 64) {
        Some(word) if *word & bit != 0 => return,
        Some(word) => *word |= bit,
        // Far above all that Linux has.
        None => return,
    }
    log::warn!("system call {number} does not exist here");
}
