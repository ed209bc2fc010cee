// hugeheap [MIB] [WAIT_MS]: the life of a large page. MIB mebibytes, which can be more than RAM, are
// written and read; all but the last quarter is given back; that quarter is used ROUNDS times with
// WAIT_MS milliseconds of rest between.
//
// Where anonymous memory has large pages, those fall apart when memory is short: they are split,
// so that parts of them can be evicted. What is left in the end fits, and while the program rests
// its base pages can become large pages again. The program cannot tell: each word is checked when
// it is read, and changed.

#include "rt/process.h"

enum { ROUNDS = 4 };

static u64 expected(u64 place, u64 round)
{
    return place * 0x9e3779b97f4a7c15u + round;
}

// Reads words and changes them; how many were wrong.
static u64 use(u64 *memory, u64 from, u64 to, u64 round)
{
    u64 wrong = 0;
    for (u64 place = from; place < to; place++)
        wrong += memory[place]++ != expected(place, round);
    return wrong;
}

int main(int argc, char **argv)
{
    expect_arguments(argc, 0, 2, "[MIB] [WAIT_MS]");
    u64 mebibytes = number_argument(argc, argv, 1, "MIB", 8, 1, 1024);
    u64 wait = number_argument(argc, argv, 2, "WAIT_MS", 100, 0, 10000);
    u64 bytes = mebibytes << 20, words = bytes / sizeof(u64), kept = words - words / 4;

    u64 *memory = map_anonymous(bytes);
    for (u64 place = 0; place < words; place++)
        memory[place] = expected(place, 0);
    u64 wrong = use(memory, 0, words, 0);
    unmap(memory, kept * sizeof(u64));
    for (u64 round = 1; round <= ROUNDS; round++) {
        wrong += use(memory, kept, words, round);
        sleep_microseconds(wait * 1000);
    }
    print("%lu MiB, then %lu words %d times: %lu wrong\n", mebibytes, words - kept, ROUNDS, wrong);
    return wrong != 0;
}
