# The first instructions of every program.
#
# The kernel starts a program with nothing but a stack pointer, and the stack holds, upwards from
# sp:
#
#     sp --> argc
#            argv[0] ... argv[argc-1], 0
#            envp[0] ... , 0
#            auxv[0].type, auxv[0].value, ... , 0, 0
#
# rt_start (rt.c) reads it from there, so its address is all that is handed over.

        .section .text.start, "ax", @progbits
        .globl  _start
        .type   _start, @function
_start:
        # gp must point into the small-data area before any C code runs. Relaxation would turn this
        # very instruction into `mv gp, gp`, hence the option.
        .option push
        .option norelax
        la      gp, __global_pointer$
        .option pop

        # A zero return address and frame pointer mark the outermost frame for whoever unwinds the
        # stack.
        li      ra, 0
        li      s0, 0

        mv      a0, sp
        andi    sp, sp, -16             # the calling convention wants 16-byte alignment
        tail    rt_start                # never returns
        .size   _start, . - _start

        # Without this note the linker would ask for an executable stack.
        .section .note.GNU-stack, "", @progbits
