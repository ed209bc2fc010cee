# What cannot be said in C: to go on with another stack pointer.

# long rt_clone(u64 flags, void *stack_top, u32 *parent_tid, struct thread *tls, u32 *child_tid,
#               void (*run)(struct thread *), struct thread *self)
#
# The first five are clone()'s own, in the order that RISC-V has them. The new thread starts behind
# the same `ecall`, with the same registers but for a0, sp and tp: a5 and a6 need no memory.
        .section .text.rt_clone, "ax", @progbits
        .globl  rt_clone
        .type   rt_clone, @function
rt_clone:
        li      a7, 220                 # clone
        ecall
        beqz    a0, 1f
        ret
1:      li      ra, 0                   # the outermost frame, as in start.S
        li      s0, 0
        mv      a0, a6
        jalr    a5
        li      a0, 0
        li      a7, 93                  # exit: of this thread only
        ecall
        unimp
        .size   rt_clone, . - rt_clone

# void call_on_stack(void (*function)(void *), void *argument, void *top)
        .section .text.call_on_stack, "ax", @progbits
        .globl  call_on_stack
        .type   call_on_stack, @function
call_on_stack:
        addi    sp, sp, -16
        sd      ra, 8(sp)
        sd      s0, 0(sp)
        mv      s0, sp                  # survives the call
        andi    sp, a2, -16
        mv      t0, a0
        mv      a0, a1
        jalr    t0
        mv      sp, s0
        ld      s0, 0(sp)
        ld      ra, 8(sp)
        addi    sp, sp, 16
        ret
        .size   call_on_stack, . - call_on_stack

        .section .note.GNU-stack, "", @progbits
