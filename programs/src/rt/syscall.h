// How a system call is made. For the runtime's own files: programs use the functions around it.

#ifndef RT_SYSCALL_H
#define RT_SYSCALL_H

#include "rt.h"

// The number goes in a7, the arguments in a0 to a5, the result comes back in a0; all other
// registers survive. Calls with fewer arguments leave junk in the rest, which the kernel ignores.
static inline long syscall6(long number, u64 x0, u64 x1, u64 x2, u64 x3, u64 x4, u64 x5)
{
    register u64 a0 __asm__("a0") = x0;
    register u64 a1 __asm__("a1") = x1;
    register u64 a2 __asm__("a2") = x2;
    register u64 a3 __asm__("a3") = x3;
    register u64 a4 __asm__("a4") = x4;
    register u64 a5 __asm__("a5") = x5;
    register long a7 __asm__("a7") = number;
    __asm__ volatile("ecall"
                     : "+r"(a0)
                     : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a7)
                     : "memory");
    return (long)a0;
}

static inline long syscall3(long number, u64 x0, u64 x1, u64 x2)
{
    register u64 a0 __asm__("a0") = x0;
    register u64 a1 __asm__("a1") = x1;
    register u64 a2 __asm__("a2") = x2;
    register long a7 __asm__("a7") = number;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory");
    return (long)a0;
}

#endif
