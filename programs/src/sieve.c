// sieve [N]: counts the primes up to N with the sieve of Eratosthenes, one byte for each number.
//
// Its strides grow from 2 bytes to the square root of N: the small primes sweep every page in
// order, the large ones touch a few bytes in each.

#include "rt/rt.h"

static void strike_out_multiples(u8 *composite, u64 prime, u64 limit)
{
    // Smaller multiples have a smaller prime factor, which has struck them out already.
    for (u64 multiple = prime * prime; multiple <= limit; multiple += prime)
        composite[multiple] = 1;
}

static u64 count_primes(u8 *composite, u64 limit)
{
    for (u64 candidate = 2; candidate * candidate <= limit; candidate++)
        if (!composite[candidate])
            strike_out_multiples(composite, candidate, limit);

    u64 count = 0;
    for (u64 number = 2; number <= limit; number++)
        count += !composite[number];
    return count;
}

int main(int argc, char **argv)
{
    expect_arguments(argc, 0, 1, "[N]");
    u64 limit = number_argument(argc, argv, 1, "N", 1000000, 0, 1000000000);

    u8 *composite = map_anonymous(limit + 1); // zeroed: every number starts as a prime
    print("primes up to %lu: %lu\n", limit, count_primes(composite, limit));
    return 0;
}
