// Control flow that is not a call and a return: longjmp, coroutines, recursion by the hundred thousand,
// variable arguments, stack arrays, constructors and functions at exit, threads of none.

#define _GNU_SOURCE
#include <alloca.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

static __thread int per_thread = 7;
static __thread char per_thread_zeros[1000];
static int constructed;

// Larger than the memory of most of the machines that this runs on; hardly touched.
static char zeros[64 << 20];
static int table[3000] = {[0] = 1, [1500] = 2, [2999] = 3};

__attribute__((constructor)) static void construct(void)
{
    constructed++;
}

__attribute__((destructor)) static void destruct(void)
{
    printf("destructor\n");
    fflush(stdout);
}

static jmp_buf place;

__attribute__((noinline)) static void dive(int depth)
{
    volatile char frame[100];
    frame[depth % 100] = 1;
    if (depth == 0)
        longjmp(place, 42);
    if (depth > 0)
        dive(depth - 1);
    frame[depth % 100]++;
}

static void jumps(void)
{
    volatile int rounds = 0;
    double precious = 1.25;
    int value = setjmp(place);
    rounds++;
    if (rounds < 4)
        dive(100 * rounds);
    printf("jumped: %d after %d rounds, %.2f\n", value, rounds, precious);
    if (setjmp(place) == 0)
        longjmp(place, 0);
    else
        printf("0 becomes 1\n");
}

static ucontext_t home, worker[2];
static char stacks[2][32768];

static void work(int which, int steps)
{
    for (int i = 0; i < steps; i++) {
        printf("coroutine %d step %d\n", which, i);
        swapcontext(&worker[which], &worker[!which]);
    }
}

static void coroutines(void)
{
    for (int i = 0; i < 2; i++) {
        getcontext(&worker[i]);
        worker[i].uc_stack = (stack_t){.ss_sp = stacks[i], .ss_size = sizeof stacks[i]};
        worker[i].uc_link = &home;
        makecontext(&worker[i], (void (*)(void))work, 2, i, 3);
    }
    swapcontext(&home, &worker[0]);
    printf("home again\n");
}

__attribute__((noinline)) static uint64_t recurse(uint64_t depth, uint64_t a, double b)
{
    if (depth == 0)
        return a + (uint64_t)b;
    uint64_t below = recurse(depth - 1, a * 3 + depth, b + 0.5);
    return below ^ depth;
}

static long ackermann(long m, long n)
{
    return m == 0 ? n + 1 : n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

static double mixed(int count, ...)
{
    struct pair { double x; long y; };
    va_list list, again;
    va_start(list, count);
    va_copy(again, list);
    double sum = 0;
    for (int i = 0; i < count; i++) {
        sum += va_arg(list, int);
        sum += va_arg(list, double);
        sum += (double)va_arg(list, long double);
        sum += (double)va_arg(list, long long);
        struct pair p = va_arg(list, struct pair);
        sum += p.x * (double)p.y;
    }
    sum += va_arg(again, int);
    va_end(again);
    va_end(list);
    return sum;
}

static void arguments(void)
{
    struct pair { double x; long y; } p = {0.5, 8};
    printf("mixed: %g %g\n", mixed(1, 1, 2.5, 3.25L, 4ll, p),
           mixed(2, 1, 2.0, 3.0L, 4ll, p, 5, 6.0, 7.0L, 8ll, p));
    unsigned sum = 0;
    for (int round = 1; round < 200; round++) {
        char variable[round * 50], *allocated = alloca((size_t)round * 20);
        memset(variable, round, sizeof variable);
        memset(allocated, round + 1, (size_t)round * 20);
        sum = sum * 7 + (unsigned)variable[round * 50 - 1] + (unsigned)allocated[round];
    }
    printf("stack arrays: %u\n", sum);
}

static void statics(void)
{
    long sum = 0;
    for (size_t i = 0; i < sizeof zeros; i += 1 << 20)
        sum += zeros[i]++;
    for (int i = 0; i < 3000; i++)
        sum += table[i] * (i + 1);
    for (size_t i = 0; i < sizeof per_thread_zeros; i++)
        sum += per_thread_zeros[i];
    printf("statics: %ld, thread-local %d, constructed %d\n", sum, per_thread, constructed);
}

static void first(void) { printf("at exit: registered first\n"); }
static void second(void) { printf("at exit: registered second\n"); atexit(first); }
static void with_status(int status, void *data) { printf("on exit: %d %s\n", status, (char *)data); }

int main(int argc, char **argv)
{
    jumps();
    coroutines();
    uint64_t depth = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
    printf("recursion: %016lx\n", (unsigned long)recurse(depth, 1, 0.25));
    printf("ackermann: %ld\n", ackermann(2, 300));
    arguments();
    statics();
    on_exit(with_status, "data");
    atexit(second);
    atexit(first);
    exit(300); // the low eight bits of it
}
