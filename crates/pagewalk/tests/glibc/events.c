/* eventfd, epoll, timerfd, signalfd, pidfd: what is ready when, and what is read. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
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

static void event_counters(void)
{
    uint64_t value = 5;
    int fd = eventfd(3, EFD_NONBLOCK);
    show("write", write(fd, &value, 8));
    show("read", read(fd, &value, 8));
    printf("value %llu\n", (unsigned long long)value);
    show("read again", read(fd, &value, 8));
    show("short read", read(fd, &value, 4));
    value = UINT64_MAX;
    show("too much", write(fd, &value, 8));
    value = UINT64_MAX - 1;
    show("the most", write(fd, &value, 8));
    value = 1;
    show("full", write(fd, &value, 8));
    struct pollfd poll_full = {.fd = fd, .events = POLLIN | POLLOUT};
    show("poll", poll(&poll_full, 1, 0));
    printf("events %#x\n", poll_full.revents);
    close(fd);
    fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
    for (int i = 0; i < 3; i++) {
        value = 0;
        show("semaphore", read(fd, &value, 8));
        printf("value %llu\n", (unsigned long long)value);
    }
    show("bad flags", eventfd(0, 0x8));
    close(fd);
}

static int add(int set, int fd, unsigned events)
{
    struct epoll_event event = {.events = events, .data.u64 = 0x100000000ull + fd};
    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
}

static void wait_and_show(const char *what, int set)
{
    struct epoll_event events[8];
    memset(events, 0, sizeof events);
    int n = epoll_wait(set, events, 8, 0);
    show(what, n);
    for (int i = 0; i < n; i++)
        printf("  %#x of %llx\n", events[i].events, (unsigned long long)events[i].data.u64);
}

static void levels_and_edges(void)
{
    char byte[4] = "abc";
    int ends[2], set = epoll_create1(EPOLL_CLOEXEC);
    if (pipe(ends))
        exit(1);
    show("add", add(set, ends[0], EPOLLIN));
    show("add again", add(set, ends[0], EPOLLIN));
    wait_and_show("nothing", set);
    show("write", write(ends[1], byte, 2));
    wait_and_show("level", set);
    wait_and_show("level again", set);
    struct epoll_event edge = {.events = EPOLLIN | EPOLLET, .data.u64 = 7};
    show("mod", epoll_ctl(set, EPOLL_CTL_MOD, ends[0], &edge));
    wait_and_show("edge", set);
    wait_and_show("no edge", set);
    show("read", read(ends[0], byte, 1));
    wait_and_show("read is no edge", set);
    show("write", write(ends[1], byte, 1));
    wait_and_show("written", set);
    edge.events = EPOLLIN | EPOLLONESHOT;
    show("mod", epoll_ctl(set, EPOLL_CTL_MOD, ends[0], &edge));
    wait_and_show("once", set);
    show("write", write(ends[1], byte, 1));
    wait_and_show("not twice", set);
    show("mod", epoll_ctl(set, EPOLL_CTL_MOD, ends[0], &edge));
    wait_and_show("once more", set);
    show("del", epoll_ctl(set, EPOLL_CTL_DEL, ends[0], 0));
    show("del again", epoll_ctl(set, EPOLL_CTL_DEL, ends[0], 0));
    show("mod none", epoll_ctl(set, EPOLL_CTL_MOD, ends[0], &edge));
    show("add", add(set, ends[0], EPOLLIN));
    int copy = dup(ends[0]);
    close(ends[0]);
    wait_and_show("lives by its copy", set);
    close(copy);
    wait_and_show("gone", set);
    close(ends[1]);
    int other = epoll_create1(0);
    show("nested", add(other, set, EPOLLIN));
    show("circle", add(set, other, EPOLLIN));
    show("itself", add(set, set, EPOLLIN));
    int event = eventfd(1, 0);
    show("inner", add(set, event, EPOLLIN | EPOLLOUT));
    wait_and_show("outer", other);
    wait_and_show("inner", set);
    int file = open("/dev/null", 0);
    show("null", add(set, file, EPOLLIN));
    show("no set", add(event, set, EPOLLIN));
    show("count", epoll_wait(set, 0, 0, 0));
    close(file);
    close(event);
    close(other);
    close(set);
}

static void hang_up(void)
{
    int ends[2], set = epoll_create1(0);
    if (pipe(ends))
        exit(1);
    add(set, ends[0], EPOLLIN);
    add(set, ends[1], EPOLLOUT);
    wait_and_show("room", set);
    close(ends[1]);
    wait_and_show("hung up", set);
    close(ends[0]);
    close(set);
}

static void timers(void)
{
    uint64_t times = 0;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec setting = {{0, 0}, {0, 20000000}}, old;
    show("not set", read(fd, &times, 8));
    show("set", timerfd_settime(fd, 0, &setting, 0));
    show("too early", read(fd, &times, 8));
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    show("poll", poll(&waiting, 1, 5000));
    show("read", read(fd, &times, 8));
    printf("times %llu\n", (unsigned long long)times);
    show("gettime", timerfd_gettime(fd, &old));
    printf("left %ld.%09ld\n", (long)old.it_value.tv_sec, old.it_value.tv_nsec);
    setting.it_interval.tv_nsec = 1000000;
    setting.it_value.tv_nsec = 1000000;
    show("periodic", timerfd_settime(fd, 0, &setting, 0));
    usleep(20000);
    show("read", read(fd, &times, 8));
    printf("many %d\n", times >= 15);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct itimerspec past = {{0, 0}, now};
    show("past", timerfd_settime(fd, TFD_TIMER_ABSTIME, &past, &old));
    printf("interval %ld\n", old.it_interval.tv_nsec);
    usleep(1000);
    show("read", read(fd, &times, 8));
    setting.it_value.tv_nsec = 1000000000;
    show("bad", timerfd_settime(fd, 0, &setting, 0));
    show("bad clock", timerfd_create(77, 0));
    close(fd);
}

static void signals(void)
{
    sigset_t set;
    struct signalfd_siginfo info;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &set, 0);
    int fd = signalfd(-1, &set, SFD_NONBLOCK);
    show("none", read(fd, &info, sizeof info));
    raise(SIGUSR1);
    union sigval value = {.sival_int = 42};
    sigqueue(getpid(), SIGRTMIN + 1, value);
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    show("poll", poll(&waiting, 1, 0));
    for (int i = 0; i < 2; i++) {
        show("read", read(fd, &info, sizeof info));
        printf("signal %d code %d mine %d int %d\n", info.ssi_signo, info.ssi_code,
               info.ssi_pid == (unsigned)getpid(), info.ssi_int);
    }
    show("none", read(fd, &info, sizeof info));
    close(fd);
}

static void processes(void)
{
    int ends[2];
    if (pipe(ends))
        exit(1);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(ends[1]);
        if (read(ends[0], &byte, 1) < 0)
            _exit(1);
        _exit(7);
    }
    close(ends[0]);
    int fd = syscall(SYS_pidfd_open, child, 0);
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    show("alive", poll(&waiting, 1, 0));
    show("signal 0", syscall(SYS_pidfd_send_signal, fd, 0, 0, 0));
    close(ends[1]);
    show("ends", poll(&waiting, 1, 5000));
    siginfo_t info;
    memset(&info, 0, sizeof info);
    show("waitid", waitid(P_PIDFD, fd, &info, WEXITED));
    printf("signal %d code %d status %d child %d\n", info.si_signo, info.si_code, info.si_status,
           info.si_pid == child);
    show("gone", syscall(SYS_pidfd_send_signal, fd, 0, 0, 0));
    show("no flags", syscall(SYS_pidfd_open, getpid(), 1));
    show("nobody", syscall(SYS_pidfd_open, 0, 0));
    close(fd);
}

int main(void)
{
    event_counters();
    levels_and_edges();
    hang_up();
    timers();
    signals();
    processes();
    return 0;
}
