/* Timers and signals: what goes off when, what a signal tells, what a wait does when one comes. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void show(const char *what, long value)
{
    if (value < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld\n", what, value);
}

static volatile int count, last_code, last_value, last_mine, last_status;
static char order[64];

static void note(int signal, siginfo_t *info, void *context)
{
    (void)context;
    count++;
    last_code = info->si_code;
    last_value = info->si_value.sival_int;
    last_mine = info->si_pid == getpid();
    last_status = info->si_status;
    size_t at = strlen(order);
    if (at < sizeof order - 4)
        sprintf(order + at, "%d ", signal);
}

static void handle(int signal, int flags)
{
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | flags};
    sigaction(signal, &action, 0);
}

static void intervals(void)
{
    handle(SIGALRM, 0);
    struct itimerval setting = {{0, 10000}, {0, 5000}}, old;
    show("setitimer", setitimer(ITIMER_REAL, &setting, 0));
    while (count < 3)
        pause();
    memset(&setting, 0, sizeof setting);
    show("setitimer", setitimer(ITIMER_REAL, &setting, &old));
    printf("interval %ld left %d code %d\n", (long)old.it_interval.tv_usec,
           old.it_value.tv_usec > 0 && old.it_value.tv_usec <= 10000, last_code);
    alarm(100);
    show("alarm", alarm(0));
    show("none", alarm(0));
    count = 0;
    handle(SIGVTALRM, 0);
    handle(SIGPROF, 0);
    struct itimerval busy = {{0, 0}, {0, 2000}};
    setitimer(ITIMER_VIRTUAL, &busy, 0);
    for (volatile long i = 0; count == 0; i++)
        ;
    setitimer(ITIMER_PROF, &busy, 0);
    for (volatile long i = 0; count == 1; i++)
        ;
    printf("processor time %d\n", count);
    show("bad", setitimer(3, &setting, 0));
    busy.it_value.tv_usec = 1000000;
    show("bad time", setitimer(ITIMER_REAL, &busy, 0));
}

static void posix_timers(void)
{
    int signal = SIGRTMIN + 2;
    handle(signal, 0);
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = signal};
    event.sigev_value.sival_int = 77;
    show("create", timer_create(CLOCK_MONOTONIC, &event, &timer));
    struct itimerspec setting = {{0, 0}, {0, 3000000}}, left;
    count = 0;
    show("settime", timer_settime(timer, 0, &setting, 0));
    show("gettime", timer_gettime(timer, &left));
    printf("left %d\n", left.it_value.tv_nsec > 0);
    while (count == 0)
        pause();
    printf("code %d value %d\n", last_code, last_value);
    show("gettime", timer_gettime(timer, &left));
    printf("left %ld\n", left.it_value.tv_nsec);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigprocmask(SIG_BLOCK, &set, 0);
    setting.it_interval.tv_nsec = setting.it_value.tv_nsec = 1000000;
    show("periodic", timer_settime(timer, 0, &setting, 0));
    usleep(30000);
    siginfo_t info;
    show("wait", sigwaitinfo(&set, &info) == signal ? 0 : -1);
    printf("missed %d timer %d\n", info.si_overrun >= 20, info.si_code == SI_TIMER);
    printf("overrun %d\n", timer_getoverrun(timer) >= 20);
    show("delete", timer_delete(timer));
    show("deleted", timer_delete(timer));
    event.sigev_notify = SIGEV_NONE;
    show("silent", timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer));
    show("settime", timer_settime(timer, 0, &setting, 0));
    show("delete", timer_delete(timer));
    event.sigev_notify = 99;
    show("bad", timer_create(CLOCK_MONOTONIC, &event, &timer));
}

static void queued(void)
{
    sigset_t set, none;
    sigemptyset(&set);
    sigemptyset(&none);
    int a = SIGRTMIN + 4, b = SIGRTMIN + 5;
    for (int i = 0; i < 3; i++)
        sigaddset(&set, (int[]){a, b, SIGUSR1}[i]);
    sigprocmask(SIG_BLOCK, &set, 0);
    handle(a, 0);
    handle(b, 0);
    handle(SIGUSR1, 0);
    for (int i = 1; i <= 2; i++) {
        union sigval value = {.sival_int = 10 * i};
        sigqueue(getpid(), b, value);
        value.sival_int = i;
        sigqueue(getpid(), a, value);
        kill(getpid(), SIGUSR1);
    }
    siginfo_t info;
    struct timespec now = {0, 0};
    for (int i = 0; i < 6; i++) {
        int got = sigtimedwait(&set, &info, &now);
        if (got < 0)
            show("none", got);
        else
            printf("%s code %d value %d mine %d\n", got == a ? "a" : got == b ? "b" : "usr1",
                   info.si_code, got == SIGUSR1 ? 0 : info.si_value.sival_int,
                   info.si_pid == getpid());
    }
    order[0] = 0;
    kill(getpid(), b);
    kill(getpid(), a);
    kill(getpid(), SIGUSR1);
    sigprocmask(SIG_UNBLOCK, &set, 0);
    printf("order %s\n", order[0] ? "seen" : "not seen");
    show("nobody", kill(0x7ffffff, 0));
    show("no signal", kill(getpid(), 65));
    union sigval value = {0};
    show("no signal", sigqueue(getpid(), 99, value));
}

static void *interrupt(void *thread)
{
    usleep(20000);
    pthread_kill(*(pthread_t *)thread, SIGUSR2);
    return 0;
}

static void interrupted(int flags)
{
    pthread_t self = pthread_self(), other;
    handle(SIGUSR2, flags);
    pthread_create(&other, 0, interrupt, &self);
    struct timespec span = {0, 100000000}, left = {0, 0};
    show("nanosleep", nanosleep(&span, &left));
    printf("left %d\n", left.tv_nsec > 0 && left.tv_nsec < 100000000);
    pthread_join(other, 0);
    int ends[2];
    if (pipe(ends))
        exit(1);
    pthread_create(&other, 0, interrupt, &self);
    pid_t child = fork();
    if (child == 0) {
        usleep(60000);
        _exit(write(ends[1], "x", 1) != 1);
    }
    char byte;
    show("read", read(ends[0], &byte, 1));
    pthread_join(other, 0);
    int status;
    while (waitpid(child, &status, 0) < 0)
        ;
    close(ends[0]);
    close(ends[1]);
    pthread_create(&other, 0, interrupt, &self);
    uint32_t word = 0;
    struct timespec little = {0, 50000000};
    show("futex", syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &little, 0, 0));
    pthread_join(other, 0);
}

static void jobs(void)
{
    handle(SIGCHLD, SA_RESTART);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct timespec span = {0, 30000000};
        int result = nanosleep(&span, 0);
        for (;;) {
            if (result == 0)
                pause();
            _exit(9);
        }
    }
    siginfo_t info;
    memset(&info, 0, sizeof info);
    kill(child, SIGSTOP);
    show("stopped", waitid(P_PID, child, &info, WSTOPPED));
    printf("code %d status %d\n", info.si_code, info.si_status);
    printf("told %d %d\n", last_code == CLD_STOPPED, last_status == SIGSTOP);
    show("nothing", waitpid(child, 0, WNOHANG | WUNTRACED));
    kill(child, SIGCONT);
    show("continued", waitid(P_PID, child, &info, WCONTINUED));
    printf("code %d status %d\n", info.si_code, info.si_status);
    usleep(50000);
    show("sleeps on", waitpid(child, 0, WNOHANG));
    kill(child, SIGTERM);
    int status;
    show("ended", waitpid(child, &status, 0) == child);
    printf("signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
    printf("told %d %d\n", last_code == CLD_KILLED, last_status == SIGTERM);
    show("no child", waitpid(-1, 0, 0));
}

static void clocks(void)
{
    clockid_t clock;
    struct timespec before, after;
    show("process", clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before));
    for (volatile long i = 0; i < 3000000; i++)
        ;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    printf("went on %d\n", after.tv_sec > before.tv_sec || after.tv_nsec > before.tv_nsec);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    usleep(100000);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    printf("stood still %d\n",
           (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec < 50000000);
    show("its clock", clock_getcpuclockid(getpid(), &clock));
    show("gettime", clock_gettime(clock, &after));
    show("boottime", clock_gettime(CLOCK_BOOTTIME, &after));
    show("no clock", clock_gettime(99, &after));
    struct timespec past = {1, 0};
    errno = clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &past, 0);
    printf("past %d\n", errno);
    errno = clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &past, 0);
    printf("thread %s\n", strerrorname_np(errno));
}

int main(void)
{
    intervals();
    posix_timers();
    queued();
    interrupted(0);
    interrupted(SA_RESTART);
    jobs();
    clocks();
    return 0;
}
