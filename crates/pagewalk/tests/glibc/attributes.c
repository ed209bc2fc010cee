/* Who a process is and how it is scheduled; locks that the kernel knows. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void show(const char *what, long value)
{
    if (value < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld\n", what, value);
}

static void users(void)
{
    uid_t real, effective, saved;
    gid_t groups[8];
    fflush(stdout);
    if (fork() == 0) {
        show("setgroups", setgroups(2, (gid_t[]){7, 5}));
        show("getgroups", getgroups(8, groups));
        printf("%d %d\n", groups[0], groups[1]);
        show("too little room", getgroups(1, groups));
        show("setegid", setegid(30));
        show("seteuid", seteuid(1000));
        getresuid(&real, &effective, &saved);
        printf("%d %d %d\n", real, effective, saved);
        show("back", seteuid(0));
        show("setresuid", setresuid(1000, 1001, 1002));
        getresuid(&real, &effective, &saved);
        printf("%d %d %d\n", real, effective, saved);
        show("setuid", setuid(1002));
        show("not root", setuid(0));
        show("setgroups", setgroups(0, groups));
        show("setreuid", setreuid(1002, -1));
        getresuid(&real, &effective, &saved);
        printf("%d %d %d\n", real, effective, saved);
        show("kill", kill(getppid(), 0));
        show("me", kill(getpid(), 0));
        fflush(stdout);
        _exit(0);
    }
    wait(0);
}

static void attributes(void)
{
    char name[16];
    int value = -1;
    show("name", prctl(PR_SET_NAME, "a name that is too long"));
    prctl(PR_GET_NAME, name);
    printf("%s\n", name);
    show("dumpable", prctl(PR_GET_DUMPABLE));
    show("not", prctl(PR_SET_DUMPABLE, 0));
    show("dumpable", prctl(PR_GET_DUMPABLE));
    show("bad", prctl(PR_SET_DUMPABLE, 7));
    show("death", prctl(PR_SET_PDEATHSIG, SIGUSR1));
    prctl(PR_GET_PDEATHSIG, &value);
    show("signal", value);
    show("bad", prctl(PR_SET_PDEATHSIG, 99));
    show("privileges", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    show("privileges", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    show("bad", prctl(12345));
}

static void scheduling(void)
{
    show("priority", getpriority(PRIO_PROCESS, 0));
    show("nice", setpriority(PRIO_PROCESS, 0, 5));
    show("priority", getpriority(PRIO_PROCESS, 0));
    show("bad", setpriority(9, 0, 0));
    show("nobody", getpriority(PRIO_PROCESS, 0x7ffffff));
    show("policy", sched_getscheduler(0));
    show("max", sched_get_priority_max(SCHED_FIFO));
    show("min", sched_get_priority_min(SCHED_FIFO));
    show("max", sched_get_priority_max(SCHED_OTHER));
    show("max", sched_get_priority_max(99));
    struct sched_param parameter = {.sched_priority = 5};
    show("other", sched_setscheduler(0, SCHED_OTHER, &parameter));
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    show("affinity", sched_setaffinity(0, sizeof set, &set));
    show("affinity", sched_getaffinity(0, sizeof set, &set) < 0 ? -1 : CPU_COUNT(&set));
    CPU_ZERO(&set);
    show("nowhere", sched_setaffinity(0, sizeof set, &set));
    show("cpu", sched_getcpu());
    struct rusage usage;
    show("usage", getrusage(RUSAGE_SELF, &usage));
    show("children", getrusage(RUSAGE_CHILDREN, &usage));
    show("thread", getrusage(RUSAGE_THREAD, &usage));
    show("bad", getrusage(5, &usage));
}

static int shared;
static pthread_mutex_t mutex;

static void *work(void *argument)
{
    (void)argument;
    for (int i = 0; i < 2000; i++) {
        pthread_mutex_lock(&mutex);
        int before = shared;
        if (i % 100 == 0)
            sched_yield();
        shared = before + 1;
        pthread_mutex_unlock(&mutex);
    }
    return 0;
}

static void *die_with_it(void *argument)
{
    pthread_mutex_lock(argument);
    return 0;
}

static void locks(void)
{
    pthread_mutexattr_t attribute;
    pthread_t threads[4];
    pthread_mutexattr_init(&attribute);
    pthread_mutexattr_setprotocol(&attribute, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&mutex, &attribute);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], 0, work, 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], 0);
    show("sum", shared);
    pthread_mutex_t robust;
    pthread_mutexattr_init(&attribute);
    pthread_mutexattr_setrobust(&attribute, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust, &attribute);
    pthread_create(&threads[0], 0, die_with_it, &robust);
    pthread_join(threads[0], 0);
    errno = pthread_mutex_lock(&robust);
    printf("owner %s\n", strerrorname_np(errno));
    show("consistent", pthread_mutex_consistent(&robust));
    show("unlock", pthread_mutex_unlock(&robust));
    uint32_t word = 0;
    show("lock", syscall(SYS_futex, &word, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0));
    printf("mine %d\n", word == (uint32_t)gettid());
    show("again", syscall(SYS_futex, &word, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0));
    show("unlock", syscall(SYS_futex, &word, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
    show("not mine", syscall(SYS_futex, &word, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
}

int main(void)
{
    users();
    attributes();
    scheduling();
    locks();
    return 0;
}
