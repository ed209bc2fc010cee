/*
 * guest FROM TO [CALLS]: system calls that no honest program makes. Each number from FROM up to TO
 * seeds a process that makes up to CALLS (80) calls: any number from 0 to 600, with arguments at
 * which kernels break.
 *
 *   parent                         child: a session of its own
 *     fork ───────────────────────►  one descriptor of each kind, mappings with edges
 *     wait, 50 ms at most            call, call, call … until it ends itself, or is ended
 *     SIGKILL to everyone else
 *
 * What children do to each other, to themselves and to files below the root is all allowed. Kept
 * out is what would end the run before its time: signals to the parent, and reboot(); and what only
 * fills the host's disk: allocating and copying more than some megabytes.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../differential/executor/system_call.h"

#define PAGE 4096ul
#define NUMBER_MAX 600
#define BUFFERS 8
#define CALL(NAME, A, B, C, D) system_call(SYS_##NAME, (long)(A), (long)(B), (long)(C), (long)(D), 0, 0)

static uint64_t state;

/* SplitMix64. */
static uint64_t bits(void) {
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static unsigned below(unsigned bound) {
    return (unsigned)((bits() >> 32) * bound >> 32);
}

/* The pages that arguments point into. */
enum { PLAIN, READ_ONLY, NO_ACCESS, OF_FILE, BEHIND_END, SHARED, GUARDED, HOLE, PLACES };
static unsigned char *places[PLACES];
static unsigned char *buffers;

static const char *const paths[] = {
    "/", ".", "..", "a", "b", "/a", "d", "/d/x", "../../../etc/passwd", "/proc/self/maps", "l",
    "/proc/self/fd/3", "/proc/self/mem", "/proc/self/pagemap", "/proc/2/status", "/dev/null", "/dev/zero",
    "/dev/shm/s", "/tmp/t", "/proc/self/exe", "", "/proc/sys/vm/overcommit_memory", "/proc/self/clear_refs",
    "/proc/self/oom_score_adj", "/proc/self/task", "/sys", "/proc/meminfo",
};

static const uint64_t nasty[] = {
    0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 24, 31, 32, 33, 63, 64, 127, 128, 255, 256, 1000, 1024, 4095,
    4096, 4097, 8192, 0xffff, 0x10000, 0x1fffff, 0x7ffff000, 0x7fffffff, 0x80000000, 0xfffffffe,
    0xffffffff, 0x100000000, 0x3fffffffff, 0x4000000000, 0x7fffffffffffffff, 0x7ffffffffffff000,
    1ull << 63, -1ull, -2ull, -8ull, -100ull, -4095ull, -4096ull, -8192ull, 999999999, 1000000000,
};

static uint64_t address(void) {
    uint64_t at = (uint64_t)places[below(PLACES)];
    switch (below(6)) {
        case 0: return at;
        case 1: return at + PAGE - 1 - below(32);      /* the end of a mapping */
        case 2: return at + below(PAGE);
        case 3: return at - 1 - below(16);
        default: return (uint64_t)buffers + below(BUFFERS * PAGE / 8) * 8;
    }
}

static uint64_t value(void) {
    switch (below(12)) {
        case 0: case 1: case 2: return nasty[below(sizeof nasty / sizeof *nasty)];
        case 3: case 4: return below(32);              /* descriptors, signals, small commands */
        case 5: return 1ull << below(64);
        case 6: return bits() >> below(64);
        case 7: return below(16) * PAGE;
        case 8: return below(1 << 16);
        default: return address();
    }
}

/* Structures: words of the same kind, so that what they point to is as bad as themselves. */
static void fill_buffers(void) {
    uint64_t *words = (uint64_t *)buffers;
    for (unsigned word = 0; word < BUFFERS * PAGE / 8; word++) {
        if (below(3) == 0) words[word] = value();
        else if (below(3) == 0) words[word] = 0;
        else if (below(6) == 0) words[word] = value() << 32 | (uint32_t)value();
    }
    for (unsigned each = 0; each < 40; each++) {
        const char *path = paths[below(sizeof paths / sizeof *paths)];
        strcpy((char *)buffers + below(BUFFERS * PAGE / 32 - 2) * 32, path);
    }
}

static unsigned char *map(unsigned long len, int protection, int flags, int file) {
    return mmap(NULL, len, protection, flags, file, 0);
}

/* One mapping of each kind, each with a hole behind it, and one descriptor of each kind. */
static void set_up(void) {
    int file = open("a", O_RDWR | O_CREAT | O_TRUNC, 0600);
    int short_file = open("b", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (ftruncate(file, 3 * PAGE) != 0 || ftruncate(short_file, 100) != 0) _exit(98);
    mkdir("d", 0700);
    symlink("l", "l");
    unsigned char *area = map(3 * PLACES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    for (unsigned place = 0; place < PLACES; place++) {
        unsigned char *at = places[place] = area + (3 * place + 1) * PAGE;
        int anonymous = MAP_FIXED | MAP_ANONYMOUS, both = PROT_READ | PROT_WRITE;
        switch (place) {
            case PLAIN: mmap(at, PAGE, both, MAP_PRIVATE | anonymous, -1, 0); break;
            case READ_ONLY: mmap(at, PAGE, PROT_READ, MAP_PRIVATE | anonymous, -1, 0); break;
            case OF_FILE: mmap(at, PAGE, both, MAP_SHARED | MAP_FIXED, file, 0); break;
            case BEHIND_END: mmap(at, PAGE, both, MAP_SHARED | MAP_FIXED, short_file, PAGE); break;
            case SHARED: mmap(at, PAGE, both, MAP_SHARED | anonymous, -1, 0); break;
            case GUARDED: mmap(at, PAGE, both, MAP_PRIVATE | MAP_GROWSDOWN | anonymous, -1, 0); break;
            case HOLE: munmap(at, PAGE); break;
            default: break;
        }
    }
    buffers = mmap(NULL, BUFFERS * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fill_buffers();
    int pair[2];
    CALL(pipe2, pair, O_NONBLOCK, 0, 0);
    CALL(openat, AT_FDCWD, "/", O_RDONLY | O_DIRECTORY, 0);
    CALL(openat, AT_FDCWD, "/proc/self/maps", O_RDONLY, 0);
    CALL(openat, AT_FDCWD, "/proc/self/mem", O_RDWR, 0);
    CALL(openat, AT_FDCWD, "/dev/zero", O_RDWR, 0);
    CALL(openat, AT_FDCWD, "d", O_PATH, 0);
    CALL(memfd_create, "m", 3, 0, 0);
    CALL(eventfd2, 1, O_NONBLOCK, 0, 0);
    CALL(epoll_create1, 0, 0, 0, 0);
    CALL(timerfd_create, 1, 0, 0, 0);
    uint64_t all = -1ull;
    CALL(signalfd4, -1, &all, 8, 0);
    CALL(pidfd_open, getpid(), 0, 0, 0);
    CALL(socketpair, 1, 1, 0, pair);
    CALL(socketpair, 1, 2, 0, pair);
    CALL(socket, 2, 1, 0, 0);
    CALL(socket, 2, 2, 0, 0);
    CALL(socket, 1, 5, 0, 0);
}

/* Calls that have more to do than others: memory, files, sockets, threads. */
static const unsigned short often[] = {
    SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_madvise, SYS_brk, SYS_mincore, SYS_msync,
    SYS_mlock, SYS_remap_file_pages, SYS_shmget, SYS_shmat, SYS_shmctl, SYS_shmdt, SYS_memfd_create,
    SYS_clone, SYS_clone3, SYS_futex, SYS_futex_waitv, SYS_set_robust_list, SYS_execve, SYS_ioctl, SYS_fcntl,
    SYS_openat, SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_ftruncate,
    SYS_dup3, SYS_epoll_ctl, SYS_epoll_pwait, SYS_ppoll, SYS_sendmsg, SYS_recvmsg, SYS_bind, SYS_connect,
    SYS_setsockopt, SYS_getsockopt, SYS_semctl, SYS_semget, SYS_semtimedop, SYS_msgsnd, SYS_msgrcv,
    SYS_msgget, SYS_msgctl, SYS_timer_create, SYS_timer_settime, SYS_timerfd_settime, SYS_setitimer,
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_process_madvise,
    SYS_process_vm_readv, SYS_process_vm_writev, SYS_prctl, SYS_prlimit64, SYS_fallocate, SYS_lseek,
    SYS_close_range, SYS_getdents64, SYS_userfaultfd, SYS_splice, SYS_sendfile, SYS_copy_file_range,
    SYS_pselect6, SYS_sched_setaffinity, SYS_membarrier, SYS_waitid, SYS_wait4, SYS_capset,
};

static long pick_number(void) {
    return below(2) ? often[below(sizeof often / sizeof *often)] : below(NUMBER_MAX + 1);
}

static int ends_the_run(long number, const uint64_t *arg) {
    int target = (int)arg[0];
    switch (number) {
        case SYS_kill: case SYS_tkill: case SYS_tgkill:
        case SYS_rt_sigqueueinfo: case SYS_rt_tgsigqueueinfo:
            return target == -1 || target == 2 || (int)arg[1] == 2 || target == -2;
        case SYS_prlimit64: return target == 2;
        case SYS_reboot: return 1;
        case SYS_fallocate: return arg[2] + arg[3] > 1 << 24;
        case SYS_sendfile: return arg[3] > 1 << 20;
        case SYS_copy_file_range: return arg[4] > 1 << 20;
        case SYS_exit: case SYS_exit_group: return below(4) != 0;
        default: return 0;
    }
}

static void live(uint64_t seed, unsigned calls) {
    state = seed * 0x2545f4914f6cdd1du + 1;
    CALL(setsid, 0, 0, 0, 0);
    set_up();
    for (unsigned each = 0; each < calls; each++) {
        uint64_t arg[6];
        long number = pick_number();
        for (unsigned which = 0; which < 6; which++) arg[which] = value();
        if (below(3)) arg[0] = below(2) ? below(32) : address();
        if (ends_the_run(number, arg)) continue;
        system_call(number, (long)arg[0], (long)arg[1], (long)arg[2], (long)arg[3], (long)arg[4], (long)arg[5]);
        if (below(8) == 0) fill_buffers();
    }
    _exit(0);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    unsigned long from = strtoul(argv[1], NULL, 0), to = strtoul(argv[2], NULL, 0);
    unsigned calls = argc > 3 ? (unsigned)atoi(argv[3]) : 80;
    for (unsigned long seed = from; seed < to; seed++) {
        pid_t child = fork();
        if (child == 0) live(seed, calls);
        if (child < 0) continue;
        long handle = CALL(pidfd_open, child, 0, 0, 0);
        struct { int fd; short events, revents; } poll = {(int)handle, 1, 0};
        struct timespec limit = {0, 50000000};
        CALL(ppoll, &poll, 1, &limit, NULL);
        close((int)handle);
        kill(-1, SIGKILL);
        while (waitpid(-1, NULL, __WALL) > 0) {}
    }
    printf("%lu lives\n", to - from);
    return 0;
}
