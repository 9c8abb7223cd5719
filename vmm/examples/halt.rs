//! The peer of the cold-start benchmark: creates a VM of 1 GiB whose CPU halts at once.
//!
//! It does what any VMM must do and nothing else, so `pagelab run --workload none` is measured
//! against it as a whole process (`scripts/bench-cold-start`).

use kvm_ioctls::{Kvm, VcpuExit};
use std::{error::Error, ptr};

const MEMORY: usize = 1 << 30;
const HLT: u8 = 0xf4;

fn main() -> Result<(), Box<dyn Error>> {
    let kvm = Kvm::new()?;
    let vm = kvm.create_vm()?;
    // SAFETY: a new anonymous mapping, which nothing else knows of; the result is checked.
    let memory = unsafe {
        libc::mmap(
            ptr::null_mut(),
            MEMORY,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if memory == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: the first byte of a mapping of MEMORY bytes that is not shared with anyone yet.
    unsafe { memory.cast::<u8>().write(HLT) };
    let region = kvm_bindings::kvm_userspace_memory_region {
        slot: 0,
        guest_phys_addr: 0,
        memory_size: MEMORY as u64,
        userspace_addr: memory as u64,
        flags: 0,
    };
    // SAFETY: the region is the mapping made above, which lives until the process ends.
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
    match vcpu.run()? {
        VcpuExit::Hlt => Ok(()),
        other => Err(format!("the CPU did not halt: {other:?}").into()),
    }
}
