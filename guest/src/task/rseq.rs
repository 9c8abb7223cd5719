//! Restartable sequences (Linux kernel/rseq.c, include/uapi/linux/rseq.h). A program names code that must not be
//! interrupted half-way; who is interrupted in it goes on where that code says.

use super::{Space, Task};
use crate::{
    arch::user::TASK_SIZE,
    signal::{self, Info},
    syscall::user,
};
use linux_raw_sys::general::SIGSEGV;
use pagelab_abi::errno::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Bytes of `struct rseq` as it was at first, and its alignment.
const ORIGINAL: u32 = 32;

/// The least that a longer one has (`offsetofend(struct rseq, mm_cid)`).
const USED: u32 = 28;

/// Bytes before the field that leads to the code.
const RSEQ_CS: u64 = 8;

/// Bytes before the first field of the second half: the node.
const NODE_ID: u64 = 20;

/// `RSEQ_CPU_ID_UNINITIALIZED`.
const NO_CPU: u32 = u32::MAX;

/// `RSEQ_FLAG_UNREGISTER`.
const UNREGISTER: u32 = 1;

/// What a program has registered; none if the address is 0.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rseq {
    address: u64,
    len: u32,
    /// What stands before the code that goes on.
    signature: u32,
}

/// `struct rseq_cs`: code that must not be interrupted half-way.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Section {
    version: u32,
    flags: u32,
    start: u64,
    /// Bytes of it.
    len: u64,
    /// Where who is interrupted in it goes on.
    abort: u64,
}

impl Task {
    /// Registers or unregisters.
    ///
    /// # Errors
    /// EINVAL, EPERM for another signature, EBUSY if it is registered, EFAULT.
    pub(crate) fn rseq(
        &mut self,
        address: u64,
        len: u32,
        flags: u32,
        signature: u32,
    ) -> Result<(), Errno> {
        let wanted = Rseq {
            address,
            len,
            signature,
        };
        let is_same = self.rseq.address == address && self.rseq.len == len;
        if flags & UNREGISTER != 0 {
            if flags != UNREGISTER || !is_same || address == 0 {
                return Err(Errno::EINVAL);
            }
            if self.rseq.signature != signature {
                return Err(Errno::EPERM);
            }
            write_ids(user::space(self)?, address, NO_CPU)?;
            self.rseq = Rseq::default();
            return Ok(());
        }
        if flags != 0 {
            return Err(Errno::EINVAL);
        }
        if self.rseq.address != 0 {
            return Err(match self.rseq.signature == signature {
                _ if !is_same => Errno::EINVAL,
                false => Errno::EPERM,
                true => Errno::EBUSY,
            });
        }
        let is_short = len < ORIGINAL || len != ORIGINAL && len < USED;
        if is_short || !address.is_multiple_of(ORIGINAL.into()) {
            return Err(Errno::EINVAL);
        }
        if address >= TASK_SIZE - u64::from(len) {
            return Err(Errno::EFAULT);
        }
        let space = user::space(self)?;
        user::store(space, address + RSEQ_CS, &0_u64)?;
        // There is one CPU, which a task can be told of once and for all.
        write_ids(space, address, 0)?;
        self.rseq = wanted;
        Ok(())
    }

    /// A new program, or a child in its parent's memory, has registered nothing.
    pub(crate) fn forget_rseq(&mut self) {
        self.rseq = Rseq::default();
    }

    /// It is interrupted, by a signal or as it is another's turn: if that is in code that must not be, it
    /// goes on where that says.
    #[inline]
    pub(crate) fn interrupt_rseq(&mut self) {
        if self.rseq.address != 0 && self.abort_section().is_err() {
            signal::force(self, &Info::kernel(SIGSEGV));
        }
    }

    fn abort_section(&mut self) -> Result<(), Errno> {
        let Rseq {
            address, signature, ..
        } = self.rseq;
        let rip = self.context.regs.rip;
        let space = user::space(self)?;
        let at: u64 = user::load(space, address + RSEQ_CS)?;
        if at == 0 {
            return Ok(());
        }
        let section: Section = load_section(space, at, signature)?;
        user::store(space, address + RSEQ_CS, &0_u64)?;
        if rip.wrapping_sub(section.start) < section.len {
            self.context.regs.rip = section.abort;
        }
        Ok(())
    }
}

/// Loads a section, and checks it.
fn load_section(space: &mut Space, at: u64, signature: u32) -> Result<Section, Errno> {
    if at >= TASK_SIZE {
        return Err(Errno::EINVAL);
    }
    let section: Section = user::load(space, at)?;
    let end = section.start.checked_add(section.len);
    let end = end.filter(|end| *end < TASK_SIZE && section.abort < TASK_SIZE);
    let leaves = section.abort.wrapping_sub(section.start) >= section.len;
    if end.is_none() || !leaves || section.version != 0 || section.flags != 0 {
        return Err(Errno::EINVAL);
    }
    let before: u32 = user::load(space, section.abort.wrapping_sub(4))?;
    if before == signature {
        Ok(section)
    } else {
        Err(Errno::EINVAL)
    }
}

/// Tells the program its CPU (twice), node and place among those that share its memory.
fn write_ids(space: &mut Space, address: u64, cpu: u32) -> Result<(), Errno> {
    user::store(space, address, &[0, cpu])?;
    user::store(space, address + NODE_ID, &[0_u32; 2])
}
