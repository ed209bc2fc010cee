// Signals: faults caught, repaired and left by siglongjmp; an alternate stack under an overflow; masks,
// nesting, restarting; registers and floating point as they were before the handler.
//
// With an argument, it does not jump to data: not every MMU can forbid that.

#define _GNU_SOURCE
#include <errno.h>
#include <fenv.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf back;
static volatile sig_atomic_t caught_signal, caught_code, count;
static void *volatile caught_address;

static void leave(int signal, siginfo_t *info, void *context)
{
    (void)context;
    caught_signal = signal;
    caught_code = info->si_code;
    caught_address = info->si_addr;
    siglongjmp(back, 1);
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, NULL);
}

#define TRY(what, where, action)                                                                    \
    do {                                                                                            \
        caught_signal = 0;                                                                          \
        if (sigsetjmp(back, 1) == 0) {                                                              \
            action;                                                                                 \
        }                                                                                           \
        printf("%s: %s, code %d, %s\n", what, caught_signal ? strsignal(caught_signal) : "nothing", \
               caught_code, (uintptr_t)caught_address == (uintptr_t)(where) ? "there" : "elsewhere"); \
    } while (0)

static void faults(int jumps_to_data)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 3 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(pages + 2 * page, page);
    handle(SIGSEGV, leave, 0);
    handle(SIGBUS, leave, 0);
    handle(SIGILL, leave, 0);
    handle(SIGTRAP, leave, 0);
    volatile char *volatile at;
    TRY("load from 0", 0, (at = 0, (void)*at));
    TRY("load from 4096", 4096, (at = (char *)4096, (void)*at));
    TRY("store to read-only", pages + 5, (at = pages + 5, *at = 1));
    TRY("load beyond", pages + 2 * page, (at = pages + 2 * page, (void)*at));
    TRY("load across the end", pages + 2 * page,
        (at = pages + 2 * page - 3, (void)*(volatile uint64_t *)at));
    mprotect(pages, page, PROT_NONE);
    TRY("load from no access", pages, (at = pages, (void)*at));
    if (jumps_to_data)
        TRY("jump to data", pages + page, ((void (*)(void))(pages + page))());
    TRY("jump to 0", 16, ((void (*)(void))16)());
    TRY("atomic on read-only", pages + page, __atomic_fetch_add((int *)(pages + page), 1, 5));
    TRY("breakpoint", caught_address, __asm__ volatile("ebreak"));
    TRY("illegal instruction", caught_address, __asm__ volatile("unimp"));
    FILE *file = fopen("short.bin", "w+");
    fputs("short", file);
    fflush(file);
    char *map = mmap(NULL, 2 * page, PROT_READ, MAP_PRIVATE, fileno(file), 0);
    TRY("a mapped file", caught_address, (void)(map[5] == 0));
    TRY("beyond the end of a file", map + page, (at = map + page, (void)*at));
    fclose(file);
    remove("short.bin");
}

static char *repaired;
static size_t page_size;

// Allows the access and returns: the instruction runs again.
static void repair(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    count++;
    uintptr_t page = (uintptr_t)info->si_addr & ~(page_size - 1);
    mprotect((void *)page, page_size, PROT_READ | PROT_WRITE);
}

static void repairing(void)
{
    page_size = (size_t)sysconf(_SC_PAGESIZE);
    repaired = mmap(NULL, 64 * page_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    handle(SIGSEGV, repair, 0);
    count = 0;
    for (size_t i = 0; i < 64 * page_size / 8; i += 37)
        ((uint64_t *)repaired)[i] += i;
    *(volatile uint64_t *)(repaired + page_size - 4) = 0x1122334455667788; // both pages are open now
    uint64_t sum = 0;
    for (size_t i = 0; i < 64 * page_size / 8; i++)
        sum = sum * 3 + ((uint64_t *)repaired)[i];
    printf("repaired %d pages, checksum %lx\n", (int)count, (unsigned long)sum);
    mprotect(repaired, 2 * page_size, PROT_NONE);
    count = 0;
    *(volatile uint64_t *)(repaired + page_size - 2) = 0x0102030405060708;
    printf("a store across two closed pages: %d faults, %02x %02x\n", (int)count,
           repaired[page_size - 1], repaired[page_size]);
}

// Skips the instruction, and changes registers, through the context.
static void edit(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    machine->__gregs[REG_PC] += 4;
    machine->__gregs[REG_A0] = 1234;
}

static void editing(void)
{
    handle(SIGSEGV, edit, 0);
    register long a0 __asm__("a0") = 0;
    __asm__ volatile(".option push\n.option norvc\nld a0, 0(a0)\n.option pop" : "+r"(a0));
    printf("loaded %ld\n", a0);
}

__attribute__((noinline)) static long overflow(long depth)
{
    volatile char frame[4096];
    frame[depth % 4096] = (char)depth;
    if (depth < 0)
        return 0;
    return overflow(depth + 1) + frame[depth % 4096];
}

static void stack_overflow(void)
{
    static char alternate[65536];
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate}, old;
    sigaltstack(&stack, NULL);
    handle(SIGSEGV, leave, SA_ONSTACK);
    for (int round = 0; round < 2; round++) {
        caught_signal = 0;
        if (sigsetjmp(back, 1) == 0)
            printf("%ld\n", overflow(0));
        sigaltstack(NULL, &old);
        printf("stack overflow: %s, flags %d\n", strsignal(caught_signal), old.ss_flags);
    }
}

static void nested(int signal, siginfo_t *info, void *context)
{
    (void)context;
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    printf("  handler %d: from %s, blocked %d %d, errno kept %d\n", signal,
           info->si_code == SI_TKILL ? "tgkill" : info->si_code == SI_USER ? "kill" : "?",
           sigismember(&mask, SIGUSR1), sigismember(&mask, SIGUSR2), errno == EDOM);
    count++;
    if (signal == SIGUSR1 && count < 3)
        raise(SIGUSR2);
    fesetround(FE_UPWARD);
    volatile double spoil = 1.0 / 3;
    spoil *= 3;
}

static void raising(void)
{
    handle(SIGUSR1, nested, 0);
    handle(SIGUSR2, nested, 0);
    count = 0;
    errno = EDOM;
    register double kept __asm__("fs1") = 0.1;
    __asm__ volatile("" : "+f"(kept));
    raise(SIGUSR1);
    __asm__ volatile("" : "+f"(kept));
    printf("raised: %d, register %a, rounding kept %d\n", (int)count, kept, fegetround() == FE_TONEAREST);
    errno = EDOM;
    kill(getpid(), SIGUSR2);

    sigset_t both, old, pending;
    sigemptyset(&both);
    sigaddset(&both, SIGUSR1);
    sigaddset(&both, SIGUSR2);
    sigprocmask(SIG_BLOCK, &both, &old);
    raise(SIGUSR2);
    raise(SIGUSR1);
    raise(SIGUSR1);
    sigpending(&pending);
    printf("pending %d %d, handled %d\n", sigismember(&pending, SIGUSR1), sigismember(&pending, SIGUSR2),
           (int)count);
    errno = EDOM;
    sigprocmask(SIG_SETMASK, &old, NULL);
    printf("after unblocking: %d\n", (int)count);

    handle(SIGUSR1, nested, SA_RESETHAND | SA_NODEFER);
    errno = EDOM;
    raise(SIGUSR1);
    struct sigaction now;
    sigaction(SIGUSR1, NULL, &now);
    printf("reset: %d\n", now.sa_handler == SIG_DFL);
    signal(SIGUSR1, SIG_IGN);
    raise(SIGUSR1);
    raise(SIGCHLD);
    printf("ignored; KILL cannot be: %d %s\n", signal(SIGKILL, SIG_IGN) == SIG_ERR, strerror(errno));
}

int main(int argc, char **argv)
{
    (void)argv;
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    faults(argc == 1);
    repairing();
    editing();
    struct rlimit limit = {256 << 10, RLIM_INFINITY};
    setrlimit(RLIMIT_STACK, &limit);
    stack_overflow();
    raising();
    return 0;
}
