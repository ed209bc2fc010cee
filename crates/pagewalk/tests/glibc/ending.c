// All the ways to end. The argument chooses.

#define _GNU_SOURCE
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void farewell(void)
{
    printf("at exit\n");
}

__attribute__((noinline)) static int endless(int depth)
{
    volatile char frame[1000];
    frame[depth % 1000] = 1;
    return depth < 0 ? 0 : endless(depth + 1) + frame[0];
}

static void ignore_all(int signal)
{
    (void)signal;
}

int main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "return";
    volatile int *volatile nowhere = NULL;
    atexit(farewell);
    printf("ending by %s\n", way);
    if (!strcmp(way, "_exit")) {
        fflush(stdout);
        _exit(77);
    }
    // What is still buffered when a signal kills is lost.
    if (strcmp(way, "lost"))
        fflush(stdout);
    if (!strcmp(way, "return")) return 5;
    if (!strcmp(way, "negative")) exit(-1);
    if (!strcmp(way, "quick")) quick_exit(9);
    if (!strcmp(way, "abort") || !strcmp(way, "lost")) abort();
    if (!strcmp(way, "assert")) assert(argc == 99);
    if (!strcmp(way, "null")) return *nowhere;
    if (!strcmp(way, "text")) *(volatile char *)(void *)main = 0;
    if (!strcmp(way, "overflow")) return endless(0);
    if (!strcmp(way, "illegal")) __asm__ volatile("unimp");
    if (!strcmp(way, "breakpoint")) __asm__ volatile("ebreak");
    if (!strcmp(way, "terminate")) raise(SIGTERM);
    if (!strcmp(way, "kill")) kill(getpid(), SIGKILL);
    if (!strcmp(way, "user")) raise(SIGUSR1);
    if (!strcmp(way, "double-free")) {
        char *volatile block = malloc(40), *volatile again = block;
        free(block);
        free(again);
    }
    if (!strcmp(way, "blocked")) { // a fault cannot be blocked
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        return *nowhere;
    }
    if (!strcmp(way, "ignored")) { // nor ignored
        signal(SIGSEGV, SIG_IGN);
        return *nowhere;
    }
    if (!strcmp(way, "abort-handled")) { // a handler that returns does not save it
        signal(SIGABRT, ignore_all);
        abort();
    }
    if (!strcmp(way, "bus")) {
        FILE *file = fopen("empty", "w+");
        char *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fileno(file), 0);
        remove("empty");
        return *(volatile char *)map;
    }
    if (!strcmp(way, "pipe")) {
        int ends[2];
        if (pipe(ends) == 0)
            close(ends[0]);
        return (int)write(ends[1], "x", 1);
    }
    return 0;
}
