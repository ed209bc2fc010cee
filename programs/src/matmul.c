// matmul [N]: multiplies two N x N matrices of doubles, in blocks that fit a few pages.
// matmul-naive [N]: the same product by the schoolbook's three loops (built with NAIVE, see
// matmul-naive.c).
//
// Both print the same line. What differs is the order of the memory references: the naive inner
// loop walks down a column of B, N * 8 bytes at each step, which for N >= 512 is another page every
// time. The number of TLB misses tells the two apart, the result does not.
//
// The elements are small whole numbers, so every sum is exact and independent of the order of
// additions.

#include "rt/rt.h"

#ifdef NAIVE

static void multiply(u64 n, const double *a, const double *b, double *c)
{
    for (u64 i = 0; i < n; i++)
        for (u64 j = 0; j < n; j++) {
            double sum = 0;
            for (u64 k = 0; k < n; k++)
                sum += a[i * n + k] * b[k * n + j];
            c[i * n + j] = sum;
        }
}

#else

enum { BLOCK = 32 }; // three blocks of 32 x 32 doubles are 24 KiB

// C's block at (i0, j0) += A's block at (i0, k0) * B's block at (k0, j0), rows innermost.
static void multiply_block(u64 n, const double *a, const double *b, double *c, u64 i0, u64 j0,
                           u64 k0)
{
    u64 i1 = smaller(i0 + BLOCK, n), j1 = smaller(j0 + BLOCK, n), k1 = smaller(k0 + BLOCK, n);
    for (u64 i = i0; i < i1; i++)
        for (u64 k = k0; k < k1; k++) {
            double factor = a[i * n + k];
            for (u64 j = j0; j < j1; j++)
                c[i * n + j] += factor * b[k * n + j];
        }
}

static void multiply(u64 n, const double *a, const double *b, double *c)
{
    for (u64 i = 0; i < n; i += BLOCK)
        for (u64 j = 0; j < n; j += BLOCK)
            for (u64 k = 0; k < n; k += BLOCK)
                multiply_block(n, a, b, c, i, j, k);
}

#endif

static double *random_matrix(u64 n, u64 *seed)
{
    double *matrix = map_anonymous(n * n * sizeof(double));
    for (u64 i = 0; i < n * n; i++)
        matrix[i] = next_random(seed) % 16;
    return matrix;
}

// Weights every element by its place, so that a right value in a wrong place shows.
static u64 checksum(u64 n, const double *matrix)
{
    u64 sum = 0;
    for (u64 i = 0; i < n * n; i++)
        sum = sum * 31 + (u64)matrix[i];
    return sum;
}

static u64 trace(u64 n, const double *matrix)
{
    u64 sum = 0;
    for (u64 i = 0; i < n; i++)
        sum += (u64)matrix[i * n + i];
    return sum;
}

int main(int argc, char **argv)
{
    expect_arguments(argc, 0, 1, "[N]");
    u64 n = number_argument(argc, argv, 1, "N", 128, 1, 4096);

    u64 seed = 1;
    double *a = random_matrix(n, &seed);
    double *b = random_matrix(n, &seed);
    double *c = map_anonymous(n * n * sizeof(double));
    multiply(n, a, b, c);
    print("%lu x %lu product: trace %lu, checksum 0x%016lx\n", n, n, trace(n, c), checksum(n, c));
    return 0;
}
