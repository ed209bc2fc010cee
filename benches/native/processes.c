// processes WHAT COUNT [PAGES [FILE]]: does one thing that an operating system does COUNT times, in
// plain C for the host's Linux and for pagewalk's. benches/processes.sh builds it for both, and
// measures from outside: a guest has a clock of its own.
//
//   fault        first touches of fresh anonymous pages
//   fork         fork, exit and wait of a process with PAGES resident pages
//   exec         fork, exec of FILE, exit and wait of the same
//   cow          first writes to pages that a child shares
//   switch       round trips between two processes through two pipes: two context switches each
//   futex        round trips between two threads that wake each other
//   many         processes of PAGES pages of their own each, all alive at once
//   nothing      for exec: a program that ends at once
//
// Setting up does not depend on COUNT, and COUNT may be 0: the difference is the thing itself.

#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BATCH = 4096 }; // pages

static size_t page;

static void must(int success, const char *what)
{
    if (success)
        return;
    perror(what);
    exit(1);
}

static char *map(long pages)
{
    if (pages == 0)
        return NULL;
    size_t bytes = (size_t)pages * page;
    char *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(memory != MAP_FAILED, "mmap");
    // Base pages are compared with base pages. A kernel without large ones may refuse this.
    madvise(memory, bytes, MADV_NOHUGEPAGE);
    return memory;
}

static void write_pages(char *memory, long pages)
{
    for (long i = 0; i < pages; i++)
        *(volatile char *)(memory + (size_t)i * page) = 1;
}

static pid_t start(void)
{
    pid_t child = fork();
    must(child >= 0, "fork");
    return child;
}

static void end(pid_t child)
{
    int status;
    must(waitpid(child, &status, 0) == child, "waitpid");
    must(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a child");
}

static void fault(long count)
{
    while (count > 0) {
        long pages = count < BATCH ? count : BATCH;
        char *memory = map(pages);
        write_pages(memory, pages);
        munmap(memory, (size_t)pages * page);
        count -= pages;
    }
}

static void fork_often(long count, long pages, const char *file)
{
    write_pages(map(pages), pages);
    for (; count > 0; count--) {
        pid_t child = start();
        if (child == 0 && file != NULL) {
            execl(file, file, "nothing", "0", (char *)NULL);
            perror(file);
        }
        if (child == 0)
            _exit(file != NULL);
        end(child);
    }
}

// A child holds the pages, asleep, while the parent writes to all of them.
static void copy(long count)
{
    char *memory = map(BATCH);
    write_pages(memory, BATCH);
    while (count > 0) {
        long pages = count < BATCH ? count : BATCH;
        int go[2];
        char byte;
        must(pipe(go) == 0, "pipe");
        pid_t child = start();
        if (child == 0)
            _exit(read(go[0], &byte, 1) != 1);
        write_pages(memory, pages);
        must(write(go[1], "", 1) == 1, "write");
        end(child);
        close(go[0]);
        close(go[1]);
        count -= pages;
    }
}

static void switch_often(long count)
{
    int there[2], back[2];
    char byte = 0;
    must(pipe(there) == 0 && pipe(back) == 0, "pipe");
    pid_t child = start();
    if (child == 0) {
        for (long i = 0; i < count; i++)
            must(read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1, "a trip");
        _exit(0);
    }
    for (long i = 0; i < count; i++)
        must(write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1, "a trip");
    end(child);
}

static uint32_t turn; // 0: the first thread's, 1: the second's
static long trips;

static void take_turns(uint32_t self)
{
    for (long i = 0; i < trips; i++) {
        while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != self)
            syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, 1 - self, NULL, NULL, 0);
        __atomic_store_n(&turn, 1 - self, __ATOMIC_RELEASE);
        syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

static void *second(void *nothing)
{
    take_turns(1);
    return nothing;
}

static void futex_often(long count)
{
    pthread_t thread;
    trips = count;
    must(pthread_create(&thread, NULL, second, NULL) == 0, "pthread_create");
    take_turns(0);
    must(pthread_join(thread, NULL) == 0, "pthread_join");
}

// Each child says when its memory is there, and stays until the parent closes the other pipe.
static void crowd(long count, long pages)
{
    int ready[2], stay[2];
    char byte = 0;
    must(pipe(ready) == 0 && pipe(stay) == 0, "pipe");
    for (long i = 0; i < count; i++) {
        if (start() != 0)
            continue;
        close(stay[1]);
        write_pages(map(pages), pages);
        must(write(ready[1], &byte, 1) == 1, "write");
        _exit(read(stay[0], &byte, 1) != 0);
    }
    for (long i = 0; i < count; i++)
        must(read(ready[0], &byte, 1) == 1, "read");
    close(stay[1]);
    for (long i = 0; i < count; i++) {
        int status;
        must(wait(&status) > 0 && status == 0, "a child");
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s WHAT COUNT [PAGES [FILE]]\n", argv[0]);
        return 1;
    }
    page = (size_t)sysconf(_SC_PAGESIZE);
    const char *what = argv[1];
    long count = atol(argv[2]);
    long pages = argc > 3 ? atol(argv[3]) : 0;
    if (strcmp(what, "fault") == 0)
        fault(count);
    else if (strcmp(what, "fork") == 0)
        fork_often(count, pages, NULL);
    else if (strcmp(what, "exec") == 0)
        fork_often(count, pages, argc > 4 ? argv[4] : argv[0]);
    else if (strcmp(what, "cow") == 0)
        copy(count);
    else if (strcmp(what, "switch") == 0)
        switch_often(count);
    else if (strcmp(what, "futex") == 0)
        futex_often(count);
    else if (strcmp(what, "many") == 0)
        crowd(count, pages);
    else if (strcmp(what, "nothing") != 0) {
        fprintf(stderr, "%s: nothing is called %s\n", argv[0], what);
        return 1;
    }
    return 0;
}
