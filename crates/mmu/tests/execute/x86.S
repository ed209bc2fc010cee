# The x86 guest: enters one paging mode, then performs batches of accesses.
#
# MODE (--defsym): 32 IA-32 paging, 36 PAE, 48 four levels, 57 five levels.
#
# The image is the machine's firmware: 64 KiB of ROM, seen below 1 MiB at IMAGE, where it runs, and
# below 4 GiB, where the processor starts. What it writes lies in RAM. The test has prepared
# RUNNER_ROOT, tables that map the low 32 MiB to themselves for the supervisor, and the page of the
# accesses a second time at USER_PAGE, for the user. tests/execute/x86/layout.rs names the same
# addresses.
#
# A batch: the test writes records and then their number to COMMAND; the guest counts it down: at 0,
# all results are in the records.
#
# An access that succeeds is followed by a division by zero. (An INT instruction would be natural,
# but some versions of KVM, nested, cannot complete it.)
#
# A record, state and result (offsets in bytes; all but VA, ROOT, ENTRY, IP, CR2 and AFTER are of
# four bytes):
        .set    VA, 0           # the address to access
        .set    ROOT, 8         # CR3
        .set    CR0, 16
        .set    CR4, 20
        .set    EFER, 24
        .set    FLAGS, 28       # EFLAGS during the access
        .set    STUB, 32        # which instruction: offset in the page of the accesses
        .set    USER, 36        # CPL 3 instead of 0
        .set    MARKER, 40      # what a store stores
        .set    VECTOR, 44      # result: the interrupt that ended the access
        .set    ERROR, 48       # result: its error code
        .set    VALUE, 52       # result: what a load loaded, or fetched code left in EAX
        .set    CR2, 56         # result
        .set    SLOT, 64        # 5: where the entries are written; 0: not used
        .set    STAGE, 84       # result: 0 before MOV to CR3, 1 before the access, 2 at it
        .set    ENTRY, 88       # 5: the entries, top level first
        .set    AFTER, 128      # 5: result: the entries after the access
        .set    IP, 168         # result: where the interrupt came
        .set    RECORD_BYTES, 176

        .set    IMAGE, 0xf0000
        .set    COMMAND, 0x8000         # in RAM: the number of records left
        .set    FEATURES, 0x8010        # in RAM: five words of CPUID, for the test
        .set    LAST, 0x8040            # in RAM: CR0, CR4 and EFER as they were set last
        .set    GDT_RAM, 0x9000
        .set    TSS_RAM, 0x9100
        .set    STACK_TOP, 0x20000
        .set    RUNNER_ROOT, 0x100000
        .set    RECORDS, 0x1000000
        .set    USER_PAGE, 0x3000000    # the page `accesses`, for the user

        .set    KERNEL_CODE, 0x08
        .set    USER_CODE, 0x18 | 3
        .set    FLAT_DATA, 0x20 | 3
        .set    TASK, 0x28
        .set    BOOT_CODE, 0x38
        .set    STACK_DATA, 0x10

        .set    MSR_EFER, 0xc0000080

        .if     MODE >= 48
        .set    LONG, 1
        .set    EFER_MODE, 0x100        # LME
        .else
        .set    LONG, 0
        .set    EFER_MODE, 0
        .endif
        .if     MODE == 57
        .set    CR4_MODE, 0x1020        # LA57, PAE
        .elseif MODE == 32
        .set    CR4_MODE, 0
        .else
        .set    CR4_MODE, 0x20          # PAE
        .endif

        .text
        .globl  _start
_start:
image:
# ---------------------------------------------------------------- from real mode to paging
        .code16
start16:
        cli
        mov     %cs, %ax
        mov     %ax, %ds
        lgdtl   gdt_rom_register - image
        mov     %cr0, %eax
        or      $1, %al
        mov     %eax, %cr0
        ljmpl   $BOOT_CODE, $(IMAGE + start32 - image)

        .code32
start32:
        mov     $STACK_DATA, %ax
        mov     %ax, %ss
        mov     $FLAT_DATA, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     $STACK_TOP, %esp
        # The descriptor table goes to RAM: LTR writes to it. The task state is zeros but for the
        # stack that interrupts from CPL 3 switch to.
        mov     $(IMAGE + gdt - image), %esi
        mov     $GDT_RAM, %edi
        mov     $(gdt_end - gdt) / 4, %ecx
        cld
        rep movsl
        mov     $TSS_RAM, %edi
        mov     $26, %ecx
        xor     %eax, %eax
        rep stosl
        movl    $STACK_TOP, TSS_RAM + 4
        .if     !LONG
        movl    $STACK_DATA, TSS_RAM + 8
        .endif
        lgdt    IMAGE + gdt_register - image

        # What this processor can: CPUID 1 ECX and EDX, 7 EBX and ECX, 80000001 EDX.
        mov     $1, %eax
        cpuid
        mov     %ecx, FEATURES
        mov     %edx, FEATURES + 4
        mov     $7, %eax
        xor     %ecx, %ecx
        cpuid
        mov     %ebx, FEATURES + 8
        mov     %ecx, FEATURES + 12
        mov     $0x80000001, %eax
        cpuid
        mov     %edx, FEATURES + 16

        mov     $CR4_MODE, %eax
        mov     %eax, %cr4
        mov     $RUNNER_ROOT, %eax
        mov     %eax, %cr3
        .if     LONG
        mov     $MSR_EFER, %ecx
        mov     $EFER_MODE, %eax
        xor     %edx, %edx
        wrmsr
        .endif
        mov     $0x80000031, %eax       # PG, NE, ET, PE
        mov     %eax, %cr0
        ljmp    $KERNEL_CODE, $(IMAGE + main - image)

        .if     LONG
        .code64
        .endif
main:
        lidt    IMAGE + idt_register - image
        mov     $TASK, %ax
        ltr     %ax
        mov     $-1, %eax               # unlike any value to come
        mov     %eax, LAST
        mov     %eax, LAST + 4
        mov     %eax, LAST + 8
        # ------------------------------------------------------------ batches
batch:
        pause
        cmpl    $0, COMMAND
        jz      batch
        mov     $RECORDS, %ebp
        xor     %esi, %esi

        # ------------------------------------------------------------ one state
        # EBP is the record, ESI 0; no access changes them.
state:
        mov     $STACK_TOP, %esp
        movl    $0, STAGE(%ebp)
        mov     $RUNNER_ROOT, %eax
        .if     LONG
        mov     %rax, %cr3
        .else
        mov     %eax, %cr3
        .endif

        # The control registers, where they differ from the state before.
        mov     EFER(%ebp), %eax
        cmp     %eax, LAST + 8
        je      1f
        mov     %eax, LAST + 8
        mov     $MSR_EFER, %ecx
        xor     %edx, %edx
        wrmsr
1:      mov     CR4(%ebp), %eax
        cmp     %eax, LAST + 4
        je      1f
        mov     %eax, LAST + 4
        .if     LONG
        mov     %rax, %cr4
        .else
        mov     %eax, %cr4
        .endif
1:      mov     CR0(%ebp), %eax
        cmp     %eax, LAST
        je      1f
        mov     %eax, LAST
        .if     LONG
        mov     %rax, %cr0
        .else
        mov     %eax, %cr0
        .endif
1:
        .irp    level, 0, 1, 2, 3, 4
        mov     SLOT + 4 * \level(%ebp), %ebx
        test    %ebx, %ebx
        jz      1f
        mov     ENTRY + 8 * \level(%ebp), %eax
        mov     %eax, (%ebx)
        .if     MODE != 32
        mov     ENTRY + 8 * \level + 4(%ebp), %eax
        mov     %eax, 4(%ebx)
        .endif
1:
        .endr

        # The root flushes what is not global, INVLPG what the address has, global or not.
        movl    $1, STAGE(%ebp)
        .if     LONG
        mov     ROOT(%ebp), %rax
        mov     %rax, %cr3
        mov     VA(%ebp), %rbx
        invlpg  (%rbx)
        .else
        mov     ROOT(%ebp), %eax
        mov     %eax, %cr3
        mov     VA(%ebp), %ebx
        invlpg  (%ebx)
        .endif

        movl    $2, STAGE(%ebp)
        mov     MARKER(%ebp), %ecx
        mov     STUB(%ebp), %edx
        mov     FLAGS(%ebp), %edi
        xor     %eax, %eax
        cmpl    $0, USER(%ebp)
        jne     user
        add     $(IMAGE + accesses - image), %edx
        .if     LONG
        push    %rdi
        popfq
        jmp     *%rdx
        .else
        push    %edi
        popf
        jmp     *%edx
        .endif
user:
        add     $USER_PAGE, %edx
        .if     LONG
        push    $FLAT_DATA
        push    $0
        push    %rdi
        push    $USER_CODE
        push    %rdx
        iretq
        .else
        push    $FLAT_DATA
        push    $0
        push    %edi
        push    $USER_CODE
        push    %edx
        iret
        .endif

        # ------------------------------------------------------------ how it ended
        # On the stack: the vector, the error code or 0, the instruction's address.
landed:
        mov     %eax, VALUE(%ebp)
        .if     LONG
        pop     %rax
        mov     %eax, VECTOR(%ebp)
        pop     %rax
        mov     %eax, ERROR(%ebp)
        pop     %rax
        mov     %rax, IP(%ebp)
        mov     %cr2, %rax
        mov     %rax, CR2(%ebp)
        .else
        pop     %eax
        mov     %eax, VECTOR(%ebp)
        pop     %eax
        mov     %eax, ERROR(%ebp)
        pop     %eax
        mov     %eax, IP(%ebp)
        mov     %cr2, %eax
        mov     %eax, CR2(%ebp)
        .endif
        xor     %eax, %eax
        .irp    level, 0, 1, 2, 3, 4
        mov     SLOT + 4 * \level(%ebp), %ebx
        test    %ebx, %ebx
        jz      1f
        mov     (%ebx), %ecx
        mov     %ecx, AFTER + 8 * \level(%ebp)
        mov     %eax, (%ebx)
        .if     MODE != 32
        mov     4(%ebx), %ecx
        mov     %ecx, AFTER + 8 * \level + 4(%ebp)
        mov     %eax, 4(%ebx)
        .endif
1:
        .endr
        add     $RECORD_BYTES, %ebp
        decl    COMMAND
        jnz     state
        jmp     batch

# -------------------------------------------------------------------- interrupts
# An entry of 16 bytes for each vector. Vectors without an error code get 0 for one.
        .balign 16
vectors:
        .set    vector, 0
        .rept   32
        .balign 16
        .if     (vector == 8) | ((vector >= 10) & (vector <= 14)) | (vector == 17) | (vector == 21)
        .else
        push    $0
        .endif
        push    $vector
        jmp     landed
        .set    vector, vector + 1
        .endr

        .balign 16
idt:
        .set    vector, 0
        .rept   32
        .word   vectors - image + 16 * vector
        .word   KERNEL_CODE
        .word   0x8e00                  # an interrupt gate
        .word   IMAGE >> 16
        .if     LONG
        .long   0, 0
        .endif
        .set    vector, vector + 1
        .endr
idt_end:
idt_register:
        .word   idt_end - idt - 1
        .long   IMAGE + idt - image
        .long   0

# All descriptors have the accessed bit set, so that the ROM copy can be used too.
        .balign 16
gdt:
        .quad   0
        .if     LONG
        .quad   0x00af9b000000ffff      # KERNEL_CODE, 64-bit
        .quad   0x00cf93000000ffff      # STACK_DATA
        .quad   0x00affb000000ffff      # USER_CODE, 64-bit
        .else
        .quad   0x00cf9b000000ffff
        .quad   0x00cf93000000ffff
        .quad   0x00cffb000000ffff
        .endif
        .quad   0x00cff3000000ffff      # FLAT_DATA
        .quad   0x0000890000000067 | (TSS_RAM << 16)    # TASK, 16 bytes in long mode
        .quad   0
        .quad   0x00cf9b000000ffff      # BOOT_CODE, 32-bit
gdt_end:
gdt_rom_register:
        .word   gdt_end - gdt - 1
        .long   IMAGE + gdt - image
gdt_register:
        .word   gdt_end - gdt - 1
        .long   GDT_RAM
        .long   0

# -------------------------------------------------------------------- the accesses
# A page of its own, ACCESSES for the test. The address is in EBX (RBX), what a store stores in ECX, 0
# in ESI.
        .org    0x8000
accesses:
        .if     LONG
load:   mov     (%rbx), %eax
        div     %esi
        .balign 16
store:  mov     %ecx, (%rbx)
        div     %esi
        .balign 16
fetch:  jmp     *%rbx
        .else
load:   mov     (%ebx), %eax
        div     %esi
        .balign 16
store:  mov     %ecx, (%ebx)
        div     %esi
        .balign 16
fetch:  jmp     *%ebx
        .endif

# -------------------------------------------------------------------- where the processor starts
        .org    0xfff0
        .code16
        ljmp    $IMAGE >> 4, $(start16 - image)
        .org    0x10000
