# The functions that the compiler calls by name. Eight bytes at a time: where ring 0 is
# interpreted, the number of steps of a string instruction is what it costs.

.text
.global memcpy
memcpy:
    mov rax, rdi
    mov rcx, rdx
    shr rcx, 3
    rep movsq
    mov ecx, edx
    and ecx, 7
    rep movsb
    ret

.global memmove
memmove:
    mov rax, rdi
    sub rax, rsi
    cmp rax, rdx
    jae memcpy
    lea rsi, [rsi + rdx - 1]
    lea r8, [rdi + rdx - 1]
    mov rax, rdi
    mov rdi, r8
    mov rcx, rdx
    std
    rep movsb
    cld
    ret

.global memset
memset:
    mov r8, rdi
    movzx eax, sil
    movabs rcx, 0x0101010101010101
    imul rax, rcx
    mov rcx, rdx
    shr rcx, 3
    rep stosq
    mov ecx, edx
    and ecx, 7
    rep stosb
    mov rax, r8
    ret

.global memcmp
.global bcmp
memcmp:
bcmp:
    xor ecx, ecx
1:
    cmp rcx, rdx
    je 2f
    movzx eax, byte ptr [rdi + rcx]
    movzx r8d, byte ptr [rsi + rcx]
    inc rcx
    sub eax, r8d
    je 1b
    ret
2:
    xor eax, eax
    ret

.global strlen
strlen:
    xor eax, eax
1:
    cmp byte ptr [rdi + rax], 0
    je 2f
    inc rax
    jmp 1b
2:
    ret
