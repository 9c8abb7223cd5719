//! Peers: what any program would have to do for the same end.

use super::super::output::Failure;
use kvm_ioctls::{Kvm, VcpuExit};
use std::{
    ptr::{self, NonNull},
    time::{Duration, Instant},
};

/// A private anonymous mapping, without commitment.
pub(super) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

impl Mapping {
    /// Maps `bytes`.
    pub(super) fn new(bytes: usize) -> Result<Self, Failure> {
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        match NonNull::new(start.cast::<u8>()) {
            Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => Ok(Self { start, bytes }),
            _ => Err(format!(
                "cannot map {bytes} bytes: {}",
                std::io::Error::last_os_error()
            )
            .into()),
        }
    }

    /// Writes one byte into every page.
    pub(super) fn touch(&mut self) {
        for offset in (0..self.bytes).step_by(4096) {
            // SAFETY: the offset is inside the mapping, which is writable and known to nobody else.
            unsafe { self.start.as_ptr().add(offset).write_volatile(1) };
        }
    }

    /// Copies all of another one of the same size.
    pub(super) fn copy_from(&mut self, other: &Self) {
        let bytes = self.bytes.min(other.bytes);
        // SAFETY: both are mappings of at least so many bytes, readable and writable, and apart.
        unsafe {
            self.start
                .as_ptr()
                .copy_from_nonoverlapping(other.start.as_ptr(), bytes)
        };
    }

    /// Gives all pages back to the system.
    pub(super) fn discard(&mut self) -> Result<(), Failure> {
        // SAFETY: the whole of a mapping that this value owns; its contents may be lost.
        let result =
            unsafe { libc::madvise(self.start.as_ptr().cast(), self.bytes, libc::MADV_DONTNEED) };
        if result == 0 {
            return Ok(());
        }
        Err(format!("cannot discard memory: {}", std::io::Error::last_os_error()).into())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, whose address was handed only to a VM that is gone.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// Creates a VM of `bytes` whose CPU halts at its first instruction.
pub(super) fn halt(bytes: usize) -> Result<Duration, Failure> {
    const HLT: u8 = 0xf4;
    let start = Instant::now();
    let memory = Mapping::new(bytes)?;
    // SAFETY: the first byte of a mapping that nobody else knows of.
    unsafe { memory.start.as_ptr().write(HLT) };
    let kvm = Kvm::new()?;
    let vm = kvm.create_vm()?;
    let region = kvm_bindings::kvm_userspace_memory_region {
        slot: 0,
        guest_phys_addr: 0,
        memory_size: bytes as u64,
        userspace_addr: memory.start.as_ptr() as u64,
        flags: 0,
    };
    // SAFETY: the region is `memory`, which is dropped after `vm` and its vCPU.
    unsafe { vm.set_user_memory_region(region)? };
    let mut vcpu = vm.create_vcpu(0)?;
    let mut sregs = vcpu.get_sregs()?;
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    vcpu.set_sregs(&sregs)?;
    let mut regs = vcpu.get_regs()?;
    regs.rip = 0;
    regs.rflags = 2;
    vcpu.set_regs(&regs)?;
    let exit = vcpu.run()?;
    let halted = matches!(exit, VcpuExit::Hlt);
    drop(vcpu);
    drop(vm);
    if !halted {
        return Err("the peer's CPU did not halt".into());
    }
    Ok(start.elapsed())
}
