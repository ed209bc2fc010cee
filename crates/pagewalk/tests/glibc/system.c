// What the system says of itself, and calls without a file behind them: limits, names, pipes,
// descriptors, polling, randomness, and calls that do not exist.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static void report(const char *what, long result)
{
    printf("%s: %ld%s%s\n", what, result, result < 0 ? " " : "", result < 0 ? strerror(errno) : "");
}

static void identity(void)
{
    struct utsname name;
    report("uname", uname(&name));
    printf("%s on %s\n", name.sysname, name.machine);
    printf("process %d, thread %d, parent %d\n", getpid() > 0, gettid() == getpid(), getppid() >= 0);
    printf("page %ld %lu, clock ticks %ld, processors %d\n", sysconf(_SC_PAGESIZE),
           getauxval(AT_PAGESZ), sysconf(_SC_CLK_TCK), sysconf(_SC_NPROCESSORS_ONLN) > 0);
    printf("set-user-id %lu, 16 random bytes %d, program headers %d of %lu\n", getauxval(AT_SECURE),
           getauxval(AT_RANDOM) != 0, getauxval(AT_PHDR) != 0, getauxval(AT_PHENT));
    struct rlimit limit;
    report("stack limit", getrlimit(RLIMIT_STACK, &limit));
    printf("%d %d\n", limit.rlim_cur >= 1 << 20, limit.rlim_cur <= limit.rlim_max);
    report("descriptor limit", getrlimit(RLIMIT_NOFILE, &limit));
    printf("%d\n", limit.rlim_cur >= 64);
    struct rusage usage;
    report("usage", getrusage(RUSAGE_SELF, &usage));
    report("no such limit", getrlimit(1000, &limit));
}

static void pipes(void)
{
    int ends[2];
    report("pipe", pipe(ends));
    report("write", write(ends[1], "through the pipe", 16));
    char text[32] = "";
    report("read a part", read(ends[0], text, 7));
    struct pollfd both[2] = {{ends[0], POLLIN, 0}, {ends[1], POLLOUT, 0}};
    report("poll", poll(both, 2, 0));
    printf("%d %d\n", both[0].revents, both[1].revents);
    report("read the rest", read(ends[0], text + 7, 20));
    printf("%s\n", text);
    report("poll the empty one", poll(both, 1, 0));
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[1], &set);
    report("select", select(ends[1] + 1, NULL, &set, NULL, &(struct timeval){0, 0}));
    printf("%d\n", FD_ISSET(ends[1], &set) != 0);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    report("empty", read(ends[0], text, 1));
    report("seek", lseek(ends[0], 0, SEEK_SET));
    struct stat about;
    fstat(ends[0], &about);
    printf("a pipe: %d\n", S_ISFIFO(about.st_mode));
    FILE *writer = fdopen(dup(ends[1]), "w"), *reader = fdopen(dup(ends[0]), "r");
    fprintf(writer, "%d lines\n", 1);
    fclose(writer);
    printf("%s", fgets(text, sizeof text, reader));
    close(ends[1]);
    report("at the end", read(ends[0], text, 1));
    fclose(reader);
    close(ends[0]);
    report("closed", write(ends[1], "x", 1));
}

static void descriptors(void)
{
    fflush(stdout);
    int saved = dup(1), ends[2];
    pipe(ends);
    report("dup2", dup2(ends[1], 1) == 1);
    printf("into the pipe\n");
    fflush(stdout);
    dup2(saved, 1);
    char text[64] = "";
    long got = read(ends[0], text, sizeof text);
    printf("caught %ld: %s", got, text);
    report("dup2 onto itself", dup2(1, 1));
    report("dup of a bad one", dup(1000));
    report("dup3 onto itself", dup3(1, 1, 0));
    report("dup2 out of range", dup2(1, -1));
    close(saved), close(ends[0]), close(ends[1]);
    int lowest = dup(0);
    printf("lowest free: %d\n", lowest);
    close(lowest);
    printf("terminals: %d %d %d %s\n", isatty(0), isatty(1), isatty(2), strerror(errno));
    volatile int minus_one = -1; // volatile: the compiler would complain
    struct iovec parts[] = {{"one, ", 5}, {"two, ", 5}, {"three\n", 6}};
    report("writev", writev(1, parts, 3));
    report("writev of none", writev(1, parts, 0));
    report("writev of -1", writev(1, parts, minus_one));
    write(2, "to standard error\n", 18);
    report("standard input", read(0, text, 5));
    printf("%.5s\n", text);
}

static void numbers(void)
{
    unsigned char random[256] = {0};
    report("getrandom", getrandom(random, sizeof random, 0));
    int distinct[256] = {0}, kinds = 0;
    for (int i = 0; i < 256; i++)
        kinds += distinct[random[i]]++ == 0;
    printf("random: %d\n", kinds > 100);
    report("getentropy", getentropy(random, 32));
    report("a bad flag", getrandom(random, 1, 0x100));
    report("no such call", syscall(5000));
    report("no such call", syscall(-1L));
    report("close a bad one", close(-1));
    report("wait for none", waitpid(-1, NULL, 0));
    report("sched_yield", syscall(SYS_sched_yield));
    report("umask", (umask(022), umask(027)));
}

int main(void)
{
    identity();
    pipes();
    descriptors();
    numbers();
    return 0;
}
