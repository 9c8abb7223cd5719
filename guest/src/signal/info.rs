//! What a handler is told.

use super::frame::SigInfo;
use crate::task::Pid;
use linux_raw_sys::general as linux;
use pagelab_abi::PAGE_SHIFT;

/// Codes of signals that were sent (Linux include/uapi/asm-generic/siginfo.h).
pub(super) const SI_USER: i32 = 0;
pub(super) const SI_KERNEL: i32 = 0x80;
pub(super) const SI_TKILL: i32 = -6;

/// What came with a signal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Info {
    pub(crate) signal: u32,
    code: i32,
    /// What the rest of `siginfo_t` says.
    detail: Detail,
    /// An exception raised it.
    is_trap: bool,
}

#[derive(Clone, Copy, Debug)]
enum Detail {
    None,
    /// The sender: its number and real user.
    Sender(u32, u32),
    /// The address.
    Fault(u64),
    /// The address of a page that was lost with its memory.
    HwPoison(u64),
    /// A child: its number and real user, and si_status.
    Child(u32, u32, u32),
}

/// The last exception of a process: what the frame of any handler says of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LastTrap {
    pub(crate) number: u64,
    pub(crate) error: u64,
    /// Address of the last page fault.
    pub(crate) address: u64,
}

impl LastTrap {
    /// None yet.
    pub(super) const NONE: Self = Self {
        number: 0,
        error: 0,
        address: 0,
    };
}

impl Info {
    pub(super) const NONE: Self = Self {
        signal: 0,
        code: 0,
        detail: Detail::None,
        is_trap: false,
    };

    /// An instruction raised it: si_code, and si_addr.
    pub(crate) fn fault(signal: u32, code: i32, address: u64) -> Self {
        Self {
            signal,
            code,
            detail: Detail::Fault(address),
            is_trap: false,
        }
    }

    /// An access to a page that was lost with its memory: si_code, and si_addr.
    pub(crate) fn hwpoison(signal: u32, code: i32, address: u64) -> Self {
        Self {
            detail: Detail::HwPoison(address),
            ..Self::fault(signal, code, address)
        }
    }

    /// The kernel raised it.
    pub(crate) fn kernel(signal: u32) -> Self {
        Self {
            code: SI_KERNEL,
            signal,
            ..Self::NONE
        }
    }

    /// A process sent it, by kill.
    pub(crate) fn user(signal: u32, sender: Pid, uid: u32) -> Self {
        Self {
            signal,
            code: SI_USER,
            detail: Detail::Sender(sender.0, uid),
            is_trap: false,
        }
    }

    /// A process sent it, by tkill or tgkill.
    pub(crate) fn thread(signal: u32, sender: Pid, uid: u32) -> Self {
        Self {
            code: SI_TKILL,
            ..Self::user(signal, sender, uid)
        }
    }

    /// A child's state has changed: its wait status.
    pub(super) fn child(child: Pid, uid: u32, wait_status: u32) -> Self {
        let (code, status) = child_code(wait_status);
        Self {
            signal: linux::SIGCHLD,
            code,
            detail: Detail::Child(child.0, uid, status),
            is_trap: false,
        }
    }

    /// The same, raised by an exception.
    pub(super) fn of_trap(self) -> Self {
        Self {
            is_trap: true,
            ..self
        }
    }

    /// Whether an exception raised it.
    pub(super) fn is_trap(&self) -> bool {
        self.is_trap
    }

    /// As a program reads it.
    pub(crate) fn to_siginfo(self) -> SigInfo {
        let mut info = SigInfo::new(self.signal as i32, self.code);
        match self.detail {
            Detail::None => {}
            Detail::Sender(pid, uid) => {
                info.set_word(0, pid);
                info.set_word(1, uid);
            }
            Detail::Fault(address) => info.set_long(0, address),
            Detail::HwPoison(address) => {
                info.set_long(0, address);
                // si_addr_lsb.
                info.set_word(2, PAGE_SHIFT);
            }
            Detail::Child(pid, uid, status) => {
                info.set_word(0, pid);
                info.set_word(1, uid);
                info.set_word(2, status);
            }
        }
        info
    }
}

/// si_code and si_status of a child's wait status.
pub(crate) fn child_code(status: u32) -> (i32, u32) {
    let signal = status & 0x7f;
    match signal {
        _ if status == 0xffff => (linux::CLD_CONTINUED as i32, linux::SIGCONT),
        0 => (linux::CLD_EXITED as i32, status >> 8 & 0xff),
        0x7f => (linux::CLD_STOPPED as i32, status >> 8 & 0xff),
        _ => (linux::CLD_KILLED as i32, signal),
    }
}
