// randaccess [MIB] [COUNT]: updates COUNT random words of a table of MIB mebibytes on the heap, as
// the RandomAccess ("GUPS") benchmark does: the worst case for every TLB and every replacement
// policy.
//
// Three phases: the table is filled in order, updated at random, then added up in order.

#include "rt/rt.h"

static void fill(u64 *table, u64 words)
{
    for (u64 i = 0; i < words; i++)
        table[i] = i;
}

static void update(u64 *table, u64 words, u64 count)
{
    u64 state = 1;
    for (u64 i = 0; i < count; i++) {
        // A 32-bit fraction times the size: an even choice for any number of words, without
        // dividing.
        u64 place = next_random(&state) * words >> 32;
        table[place] ^= state;
    }
}

// Weights every word by its place, so that two swapped pages show.
static u64 checksum(const u64 *table, u64 words)
{
    u64 sum = 0;
    for (u64 i = 0; i < words; i++)
        sum += table[i] * (2 * i + 1);
    return sum;
}

int main(int argc, char **argv)
{
    expect_arguments(argc, 0, 2, "[MIB] [COUNT]");
    u64 mebibytes = number_argument(argc, argv, 1, "MIB", 16, 1, 1024);
    u64 count = number_argument(argc, argv, 2, "COUNT", 1000000, 0, 1000000000000);

    u64 words = mebibytes * 1024 * 1024 / sizeof(u64);
    u64 *table = heap_allocate(words * sizeof(u64));
    fill(table, words);
    update(table, words, count);
    print("%lu updates in %lu MiB, checksum 0x%016lx\n", count, mebibytes, checksum(table, words));
    return 0;
}
