//! Ends a vCPU that is stuck, at no cost to one that is not.
//!
//! While a [`Watchdog`] is armed, a POSIX timer signals the vCPU's thread a few times per time
//! limit. The handler sets `immediate_exit` in the `kvm_run` of the vCPU that this thread is
//! running, so that KVM_RUN returns EINTR even if the signal arrives just before it; the run loop
//! then asks [`Watchdog::tick`] whether the guest has made progress. The exit path does nothing.

use std::cell::Cell;
use std::mem;
use std::ptr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use kvm_bindings::kvm_run;
use libc::{c_int, c_void, siginfo_t};
use vmm_sys_util::errno;
use vmm_sys_util::signal::{SIGRTMIN, register_signal_handler};

use super::host::HostError;

/// The timer signals this often per time limit, so a hang is seen at most a quarter late.
const TICKS_PER_LIMIT: u32 = 4;

thread_local! {
    /// `immediate_exit` of the vCPU that this thread is running, or null. No destructor and
    /// constant initialisation: the signal handler reads it.
    static IMMEDIATE_EXIT: Cell<*mut u8> = const { Cell::new(ptr::null_mut()) };
}

/// While it lives, the watchdog's signal makes the running KVM_RUN of this thread return.
pub(super) struct Interruptible(());

impl Interruptible {
    /// Marks `run` as the vCPU that this thread is about to run.
    pub(super) fn new(run: &mut kvm_run) -> Self {
        IMMEDIATE_EXIT.set(&raw mut run.immediate_exit);
        Self(())
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        IMMEDIATE_EXIT.set(ptr::null_mut());
    }
}

extern "C" fn on_tick(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    let flag = IMMEDIATE_EXIT.get();
    if !flag.is_null() {
        // SAFETY: the pointer was set by `Interruptible::new` on this thread and is cleared before
        // the vCPU's mapping can go away, as the `Interruptible` lives shorter than the run.
        // The kernel reads the byte concurrently, hence volatile.
        unsafe { flag.write_volatile(1) };
    }
}

/// Measures whether the guest gets on.
#[derive(Debug)]
pub(super) struct Watchdog {
    limit: Duration,
    timer: Option<Timer>,
    /// Since when `progress` has not changed, as far as the ticks have seen.
    stale: Option<(Instant, u64)>,
}

impl Watchdog {
    /// A watchdog that barks after `limit` without progress; zero means never.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            timer: None,
            stale: None,
        }
    }

    /// Starts the measurement anew: the guest is about to be entered from a stop.
    pub(super) fn start(&mut self) -> Result<(), HostError> {
        self.stale = None;
        if self.limit.is_zero() {
            return Ok(());
        }
        // SAFETY: gettid has no preconditions.
        let thread = unsafe { libc::gettid() };
        if self
            .timer
            .as_ref()
            .is_none_or(|timer| timer.thread != thread)
        {
            // The old timer, of another thread, goes first.
            self.timer = None;
            self.timer = Some(Timer::new(thread, self.limit / TICKS_PER_LIMIT)?);
        }
        Ok(())
    }

    /// Lets the signal be sent by others as well.
    pub(super) fn prepare_signal(&self) -> Result<(), HostError> {
        install_handler(SIGRTMIN()).map_err(HostError::kvm("install the watchdog's signal"))
    }

    /// Called when KVM_RUN was interrupted. `progress` is a number that changes when the guest
    /// gets on. True once it has not changed for the time limit.
    pub(super) fn tick(&mut self, progress: u64) -> bool {
        self.tick_at(Instant::now(), progress)
    }

    fn tick_at(&mut self, now: Instant, progress: u64) -> bool {
        match self.stale {
            Some((since, then)) if then == progress => {
                !self.limit.is_zero() && now.saturating_duration_since(since) >= self.limit
            }
            _ => {
                self.stale = Some((now, progress));
                false
            }
        }
    }

    pub(super) fn limit(&self) -> Duration {
        self.limit
    }
}

/// A periodic timer that signals one thread.
#[derive(Debug)]
struct Timer {
    id: libc::timer_t,
    thread: libc::pid_t,
}

// SAFETY: a timer id is a number to the kernel, valid in the whole process.
unsafe impl Send for Timer {}

impl Timer {
    fn new(thread: libc::pid_t, interval: Duration) -> Result<Self, HostError> {
        let signal = SIGRTMIN();
        install_handler(signal).map_err(HostError::kvm("install the watchdog's signal"))?;
        let step = "create the watchdog's timer";
        // SAFETY: all zeros is a valid sigevent; the fields that count are set below.
        let mut event: libc::sigevent = unsafe { mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = signal;
        event.sigev_notify_thread_id = thread;
        let mut id = ptr::null_mut();
        // SAFETY: both pointers are valid for the call; the event names a thread of this process.
        if unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut id) } != 0 {
            return Err(HostError::kvm(step)(errno::Error::last()));
        }
        let timer = Self { id, thread };
        let interval = interval.max(Duration::from_micros(100));
        let period = libc::timespec {
            tv_sec: libc::time_t::try_from(interval.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: interval.subsec_nanos().into(),
        };
        let setting = libc::itimerspec {
            it_interval: period,
            it_value: period,
        };
        // SAFETY: the id is that of the timer just created, and the setting is read only.
        if unsafe { libc::timer_settime(id, 0, &setting, ptr::null_mut()) } != 0 {
            return Err(HostError::kvm(step)(errno::Error::last()));
        }
        Ok(timer)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: the id is that of a timer that only this value deletes. A signal that is still
        // on its way finds either no running vCPU or one of its own thread.
        unsafe { libc::timer_delete(self.id) };
    }
}

fn install_handler(signal: c_int) -> Result<(), errno::Error> {
    static INSTALLED: OnceLock<Result<(), errno::Error>> = OnceLock::new();
    *INSTALLED.get_or_init(|| register_signal_handler(signal, on_tick))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn barks_only_after_the_limit_without_progress() {
        let limit = Duration::from_secs(4);
        let mut watchdog = Watchdog::new(limit);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!watchdog.tick_at(at(0), 7));
        assert!(!watchdog.tick_at(at(3), 7));
        assert!(!watchdog.tick_at(at(5), 8), "progress starts the time anew");
        assert!(!watchdog.tick_at(at(8), 8));
        assert!(watchdog.tick_at(at(9), 8));
    }

    #[test]
    fn a_limit_of_zero_never_barks() {
        let mut watchdog = Watchdog::new(Duration::ZERO);
        let start = Instant::now();
        assert!(!watchdog.tick_at(start, 1));
        assert!(!watchdog.tick_at(start + Duration::from_secs(1 << 20), 1));
    }

    #[test]
    fn the_timer_sets_immediate_exit() {
        let mut run = kvm_run::default();
        let mut watchdog = Watchdog::new(Duration::from_millis(4));
        let guard = Interruptible::new(&mut run);
        watchdog.start().unwrap();
        let flag = &raw const run.immediate_exit;
        // SAFETY: `run` lives; the signal handler writes the byte on this same thread.
        while unsafe { flag.read_volatile() } == 0 {
            std::thread::yield_now();
        }
        drop(guard);
    }
}
