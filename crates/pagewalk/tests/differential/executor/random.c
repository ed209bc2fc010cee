/* The generator: SplitMix64 (Steele, Lea, Flood 2014). */
#include "executor.h"

uint64_t seed_state;

uint64_t random_bits(void) {
    uint64_t z = seed_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

unsigned below(unsigned bound) {
    return (unsigned)((random_bits() >> 32) * bound >> 32);
}

bool one_in(unsigned n) {
    return below(n) == 0;
}

unsigned long pick(const unsigned long *from, size_t count) {
    return from[below((unsigned)count)];
}
