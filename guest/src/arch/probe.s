# u64 probe_run(Attempt kind, u64 address, u64 user_stack, u64 selectors, u64 operand): see probe.rs.
# Saves what a C function must save, notes its stack in probe_recovery and tries the access. The
# trap handler comes back to probe_landing; an access that does not fault falls through to it.

.text
.global probe_run
probe_run:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    pushfq
    mov [probe_stack], rsp
    test edi, edi
    jz 1f
    dec edi
    jz 2f
    dec edi
    jz 3f
    dec edi
    jz 4f
    dec edi
    jz 7f
    dec edi
    jnz 8f
    # 5: the register whose number is the address
    mov ecx, esi
    mov eax, r8d
    mov rdx, r8
    shr rdx, 32
    wrmsr
    jmp 5f
8:  # 6: read and write
    or byte ptr [rsi], 0
    jmp 5f
7:  # 4: CR4
    mov cr4, rsi
    jmp 5f
1:  # 0: read
    mov al, [rsi]
    jmp 5f
2:  # 1: write
    mov byte ptr [rsi], 0xc3    # the opcode of RET
    jmp 5f
3:  # 2: fetch: what is there returns
    call rsi
    jmp 5f
4:  # 3: ring 3, from address with the operand in user registers; comes back by an exception
    mov eax, ecx
    shr rcx, 32
    push rcx                    # SS
    push rdx                    # RSP
    push 2                      # RFLAGS: interrupts off
    push rax                    # CS
    push rsi                    # RIP
    mov rdi, r8
    iretq
5:
    xor eax, eax
    jmp 6f
.global probe_landing
probe_landing:                  # from trap::trap_entry, with RSP set to probe_stack
    mov eax, 1
6:
    popfq
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

.section .data
.balign 8
.global probe_stack
probe_stack:
    .quad 0
