# The RISC-V guest: performs each state's access through its page tables, in M mode.
#
#   record (words of XLEN bits)
#   ┌──────┬────────┬────┬──────┬───────┬──────┬────────┬───────┬─────────────────────────┐
#   │ satp │ status │ va │ kind │ cause │ tval │ answer │ count │ count × (address, entry)│
#   └──────┴────────┴────┴──────┴───────┴──────┴────────┴───────┴─────────────────────────┘
#    read by the guest            written by the guest           entries: written back as found
#
# Loads, stores and AMOs are made here, with mstatus.MPRV and MPP: translated and judged as those
# of S or U mode. Fetches are made by dropping to S or U mode at the address with mret: what lies
# there is `lui a0, page; ecall`, which comes back saying where it lies. A load reads the same
# `lui`. For a store, the guest looks for what it stored in all pages of the list.
#
# Answer: the 4 KiB page that answered, in the bits above 11, if the access succeeded.
# Cause: mcause; an ecall's, if a fetch succeeded; all ones, if anything else did.
#
# From outside (--defsym): XLEN, MAILBOX, STATES, DENIED.

    .equ SATP, 0
    .equ STATUS, 1 * XLEN / 8
    .equ VA, 2 * XLEN / 8
    .equ KIND, 3 * XLEN / 8              # 0 load, 1 store, 2 AMO, 3 fetch
    .equ CAUSE, 4 * XLEN / 8
    .equ TVAL, 5 * XLEN / 8
    .equ ANSWER, 6 * XLEN / 8
    .equ COUNT, 7 * XLEN / 8
    .equ ENTRIES, 8 * XLEN / 8
    .equ ENTRY, 1 * XLEN / 8             # beside its address
    .equ NEXT, 2 * XLEN / 8

    .equ BATCH, 0                        # mailbox: the batch's number, by the host
    .equ DONE, 4                         # the same number, when the guest is through
    .equ SIZE, 8                         # states in the batch
    .equ PAGE_COUNT, 12                  # the list of pages that accesses may reach
    .equ PAGES, 16

    .equ DENIED_NAPOT, (DENIED >> 2) | 0x1fff   # 64 KiB
    .equ STATUS_BITS, 0xe1800            # MXR, SUM, MPRV, MPP

    .if XLEN == 64
    .macro lx rd, at:vararg
    ld \rd, \at
    .endm
    .macro sx rs, at:vararg
    sd \rs, \at
    .endm
    .else
    .macro lx rd, at:vararg
    lw \rd, \at
    .endm
    .macro sx rs, at:vararg
    sw \rs, \at
    .endm
    .endif

    .globl _start
_start:
    la t0, trapped
    csrw mtvec, t0
    li t0, DENIED_NAPOT                  # PMP entry 0: nothing; entry 1: everything elsewhere
    csrw pmpaddr0, t0
    li t0, -1
    csrw pmpaddr1, t0
    li t0, 0x1f18
    csrw pmpcfg0, t0
    li s0, MAILBOX
    li s4, STATUS_BITS
    li s5, 0

next_batch:
    lw t0, BATCH(s0)
    beq t0, s5, next_batch
    mv s5, t0
    lw s2, SIZE(s0)
    li s1, STATES
    beqz s2, batch_done

next_state:
    lx t0, COUNT(s1)
    addi t1, s1, ENTRIES
1:  lx t2, 0(t1)
    lx t3, ENTRY(t1)
    sx t3, 0(t2)
    addi t1, t1, NEXT
    addi t0, t0, -1
    bnez t0, 1b
    lx t0, SATP(s1)
    csrw satp, t0
    sfence.vma

    lx t0, STATUS(s1)
    lx s3, VA(s1)
    lx t1, KIND(s1)
    li a0, 0
    li a1, -1
    li a2, 0
    li t2, 2
    csrc mstatus, s4
    csrs mstatus, t0                     # with MPRV, s3 is translated from here on
    beq t1, t2, amo
    bgtu t1, t2, fetch
    bnez t1, store
    lw a0, 0(s3)
    j accessed
fetch:
    csrw mepc, s3
    mret
amo:
    amoswap.w zero, s1, (s3)
    j stored
store:
    sw s1, 0(s3)
stored:
    csrc mstatus, s4
    slli t0, s3, XLEN - 12               # find it: page + offset
    srli t0, t0, XLEN - 12
    lw t1, PAGE_COUNT(s0)
    addi t2, s0, PAGES
2:  lw t3, 0(t2)
    .if XLEN == 64
    slli t3, t3, 32
    srli t3, t3, 32
    .endif
    add t3, t3, t0
    lw t4, 0(t3)
    sub t4, t4, s1
    slli t4, t4, XLEN - 32
    bnez t4, 3f
    mv a0, t3
    sw zero, 0(t3)
3:  addi t2, t2, 4
    addi t1, t1, -1
    bnez t1, 2b
    j accessed

    .balign 4
trapped:
    csrr a1, mcause
    csrr a2, mtval
accessed:
    csrc mstatus, s4
    sx a1, CAUSE(s1)
    sx a2, TVAL(s1)
    sx a0, ANSWER(s1)
    lx t0, COUNT(s1)
    addi t1, s1, ENTRIES
4:  lx t2, 0(t1)
    lx t3, 0(t2)
    sx t3, ENTRY(t1)
    addi t1, t1, NEXT
    addi t0, t0, -1
    bnez t0, 4b
    mv s1, t1                            # records follow each other
    addi s2, s2, -1
    bnez s2, next_state
batch_done:
    fence rw, rw
    sw s5, DONE(s0)
    j next_batch
