//! The entry point of a program without a C library, and what the compiler takes for granted.

use crate::{out, sys};
use core::{arch::naked_asm, panic::PanicInfo};

/// Exit status of a program that panicked, as Rust's own programs have it.
const PANICKED: i32 = 101;

unsafe extern "Rust" {
    /// The program, from [`program!`](crate::program).
    safe fn pagelab_program() -> i32;
}

/// Where Linux enters the program: the stack pointer is a multiple of 16, and no function has
/// called (System V psABI AMD64, 3.4.1).
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    naked_asm!("xor ebp, ebp", "call {run}", "ud2", run = sym run)
}

extern "C" fn run() -> ! {
    sys::exit(pagelab_program())
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    out::error(format_args!("{info}"));
    sys::exit(PANICKED)
}

/// memcpy of C.
///
/// # Safety
/// As C's.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    naked_asm!("mov rax, rdi", "mov rcx, rdx", "rep movsb", "ret")
}

/// memset of C.
///
/// # Safety
/// As C's.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(at: *mut u8, byte: i32, len: usize) -> *mut u8 {
    naked_asm!(
        "mov r8, rdi",
        "mov eax, esi",
        "mov rcx, rdx",
        "rep stosb",
        "mov rax, r8",
        "ret"
    )
}
