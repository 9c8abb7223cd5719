//! What a machine is made of.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use super::disk::DiskSource;
use super::initramfs::{INITRAMFS_LIMIT, Initramfs};
use super::kernel::Kernel;
use crate::devices::serial::ProgramOutput;

/// What a machine is made of.
pub struct MachineConfig {
    /// Bytes of RAM: a page multiple from [`super::MIN_MEMORY`] to [`super::MAX_MEMORY`].
    pub memory: u64,
    /// The kernel.
    pub kernel: Kernel,
    /// Initial ramfs, handed to the kernel as its first module.
    pub initramfs: Option<Initramfs>,
    /// Where it ends at the latest: the end of the kernel's direct map.
    pub initramfs_limit: u64,
    /// Command line. The machine adds what announces its own devices.
    pub cmdline: String,
    /// How long the guest may go without a memory event and without ringing the doorbell before
    /// the run ends as hung; zero means for ever.
    pub watchdog: Duration,
    /// How long after its first [`super::Machine::run`] the machine may go on in all, whatever the
    /// guest does; none means for ever. Looked at on each run and each quarter of `watchdog`.
    pub time_limit: Option<Duration>,
    /// Whether there is a virtio-balloon.
    pub balloon: bool,
    /// A disk for the guest to swap to; none for no swap.
    pub swap: Option<DiskSource>,
    /// A disk with files for the guest, or a directory to make one of; none for no disk.
    pub disk: Option<DiskSource>,
    /// Gets the serial console's output as well, line by line.
    pub console: Option<Box<dyn Write + Send>>,
    /// Whether RDTSC of programs is to reach the guest's kernel even where KVM runs ring 3 on the
    /// host's own CR4, which costs two system calls an exit.
    pub denies_tsc: bool,
    /// Where a program's standard output and standard error go; none if no program is run.
    pub program: Option<[ProgramOutput; 2]>,
}

impl MachineConfig {
    /// A machine with 1 GiB, a balloon, a watchdog of 10 s and a time limit of one hour.
    pub fn new(kernel: Kernel) -> Self {
        Self {
            memory: 1 << 30,
            kernel,
            initramfs: None,
            initramfs_limit: INITRAMFS_LIMIT,
            cmdline: String::new(),
            watchdog: Duration::from_secs(10),
            time_limit: Some(Duration::from_secs(3600)),
            balloon: true,
            swap: None,
            disk: None,
            console: None,
            denies_tsc: false,
            program: None,
        }
    }
}

impl fmt::Debug for MachineConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MachineConfig")
            .field("memory", &self.memory)
            .field("kernel", &self.kernel)
            .field("initramfs", &self.initramfs)
            .field("cmdline", &self.cmdline)
            .field("watchdog", &self.watchdog)
            .field("time_limit", &self.time_limit)
            .field("balloon", &self.balloon)
            .field("swap", &self.swap)
            .field("disk", &self.disk)
            .finish_non_exhaustive()
    }
}
