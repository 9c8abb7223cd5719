# One stub for each of the 256 vectors: error code (0 where the CPU pushes none, Intel SDM vol. 3,
# table 6-1), vector, then all registers as in trap::TrapFrame.

.text
.balign 16
.global trap_stubs
trap_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30)
    .else
    push 0
    .endif
    push vector
    jmp trap_common
    .set vector, vector + 1
    .endr

.balign 16
trap_common:
    push_registers
    cmp rsp, [user_frame]       # pushed into the frame of ring 3: see user.s
    je user_leave
    cld
    mov rdi, rsp
    mov rbp, rsp
    call trap_entry
    pop_registers
    add rsp, 16
    iretq
