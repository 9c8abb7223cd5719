# PVH entry (Xen docs/misc/pvh.pandoc): 32-bit protected mode with flat segments, paging off,
# EBX = physical address of hvm_start_info. Goes to long mode on the tables at the end of this
# file, which the linker fills in, and calls kernel_start in the high half.

.set KERNEL_BASE, 0xffffffff80000000
.set XEN_ELFNOTE_PHYS32_ENTRY, 18

.section .note.pvh, "a", @note
    .balign 4
    .long 4
    .long 8
    .long XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_start

.section .boot, "ax", @progbits
.code32
.global pvh_start
pvh_start:
    cli
    cld
    mov eax, cr4
    or eax, 0x20                # PAE
    mov cr4, eax
    lea eax, [boot_pml4]
    mov cr3, eax
    mov ecx, 0xc0000080         # EFER
    rdmsr
    or eax, 0x900               # LME, NXE
    wrmsr
    mov eax, 0x80010033         # PG, WP, NE, ET, MP, PE
    mov cr0, eax
    lgdt [boot_gdt_descriptor]
    ljmp 8, offset long_mode

.code64
long_mode:
    mov eax, 16
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    movabs rsp, offset boot_stack_top
    xor ebp, ebp
    mov edi, ebx
    movabs rax, offset kernel_start
    call rax
    ud2

.section .boot.data, "aw", @progbits
    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff    # 64-bit code
    .quad 0x00cf93000000ffff    # data
boot_gdt_descriptor:
    .word . - boot_gdt - 1
    .quad boot_gdt

# The first GiB, at its physical address for the jump and at KERNEL_BASE until the kernel has
# made its own tables.
    .balign 4096
boot_pml4:
    .quad boot_pdpt + 3
    .fill 510, 8, 0
    .quad boot_pdpt + 3
boot_pdpt:
    .quad boot_pd + 3
    .fill 509, 8, 0
    .quad boot_pd + 3
    .quad 0
boot_pd:
    .set page, 0
    .rept 512
    .quad page + 0x83           # 2 MiB page, writable, present
    .set page, page + 0x200000
    .endr

.section .bss
    .balign 16
boot_stack:
    .skip 16384
boot_stack_top:
.text
