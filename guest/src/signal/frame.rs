//! What a handler finds on its stack: Linux's `struct rt_sigframe` on x86-64, and the way back.

use super::{AltStack, Info, LastTrap, SigSet, Signals, action::Action};
use crate::{
    arch::{
        trap::TrapFrame,
        user::{FxState, TASK_SIZE, USER_CS, USER_DS, UserContext},
    },
    task::Task,
};
use linux_raw_sys::general as linux;
use pagelab_abi::errno::Errno;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// `siginfo_t`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct SigInfo {
    signo: i32,
    errno: i32,
    code: i32,
    pad: i32,
    fields: [u32; 28],
}

impl SigInfo {
    pub(super) fn new(signo: i32, code: i32) -> Self {
        Self {
            signo,
            code,
            ..Self::new_zeroed()
        }
    }

    /// Sets a word behind the header.
    pub(super) fn set_word(&mut self, at: usize, value: u32) {
        self.fields[at] = value;
    }

    /// Sets two.
    pub(super) fn set_long(&mut self, at: usize, value: u64) {
        self.fields[at] = value as u32;
        self.fields[at + 1] = (value >> 32) as u32;
    }
}

/// `stack_t`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct StackT {
    pub(crate) sp: u64,
    pub(crate) flags: u32,
    pub(crate) pad: u32,
    pub(crate) size: u64,
}

/// `struct sigcontext`, Linux arch/x86/include/uapi/asm/sigcontext.h.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct SigContext {
    r8: u64,
    r9: u64,
    r10: u64,
    r11: u64,
    r12: u64,
    r13: u64,
    r14: u64,
    r15: u64,
    di: u64,
    si: u64,
    bp: u64,
    bx: u64,
    dx: u64,
    ax: u64,
    cx: u64,
    sp: u64,
    ip: u64,
    flags: u64,
    cs: u16,
    gs: u16,
    fs: u16,
    ss: u16,
    err: u64,
    trapno: u64,
    oldmask: u64,
    cr2: u64,
    fpstate: u64,
    reserved: [u64; 8],
}

/// `struct rt_sigframe`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct RtSigFrame {
    pretcode: u64,
    uc_flags: u64,
    uc_link: u64,
    stack: StackT,
    context: SigContext,
    mask: u64,
    info: SigInfo,
}

const _: () = assert!(size_of::<SigContext>() == 256);
const _: () = assert!(size_of::<SigInfo>() == 128);
const _: () = assert!(size_of::<RtSigFrame>() == 440);

/// Bits of `uc_flags` (Linux arch/x86/include/uapi/asm/ucontext.h): SS is saved, and is restored as
/// it is.
const UC_SIGCONTEXT_SS: u64 = 2;
const UC_STRICT_RESTORE_SS: u64 = 4;

/// Bytes below the stack pointer that belong to the function in progress (System V ABI, 3.2.2).
const RED_ZONE: u64 = 128;

/// The stack of a new frame cannot be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct BadStack;

/// Puts a frame on the handler's stack and goes to the handler. The task's registers are in its
/// context and its FPU's in the CPU.
pub(super) fn push(
    task: &mut Task,
    handler: u64,
    action: &Action,
    info: Info,
) -> Result<(), BadStack> {
    if !action.has(linux::SA_RESTORER) || handler >= TASK_SIZE {
        return Err(BadStack);
    }
    let signals = &mut task.signals;
    let regs = &task.context.regs;
    let alt = signals.alt_stack;
    let on_alt = alt.contains(regs.rsp);
    let mut sp = regs.rsp.wrapping_sub(RED_ZONE);
    let switches = action.has(linux::SA_ONSTACK) && alt.size != 0 && !on_alt;
    if switches {
        sp = alt.base.wrapping_add(alt.size);
    }
    let fpstate = sp.wrapping_sub(FxState::SIZE as u64) & !63;
    let at = (fpstate.wrapping_sub(size_of::<RtSigFrame>() as u64) & !15).wrapping_sub(8);
    let overflows = (on_alt || switches) && alt.size != 0 && !alt.contains(at);
    if overflows || at >= TASK_SIZE {
        return Err(BadStack);
    }
    let mask = signals.saved_mask.unwrap_or(signals.blocked);
    let frame = RtSigFrame {
        pretcode: action.restorer(),
        uc_flags: UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
        uc_link: 0,
        stack: stack_of(&alt, regs.rsp),
        context: context_of(regs, &signals.last_trap, mask, fpstate),
        mask: mask.0,
        info: info.to_siginfo(),
    };
    task.context.fpu.save();
    let Some(space) = &mut task.space else {
        return Err(BadStack);
    };
    let fpu = task.context.fpu.bytes();
    space.write(fpstate, fpu).map_err(|_| BadStack)?;
    space.write(at, frame.as_bytes()).map_err(|_| BadStack)?;
    if alt.flags & linux::SS_AUTODISARM != 0 {
        task.signals.forget_stack();
    }
    let signal = info.signal;
    enter(&mut task.context, handler, at, signal);
    Ok(())
}

/// Sets the registers of a handler.
fn enter(context: &mut UserContext, handler: u64, frame: u64, signal: u32) {
    const DIRECTION: u64 = 1 << 10;
    const RESUME: u64 = 1 << 16;
    const TRAP: u64 = 1 << 8;
    let regs = &mut context.regs;
    regs.rip = handler;
    regs.rsp = frame;
    regs.rdi = signal.into();
    regs.rsi = frame + core::mem::offset_of!(RtSigFrame, info) as u64;
    regs.rdx = frame + core::mem::offset_of!(RtSigFrame, uc_flags) as u64;
    regs.rax = 0;
    regs.rflags &= !(DIRECTION | RESUME | TRAP);
    context.fpu = FxState::INITIAL;
    context.fpu.restore();
}

/// `stack_t` of a process whose stack pointer is `sp`.
pub(crate) fn stack_of(alt: &AltStack, sp: u64) -> StackT {
    let state = if alt.size == 0 {
        linux::SS_DISABLE
    } else if alt.flags & linux::SS_AUTODISARM == 0 && alt.contains(sp) {
        linux::SS_ONSTACK
    } else {
        0
    };
    StackT {
        sp: alt.base,
        flags: state | alt.flags,
        pad: 0,
        size: alt.size,
    }
}

fn context_of(regs: &TrapFrame, trap: &LastTrap, mask: SigSet, fpstate: u64) -> SigContext {
    SigContext {
        r8: regs.r8,
        r9: regs.r9,
        r10: regs.r10,
        r11: regs.r11,
        r12: regs.r12,
        r13: regs.r13,
        r14: regs.r14,
        r15: regs.r15,
        di: regs.rdi,
        si: regs.rsi,
        bp: regs.rbp,
        bx: regs.rbx,
        dx: regs.rdx,
        ax: regs.rax,
        cx: regs.rcx,
        sp: regs.rsp,
        ip: regs.rip,
        flags: regs.rflags,
        cs: USER_CS as u16,
        gs: 0,
        fs: 0,
        ss: USER_DS as u16,
        err: trap.error,
        trapno: trap.number,
        oldmask: mask.0,
        cr2: trap.address,
        fpstate,
        reserved: [0; 8],
    }
}

/// Restores what [`push`] saved.
///
/// # Errors
/// EFAULT if the frame cannot be read, or leads to no program address.
pub(crate) fn sigreturn(task: &mut Task) -> Result<(), Errno> {
    let at = task.context.regs.rsp.wrapping_sub(8);
    let space = task.space.as_mut().ok_or(Errno::EFAULT)?;
    let mut frame = RtSigFrame::new_zeroed();
    space
        .read(at, frame.as_mut_bytes())
        .map_err(|_| Errno::EFAULT)?;
    let saved = &frame.context;
    if saved.ip >= TASK_SIZE {
        return Err(Errno::EFAULT);
    }
    let fpu = if saved.fpstate == 0 {
        FxState::INITIAL
    } else {
        let mut bytes = [0; FxState::SIZE];
        let read = space.read(saved.fpstate, &mut bytes);
        read.map_err(|_| Errno::EFAULT)?;
        FxState::from_user(bytes)
    };
    restore(&mut task.context, saved);
    task.context.fpu = fpu;
    task.context.fpu.restore();
    task.signals.set_blocked(SigSet(frame.mask));
    // As Linux: a stack that cannot be set is left as it is.
    let sp = task.context.regs.rsp;
    let _ = task.signals.set_alt_stack(&frame.stack, sp);
    Ok(())
}

fn restore(context: &mut UserContext, saved: &SigContext) {
    let regs = &mut context.regs;
    regs.r8 = saved.r8;
    regs.r9 = saved.r9;
    regs.r10 = saved.r10;
    regs.r11 = saved.r11;
    regs.r12 = saved.r12;
    regs.r13 = saved.r13;
    regs.r14 = saved.r14;
    regs.r15 = saved.r15;
    regs.rdi = saved.di;
    regs.rsi = saved.si;
    regs.rbp = saved.bp;
    regs.rbx = saved.bx;
    regs.rdx = saved.dx;
    regs.rax = saved.ax;
    regs.rcx = saved.cx;
    regs.rsp = saved.sp;
    regs.rip = saved.ip;
    context.set_rflags(saved.flags);
}

impl Signals {
    /// Sets the stack for handlers (sigaltstack), for a process whose stack pointer is `sp`.
    ///
    /// # Errors
    /// EPERM while a handler runs on it; EINVAL for unknown flags; ENOMEM if it is too small.
    pub(crate) fn set_alt_stack(&mut self, stack: &StackT, sp: u64) -> Result<(), Errno> {
        const MINSIGSTKSZ: u64 = 2048;
        let old = self.alt_stack;
        if old.flags & linux::SS_AUTODISARM == 0 && old.size != 0 && old.contains(sp) {
            return Err(Errno::EPERM);
        }
        let flags = stack.flags & linux::SS_AUTODISARM;
        match stack.flags & !linux::SS_AUTODISARM {
            linux::SS_DISABLE => {
                self.forget_stack();
                Ok(())
            }
            0 | linux::SS_ONSTACK if stack.size < MINSIGSTKSZ => Err(Errno::ENOMEM),
            0 | linux::SS_ONSTACK => {
                self.alt_stack = AltStack {
                    base: stack.sp,
                    size: stack.size,
                    flags,
                };
                Ok(())
            }
            _ => Err(Errno::EINVAL),
        }
    }
}
