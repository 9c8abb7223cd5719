//! The threads that supply pages.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};
use vmm_sys_util::signal::SIGRTMIN;

use super::ioctl::Userfaultfd;
use super::{Absent, LatencyConfig, LatencyError};
use crate::machine::snapshot::PAGE;

/// What becomes of the thread that serves faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    /// It serves all.
    Lives,
    /// It dies at the fault of this number, counted from 1, which it does not serve.
    Dies(u64),
}

/// What the threads tell.
#[derive(Debug, Default)]
pub(super) struct Counts {
    supplied: AtomicU64,
    slow: AtomicU64,
    died: AtomicBool,
}

impl Counts {
    pub(super) fn supplied(&self) -> (u64, u64) {
        (self.supplied.load(SeqCst), self.slow.load(SeqCst))
    }

    pub(super) fn has_died(&self) -> bool {
        self.died.load(SeqCst)
    }
}

/// The thread that waits for the one that serves.
pub(super) struct Server {
    stop: EventFd,
    supervisor: JoinHandle<()>,
}

/// The thread that serves: what it has, and gives back when it ends, or dies.
struct Work {
    uffd: Userfaultfd,
    regions: Vec<Absent>,
    config: LatencyConfig,
    counts: Arc<Counts>,
    stop: EventFd,
    /// Pages of each region that were supplied once.
    given: Mutex<Vec<BTreeSet<u64>>>,
}

/// How serving ended.
#[derive(PartialEq, Eq)]
enum End {
    Stopped,
    Died,
}

impl Server {
    /// Registers the regions and serves their faults. The calling thread is the vCPU's.
    pub(super) fn start(
        uffd: Userfaultfd,
        regions: Vec<Absent>,
        config: LatencyConfig,
        counts: Arc<Counts>,
    ) -> Result<Self, LatencyError> {
        let stop = EventFd::new(EFD_NONBLOCK).map_err(LatencyError::Kernel)?;
        let work = Arc::new(Work {
            given: Mutex::new(regions.iter().map(|_| BTreeSet::new()).collect()),
            uffd,
            regions,
            config,
            counts,
            stop: stop.try_clone().map_err(LatencyError::Kernel)?,
        });
        // SAFETY: gettid has no preconditions.
        let vcpu_thread = unsafe { libc::gettid() };
        for region in &work.regions {
            if let Err(error) = work.uffd.register(region.base, region.len) {
                work.supply_all();
                return Err(LatencyError::Kernel(error));
            }
        }
        let supervised = work.clone();
        let supervisor = thread::Builder::new()
            .name("memory".to_owned())
            .spawn(move || supervise(&supervised, vcpu_thread))
            .map_err(|error| {
                work.supply_all();
                LatencyError::Kernel(error)
            })?;
        Ok(Self { stop, supervisor })
    }

    /// Supplies all that is missing, and waits for the threads.
    pub(super) fn stop(self) {
        // It can only fail when the count is full, and then the thread has been told.
        let _ = self.stop.write(1);
        let _ = self.supervisor.join();
    }
}

/// Waits for the thread that serves. If that dies, nobody but this thread knows: it says so, and gets the vCPU
/// out of the guest before it supplies what the vCPU may be waiting for.
fn supervise(work: &Work, vcpu_thread: libc::pid_t) {
    let ended = thread::scope(|scope| scope.spawn(|| work.serve()).join());
    if !matches!(ended, Ok(End::Stopped)) {
        work.counts.died.store(true, SeqCst);
        // SAFETY: signals a thread of this process, whose handler for this signal is installed.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), vcpu_thread, SIGRTMIN()) };
    }
    work.supply_all();
}

impl Work {
    fn serve(&self) -> End {
        let mut number = 0;
        loop {
            while let Some(address) = self.uffd.next_fault() {
                number += 1;
                if self.config.handler == Handler::Dies(number) {
                    return End::Died;
                }
                if number % self.config.interval.max(1) == 0 {
                    self.counts.slow.fetch_add(1, SeqCst);
                    thread::sleep(self.config.delay);
                }
                self.supply(address);
                self.counts.supplied.fetch_add(1, SeqCst);
            }
            if self.wait().is_err() || self.stop.read().is_ok() {
                return End::Stopped;
            }
        }
    }

    /// Waits for a fault, or to be stopped.
    fn wait(&self) -> io::Result<()> {
        let mut fds =
            [self.uffd.raw(), std::os::fd::AsRawFd::as_raw_fd(&self.stop)].map(|fd| libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            });
        loop {
            // SAFETY: the array has as many entries as are named.
            if unsafe { libc::poll(fds.as_mut_ptr(), 2, -1) } >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    fn supply(&self, address: u64) {
        let at = address & !(PAGE as u64 - 1);
        let found = self
            .regions
            .iter()
            .position(|it| (it.base..it.base + it.len).contains(&at));
        let Some(index) = found else { return };
        let region = &self.regions[index];
        let page = (at - region.base) / PAGE as u64;
        // What comes again was given up meanwhile, by the balloon for one.
        let is_first = self.given()[index].insert(page);
        let bytes = region.pages.get(&page).filter(|_| is_first);
        self.uffd.supply(at, bytes.map(|bytes| &**bytes));
    }

    fn given(&self) -> std::sync::MutexGuard<'_, Vec<BTreeSet<u64>>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Supplies all that is missing.
    fn supply_all(&self) {
        for (region, given) in self.regions.iter().zip(&*self.given()) {
            let left = region
                .pages
                .iter()
                .filter(|(page, _)| !given.contains(page));
            for (page, bytes) in left {
                self.uffd
                    .supply(region.base + page * PAGE as u64, Some(bytes));
            }
            self.uffd.unregister(region.base, region.len);
        }
    }
}
