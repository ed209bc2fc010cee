// Arithmetic of all widths: 128-bit integers, quad floating point in software, bit operations that
// compilers have instructions for (Zba, Zbb, Zbs), atomics, overflow, division at its limits.

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef unsigned __int128 u128;
typedef __int128 i128;

static uint64_t state = 88172645463325252;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    // Some values of few bits, and some at the limits.
    switch (state % 8) {
    case 0: return state >> 60;
    case 1: return (uint64_t)(int64_t)(int8_t)(state >> 8);
    case 2: return 1ull << (state >> 58);
    case 3: return ~(1ull << (state >> 58));
    default: return state;
    }
}

static uint64_t sum;

static void mix(uint64_t x)
{
    sum = (sum ^ x) * 0x9e3779b97f4a7c15;
    sum ^= sum >> 29;
}

static void mix128(u128 x)
{
    mix((uint64_t)x);
    mix((uint64_t)(x >> 64));
}

static void show(const char *what)
{
    printf("%s: %016llx\n", what, (unsigned long long)sum);
    sum = 0;
}

static void wide_integers(void)
{
    for (int i = 0; i < 20000; i++) {
        u128 a = (u128)next() << 64 | next(), b = (u128)next() << (next() & 63) | next();
        mix128(a * b);
        mix128(a + b);
        mix128(a - b);
        mix128(b ? a / b : 0);
        mix128(b ? a % b : 0);
        i128 c = (i128)a, d = (i128)b;
        mix128((u128)(d ? c / d : 0));
        mix128((u128)(d ? c % d : 0));
        mix128((u128)(c >> (next() & 127)));
        mix128(a << (next() & 127));
        mix((uint64_t)(double)a);
        mix((uint64_t)(c < d) + 2 * (uint64_t)(a < b));
    }
    show("128 bits");
}

static void integers(void)
{
    for (int i = 0; i < 100000; i++) {
        uint64_t a = next(), b = next() | 1;
        int64_t c = (int64_t)a, d = (int64_t)b;
        uint32_t e = (uint32_t)a, f = (uint32_t)b;
        int32_t g = (int32_t)e, h = (int32_t)f;
        mix(a / b + a % b);
        mix(c == INT64_MIN && d == -1 ? 1 : (uint64_t)(c / d) ^ (uint64_t)(c % d));
        mix(e / f + e % f);
        mix(g == INT32_MIN && h == -1 ? 1 : (uint64_t)(g / h) ^ (uint64_t)(g % h));
        mix((uint64_t)((u128)a * b >> 64));
        mix((uint64_t)((i128)c * d >> 64));
        int64_t result;
        int narrow;
        mix((uint64_t)__builtin_mul_overflow(c, d, &result) + (uint64_t)result);
        mix((uint64_t)__builtin_add_overflow(g, h, &narrow) + (uint64_t)narrow);
        mix((uint64_t)__builtin_sub_overflow(c, d, &result) + (uint64_t)result);
        mix((uint64_t)(a < b) + 2 * (uint64_t)(c < d) + 4 * (uint64_t)(g < h));
    }
    show("integers");
}

// Written as compilers recognise them.
static void bits(void)
{
    static uint64_t words[64];
    for (int i = 0; i < 100000; i++) {
        uint64_t a = next(), b = next(), n = b & 63;
        uint32_t e = (uint32_t)a, m = (uint32_t)b & 31;
        int64_t c = (int64_t)a, d = (int64_t)b;
        mix(a & ~b), mix(a | ~b), mix(~(a ^ b));
        mix(a << n | a >> (-n & 63)), mix(a >> n | a << (-n & 63));
        mix(e << m | e >> (-m & 31)), mix(a >> 13 | a << 51);
        mix(a ? (uint64_t)__builtin_clzll(a) : 64), mix(a ? (uint64_t)__builtin_ctzll(a) : 64);
        mix(e ? (uint64_t)__builtin_clz(e) : 32), mix(e ? (uint64_t)__builtin_ctz(e) : 32);
        mix((uint64_t)__builtin_popcountll(a)), mix((uint64_t)__builtin_popcount(e));
        mix((uint64_t)(c < d ? c : d)), mix((uint64_t)(c > d ? c : d));
        mix(a < b ? a : b), mix(a > b ? a : b);
        mix((uint64_t)(int64_t)(int8_t)a), mix((uint64_t)(int64_t)(int16_t)a), mix((uint16_t)a);
        mix(__builtin_bswap64(a)), mix(__builtin_bswap32(e));
        mix(a | 1ull << n), mix(a & ~(1ull << n)), mix(a ^ 1ull << n), mix(a >> n & 1);
        mix(a | 1ull << 40), mix(a & ~(1ull << 41)), mix(a ^ 1ull << 42), mix(a >> 43 & 1);
        words[n] += a;
        mix(words[e & 63] + ((uint64_t)e << 3) + (a << 1) + (b << 2));
        mix(((uint32_t *)words)[(uint32_t)(b >> 3) & 127]);
        mix((uint64_t)((unsigned char *)words)[a & 511]);
    }
    show("bits");
}

static void quad(void)
{
    long double product = 1, series = 0, term = 1;
    for (int i = 1; i < 400; i++) {
        product = product * (1 + 1.0L / i) / 1.01L - 0.001L;
        term /= i;
        series += term;
    }
    printf("quad: %.33Lg %.33Lg\n", product, series);
    for (int i = 0; i < 5000; i++) {
        long double a = (long double)(int64_t)next(), b = (long double)next() / 3;
        mix((uint64_t)(a < b) + 2 * (uint64_t)(a == b));
        mix((uint64_t)(int64_t)(a / (b + 1)));
        mix((uint64_t)(int64_t)(double)(a * 1e-5L - b * 1e-7L));
        mix((uint64_t)(float)b);
    }
    show("quad");
}

static _Atomic uint64_t shared64 = 1;
static _Atomic uint32_t shared32 = 1;
static _Atomic uint16_t shared16 = 1; // by load-reserved and store-conditional of the word around it
static _Atomic uint8_t shared8 = 1;
static atomic_flag held = ATOMIC_FLAG_INIT;
static _Atomic bool truth;

static void atomics(void)
{
    for (int i = 0; i < 20000; i++) {
        uint64_t a = next();
        mix(atomic_fetch_add(&shared64, a)), mix(atomic_fetch_sub(&shared32, (uint32_t)a));
        mix(atomic_fetch_and(&shared64, a | a << 7)), mix(atomic_fetch_or(&shared32, (uint32_t)(a & a >> 9)));
        mix(atomic_fetch_xor(&shared64, a)), mix(atomic_exchange(&shared32, (uint32_t)a));
        mix(atomic_fetch_add(&shared16, (uint16_t)a)), mix(atomic_fetch_xor(&shared8, (uint8_t)a));
        uint64_t expected = a & 1 ? atomic_load(&shared64) : a;
        mix(atomic_compare_exchange_strong(&shared64, &expected, a * 3));
        mix(expected);
        uint32_t narrow = a & 2 ? atomic_load(&shared32) : 7;
        while (a & 2 && !atomic_compare_exchange_weak(&shared32, &narrow, narrow + 5))
            ;
        uint8_t byte = atomic_load(&shared8);
        mix(atomic_compare_exchange_strong(&shared8, &byte, (uint8_t)(a >> 8)));
        mix(atomic_flag_test_and_set(&held) + 2u * atomic_exchange(&truth, a >> 20 & 1));
        atomic_flag_clear(&held);
        atomic_thread_fence(memory_order_seq_cst);
        mix(shared64 + shared32 + shared16 + shared8);
    }
    long value = 5, old;
    __asm__ volatile("amomax.d %0, %2, (%1)" : "=r"(old) : "r"(&value), "r"(9l) : "memory");
    printf("amomax %ld %ld", old, value);
    __asm__ volatile("amominu.d %0, %2, (%1)" : "=r"(old) : "r"(&value), "r"(-1l) : "memory");
    printf(", amominu %ld %ld", old, value);
    long failed;
    __asm__ volatile("sc.d %0, %2, (%1)" : "=&r"(failed) : "r"(&value), "r"(1l) : "memory");
    printf(", lone sc fails %d %ld\n", failed != 0, value);
    show("atomics");
}

int main(void)
{
    wide_integers();
    integers();
    bits();
    quad();
    atomics();
    return 0;
}
