# Ring 3 as a function call: user_enter goes there, and comes back at the next exception or system
# call. The registers of ring 3 are popped from the frame and pushed back in place: TSS.RSP0 is
# the frame's end.

.set FRAME_SIZE, 176            # of trap::TrapFrame
.set USER_DS, 0x2b
.set USER_CS, 0x33
.set SYSCALL_VECTOR, 256

.text
.balign 16
.global user_enter
user_enter:                     # (TrapFrame *frame), interrupts off; keeps RBP and RBX only
    push rbp
    push rbx
    mov [user_kernel_stack], rsp
    mov [user_frame], rdi
    mov rsp, rdi
    pop_registers
    add rsp, 16
    iretq

.balign 16
.global user_leave
user_leave:                     # from trap_common and syscall_entry, with the frame complete
    cld
    mov rsp, [user_kernel_stack]
    pop rbx
    pop rbp
    ret

# LSTAR, where the CPU does what its manual says: ring 0, RIP in RCX, RFLAGS in R11, RSP untouched.
.balign 16
.global syscall_entry
syscall_entry:
    mov [user_stack], rsp
    mov rsp, [user_frame]
    add rsp, FRAME_SIZE
    push USER_DS
    push [user_stack]
    push r11
    push USER_CS
    push rcx
    push 0
    push SYSCALL_VECTOR
    push_registers
    jmp user_leave

.section .data
.balign 8
.global user_frame
user_frame:                     # the frame that ring 3 was entered with
    .quad 0
user_kernel_stack:
    .quad 0
user_stack:
    .quad 0
