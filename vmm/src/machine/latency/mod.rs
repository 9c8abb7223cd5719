//! Memory that the host is slow to supply: pages are taken out of the guest's memory, and come back when they
//! are touched, each after a delay, through userfaultfd (Linux Documentation/admin-guide/mm/userfaultfd.rst).
//!
//! One thread serves the faults, another one waits for it. If the server dies, the one that waits says so
//! ([`Latency::has_died`]), interrupts the vCPU's thread, and only then supplies all that is missing: so nobody
//! waits for ever, the guest does not go on, and no page is ever anything but what it was.
//!
//! * [`ioctl`]: the kernel's interface. `server`: the threads.

mod ioctl;
mod server;

pub use server::Handler;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use pagelab_abi::PAGE_SHIFT;
use thiserror::Error;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

use super::machine::Machine;
use super::memory;
use super::snapshot::PAGE;
use ioctl::Userfaultfd;
use server::{Counts, Server};

/// How slow memory is, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencyConfig {
    /// Delay of each page that is slow.
    pub delay: Duration,
    /// Each so many-th page is slow, at least 1.
    pub interval: u64,
    /// What the handler does.
    pub handler: Handler,
}

/// Why memory was not made slow.
#[derive(Debug, Error)]
pub enum LatencyError {
    /// This process may not handle page faults of KVM.
    #[error(
        "this process may not handle faults in guest memory ({0}): sysctl vm.unprivileged_userfaultfd=1, or \
         setfacl -m u:$USER:rw /dev/userfaultfd; see `pagelab doctor`"
    )]
    Permission(#[source] io::Error),
    /// It is slow already.
    #[error("guest memory is slow already; give host_latency once")]
    Twice,
    /// The kernel refused something.
    #[error("guest memory cannot be supplied page by page: {0}; see `pagelab doctor`")]
    Kernel(#[source] io::Error),
}

/// Guest memory that is supplied page by page.
pub(super) struct Latency {
    server: Option<Server>,
    counts: Arc<Counts>,
}

/// The pages of a region, as they are to be supplied.
pub(super) struct Absent {
    /// Address in this process of the region's first byte.
    pub(super) base: u64,
    /// Its bytes.
    pub(super) len: u64,
    /// Pages that are not zero, by their number in the region.
    pub(super) pages: BTreeMap<u64, Box<[u8; PAGE]>>,
}

impl Absent {
    /// Copies all pages that are not zero.
    fn of(region: &memory::Region) -> Self {
        let pages = region.len() >> PAGE_SHIFT;
        let mut absent = Self {
            base: region.as_ptr() as u64,
            len: region.len(),
            pages: BTreeMap::new(),
        };
        for page in 0..pages {
            // SAFETY: the page is inside the region, which is mapped and readable; the vCPU and the devices
            // stand still, so nobody stores to it meanwhile.
            let bytes = unsafe {
                region
                    .as_ptr()
                    .add(page as usize * PAGE)
                    .cast::<[u8; PAGE]>()
                    .read()
            };
            if bytes.iter().any(|byte| *byte != 0) {
                absent.pages.insert(page, Box::new(bytes));
            }
        }
        absent
    }
}

impl Latency {
    /// Pages that were supplied so far, and those of them that were slow.
    pub(super) fn supplied(&self) -> (u64, u64) {
        self.counts.supplied()
    }

    /// Whether the handler has died.
    pub(super) fn has_died(&self) -> bool {
        self.counts.has_died()
    }

    /// Supplies all that is missing, and ends the threads.
    fn end(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

impl Drop for Latency {
    fn drop(&mut self) {
        self.end();
    }
}

impl Machine {
    /// Takes all of the guest's memory away, to be supplied page by page from now on.
    ///
    /// # Errors
    /// [`LatencyError`]; then memory is as it was.
    pub fn make_memory_slow(&mut self, config: LatencyConfig) -> Result<(), LatencyError> {
        if self.latency.is_some() {
            return Err(LatencyError::Twice);
        }
        let uffd = Userfaultfd::open()?;
        self.watchdog
            .prepare_signal()
            .map_err(|error| LatencyError::Kernel(io::Error::other(error)))?;
        let regions: Vec<Absent> = self.memory().iter().map(Absent::of).collect();
        for region in self.memory().iter() {
            memory::map_nothing_over(region).map_err(LatencyError::Kernel)?;
        }
        let counts = Arc::new(Counts::default());
        let server = Server::start(uffd, regions, config, counts.clone())?;
        self.latency = Some(Latency {
            server: Some(server),
            counts,
        });
        Ok(())
    }

    /// Supplies all that is still missing of slow memory, which is ordinary memory afterwards.
    pub fn end_slow_memory(&mut self) {
        if let Some(latency) = &mut self.latency {
            latency.end();
        }
    }

    /// Pages of slow memory that were supplied, and those of them that were slow; none if memory was not made
    /// slow.
    pub fn supplied_pages(&self) -> Option<(u64, u64)> {
        self.latency.as_ref().map(Latency::supplied)
    }
}
