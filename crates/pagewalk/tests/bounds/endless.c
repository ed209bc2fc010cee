/* Goes on for ever in the way that its argument names. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile char *const nowhere = (char *)64;
static char stack[1 << 16];

static void again(int signal) { (void)signal; }

static void handle(void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGALRM, &action, 0);
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    struct itimerval each = {{0, 1}, {0, 1}};
    if (!strcmp(how, "blocked")) {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, 0);
        *nowhere = 1;
    } else if (!strcmp(how, "ignored")) {
        handle(SIG_IGN, 0);
        *nowhere = 1;
    } else if (!strcmp(how, "handled")) {
        handle(again, 0);
        *nowhere = 1;
    } else if (!strcmp(how, "handler-nowhere")) {
        stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
        sigaltstack(&other, 0);
        handle((void (*)(int))0x123456000, SA_NODEFER | SA_ONSTACK);
        *nowhere = 1;
    } else if (!strcmp(how, "stack-nowhere")) {
        handle(again, 0);
        __asm__ volatile("li sp, 64\n sd zero, 0(sp)");
    } else if (!strcmp(how, "jump-nowhere")) {
        handle(again, SA_NODEFER);
        ((void (*)(void))0x123456000)();
    } else if (!strcmp(how, "timers")) {
        handle(SIG_IGN, 0);
        setitimer(ITIMER_REAL, &each, 0);
        for (;;) pause();
    } else if (!strcmp(how, "alarms")) {
        handle(again, 0);
        setitimer(ITIMER_REAL, &each, 0);
        for (;;) pause();
    } else if (!strcmp(how, "nothing")) {
        for (;;) pause();
    } else if (!strcmp(how, "yields")) {
        for (;;) sched_yield();
    } else if (!strcmp(how, "unknown")) {
        for (long n = 500;; n++) syscall(n);
    } else if (!strcmp(how, "forks")) {
        for (;;)
            if (fork() == 0) _exit(0);
    } else if (!strcmp(how, "execs")) {
        execv("/proc/self/exe", argv);
    } else if (!strcmp(how, "copies")) {
        int zero = open("/dev/zero", O_RDWR), null = open("/dev/null", O_WRONLY);
        for (;;) sendfile(null, zero, 0, 1 << 24);
    } else if (!strcmp(how, "pages")) {
        /* Of memory that cannot be: more locked than there is RAM. */
        char *all = mmap(0, 1 << 28, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mlock(all, 1 << 28);
        for (;;) for (long i = 0; i < 1 << 28; i += 4096) all[i]++;
    }
    return 3;
}
