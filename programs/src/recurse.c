// recurse [DEPTH]: recurses DEPTH deep with frames of 128 bytes, so the stack grows down page by
// page.
//
// Each frame fills a few words on the way down and adds them up on the way back, when the page may
// have been swapped out in between: a lost or mixed-up stack page changes the result. A DEPTH
// beyond the stack limit (65 000 or so for 8 MiB) runs into the guard below the stack and dies by
// SIGSEGV.

#include "rt/rt.h"

enum { WORDS = 12 };

// noipa: the compiler may neither inline the call into itself nor specialise it, or the frames
// would not be what they seem.
__attribute__((noipa)) static u64 descend(u64 depth)
{
    u64 words[WORDS];
    for (u64 i = 0; i < WORDS; i++)
        words[i] = depth * (i + 1);
    // The compiler must believe that someone else has seen the array, and so keep it in memory.
    __asm__ volatile("" : : "r"(words) : "memory");

    u64 below = depth == 0 ? 0 : descend(depth - 1);

    __asm__ volatile("" : : "r"(words) : "memory");
    u64 sum = below * 3 + 1; // not commutative: the order of the frames counts
    for (u64 i = 0; i < WORDS; i++)
        sum += words[i];
    return sum;
}

int main(int argc, char **argv)
{
    expect_arguments(argc, 0, 1, "[DEPTH]");
    u64 depth = number_argument(argc, argv, 1, "DEPTH", 20000, 0, 1000000000);
    print("depth %lu, result 0x%016lx\n", depth, descend(depth));
    return 0;
}
