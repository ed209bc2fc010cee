// The guest of execute_aarch64.rs: performs one access for each state in memory.
//
//   0x4018_0000  this code           read-only, executable at EL1 and EL0
//   0x4020_0000  mailbox             the rest: readable and writable at EL1 alone
//   0x4040_0000  states              128 bytes each
//   0x4080_0000  results             64 bytes each
//
// The guest's own tables map all this at its physical addresses, and once more in the upper half.
// It runs in the half that is not tested, with its own tables there, so that the other half and
// the controls can be as the state says.
//
//   mailbox   0 batch asked for    8 states in it   16 batch done
//            24 own TCR_EL1       32 own root       40 MAIR_EL1      48 own SCTLR_EL1
//   state     0 TCR_EL1            8 SCTLR_EL1      16 TTBR tested   24 SPSR   32 PC   40 address
//            48 where to run: 0, or the upper half's sign
//            56 a word to show afterwards
//            64 four addresses of descriptors       96 four descriptors
//   result    0 ESR_EL1            8 FAR_EL1        16 loaded        24 the word
//            32 four descriptors afterwards
//
// x19 mailbox  x20 state  x21, x22 physical addresses of state and result  x23 states left
// x24 batch    x25, x26, x27 own SCTLR, TCR, root    x28 sign of the half that this runs in

    .text
    .global _start
_start:
    b       start

    .balign 8
load:                               // offset 8
    ldr     x2, [x1]
    svc     #0xfffe
store:                              // offset 16
    str     x3, [x1]
    svc     #0xfffd

start:
    msr     daifset, #15
    msr     spsel, #1
    movz    x19, #0x4020, lsl #16
    ldr     x0, [x19, #40]
    msr     mair_el1, x0
    ldp     x26, x27, [x19, #24]
    ldr     x25, [x19, #48]
    mov     x28, #0
    mov     x24, #0
    msr     tcr_el1, x26
    msr     ttbr0_el1, x27
    msr     ttbr1_el1, x27
    isb
    tlbi    vmalle1
    dsb     sy
    isb
    msr     sctlr_el1, x25
    isb

await:
    movz    x19, #0x4020, lsl #16
    orr     x19, x19, x28
    ldr     x0, [x19]
    cmp     x0, x24
    b.eq    await
    mov     x24, x0
    dmb     sy
    ldr     x23, [x19, #8]
    movz    x21, #0x4040, lsl #16
    movz    x22, #0x4080, lsl #16

next:
    cbz     x23, done
    // Both halves are the guest's own here: change sides if the state wants it.
    orr     x20, x21, x28
    ldr     x28, [x20, #48]
    adr     x0, aside
    and     x0, x0, #0x0000ffffffffffff
    orr     x0, x0, x28
    br      x0
aside:
    orr     x20, x21, x28
    adr     x0, vectors
    msr     vbar_el1, x0

    // The path of tables, and the word before the access.
    ldp     x0, x1, [x20, #64]
    ldp     x2, x3, [x20, #80]
    ldp     x4, x5, [x20, #96]
    ldp     x6, x7, [x20, #112]
    orr     x0, x0, x28
    orr     x1, x1, x28
    orr     x2, x2, x28
    orr     x3, x3, x28
    str     x4, [x0]
    str     x5, [x1]
    str     x6, [x2]
    str     x7, [x3]
    ldr     x9, [x20, #56]
    orr     x9, x9, x28
    ldr     x10, [x9]
    dsb     sy

    ldp     x11, x12, [x20]
    ldp     x13, x14, [x20, #16]
    ldp     x15, x1, [x20, #32]
    mov     x2, #0
    mvn     x3, x10                 // what a store stores: nothing that is there
    msr     sctlr_el1, x12
    msr     tcr_el1, x11
    cbz     x28, test_upper
    msr     ttbr0_el1, x13
    b       test
test_upper:
    msr     ttbr1_el1, x13
test:
    isb
    tlbi    vmalle1
    dsb     sy
    isb
    msr     spsr_el1, x14
    msr     elr_el1, x15
    eret

finish:
    mrs     x4, esr_el1
    mrs     x5, far_el1
    msr     tcr_el1, x26
    msr     ttbr0_el1, x27
    msr     ttbr1_el1, x27
    msr     sctlr_el1, x25
    isb
    tlbi    vmalle1
    dsb     sy
    isb
    orr     x20, x21, x28
    orr     x6, x22, x28
    ldr     x7, [x9]
    str     x10, [x9]
    stp     x4, x5, [x6]
    stp     x2, x7, [x6, #16]
    ldp     x11, x12, [x20, #64]
    ldp     x13, x14, [x20, #80]
    orr     x11, x11, x28
    orr     x12, x12, x28
    orr     x13, x13, x28
    orr     x14, x14, x28
    ldr     x0, [x11]
    ldr     x1, [x12]
    ldr     x2, [x13]
    ldr     x3, [x14]
    stp     x0, x1, [x6, #32]
    stp     x2, x3, [x6, #48]
    str     xzr, [x11]
    str     xzr, [x12]
    str     xzr, [x13]
    str     xzr, [x14]
    add     x21, x21, #128
    add     x22, x22, #64
    sub     x23, x23, #1
    b       next

done:
    movz    x19, #0x4020, lsl #16
    orr     x19, x19, x28
    dmb     sy
    str     x24, [x19, #16]
    b       await

    // Whatever the exception and wherever from, the access is over.
    .balign 2048
vectors:
    .rept   16
    .balign 128
    b       finish
    .endr
