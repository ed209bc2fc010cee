/* Takes of one thing as much as it can get: in one process until it is refused, then in more and
   more of them, which keep what they have. Prints what the processes were refused with, each error
   once, in the order in which it came first. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char bytes[1 << 16];
static long page;

/* Each takes all that it can get, and returns what it was refused with; 0 if it has enough. */

static int take_regions(void) {
    char *area = mmap(0, 1 << 28, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) return errno;
    for (long i = 0; i < (1 << 28) / page; i += 2)
        if (mprotect(area + i * page, page, PROT_READ)) return errno;
    return 0;
}

static int take_mappings(void) {
    for (;;)
        if (mmap(0, 1 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0) == MAP_FAILED)
            return errno;
}

static int take_shared(void) {
    for (;;)
        if (mmap(0, page, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
            return errno;
}

static void *sleeper(void *unused) { pause(); return unused; }

static int take_threads(void) {
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 1 << 16);
    pthread_t thread;
    for (;;) {
        int error = pthread_create(&thread, &small, sleeper, 0);
        if (error) return error;
    }
}

static int take_pipes(void) {
    int ends[2];
    for (;;) {
        if (pipe2(ends, O_NONBLOCK)) return errno;
        while (write(ends[1], bytes, sizeof bytes) > 0) {}
        if (errno != EAGAIN) return errno;
    }
}

static int take_sockets(void) {
    int ends[2];
    for (;;) {
        if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends)) return errno;
        while (send(ends[0], bytes, 1, 0) > 0) {}
        if (errno != EAGAIN) return errno;
    }
}

static int take_streams(void) {
    int ends[2];
    for (;;) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends)) return errno;
        while (send(ends[0], bytes, sizeof bytes, 0) > 0) {}
        if (errno != EAGAIN) return errno;
    }
}

/* Descriptors in messages that nobody will ever read: sockets that hold themselves. */
static int take_rights(void) {
    for (;;) {
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends)) return errno;
        union { struct cmsghdr head; char space[CMSG_SPACE(8)]; } control;
        struct iovec one = {bytes, 1};
        struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = &control,
                                 .msg_controllen = sizeof control};
        control.head = (struct cmsghdr){CMSG_LEN(8), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.head), ends, 8);
        if (sendmsg(ends[0], &message, 0) < 0) return errno;
        close(ends[0]);
        close(ends[1]);
    }
}

static int take_memfds(void) {
    for (;;) {
        int fd = memfd_create("bomb", 0);
        if (fd < 0) return errno;
        for (int i = 0; i < 16; i++)
            if (write(fd, bytes, sizeof bytes) < 0) return errno;
    }
}

static int take_segments(void) {
    for (;;)
        if (shmget(IPC_PRIVATE, 1 << 20, IPC_CREAT | 0600) < 0) return errno;
}

static int take_semaphores(void) {
    for (;;) {
        int id = semget(IPC_PRIVATE, 1000, IPC_CREAT | 0600);
        if (id < 0) return errno;
        for (int i = 0; i < 1000; i++) {
            struct sembuf one = {i, 1, SEM_UNDO};
            if (semop(id, &one, 1)) return errno;
        }
    }
}

static int take_messages(void) {
    static struct { long kind; char text[8192]; } message = {1, ""};
    for (;;) {
        int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
        if (id < 0) return errno;
        while (!msgsnd(id, &message, sizeof message.text, IPC_NOWAIT)) {}
        if (errno != EAGAIN) return errno;
    }
}

static int take_files(void) {
    char name[300], target[4000];
    memset(target, 't', sizeof target - 1);
    target[sizeof target - 1] = 0;
    for (int i = 0;; i++) {
        snprintf(name, sizeof name, "/dev/shm/%d-%d-%0200d", getpid(), i, 0);
        if (symlink(target, name)) return errno;
    }
}

static int take_directories(void) {
    for (int i = 0; i < 3000; i++) {
        char name[64];
        snprintf(name, sizeof name, "/dev/shm/%d", i);
        int fd = open(name, O_CREAT | O_WRONLY, 0600);
        if (fd < 0) return errno;
        close(fd);
    }
    for (;;) {
        DIR *all = opendir("/dev/shm");
        if (!all) return errno;
        errno = 0;
        if (!readdir(all)) return errno;
    }
}

static int take_texts(void) {
    take_regions();
    for (;;)
        if (open("/proc/self/maps", O_RDONLY) < 0) return errno;
}

static int take_watches(void) {
    int event = eventfd(0, 0);
    for (;;) {
        int set = epoll_create1(0);
        if (set < 0) return errno;
        for (int i = 0; i < 100; i++) {
            struct epoll_event asked = {EPOLLIN, {.u64 = i}};
            int copy = dup(event);
            if (copy < 0) return errno;
            if (epoll_ctl(set, EPOLL_CTL_ADD, copy, &asked)) return errno;
        }
    }
}

static int take_signals(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, 0);
    for (int signal = SIGRTMIN;; )
        if (sigqueue(getpid(), signal, (union sigval){0})) return errno;
}

static int take_timers(void) {
    timer_t timer;
    struct sigevent none = {.sigev_notify = SIGEV_NONE};
    for (;;)
        if (timer_create(CLOCK_MONOTONIC, &none, &timer)) return errno;
}

static int take_groups(void) {
    static gid_t groups[65536];
    return setgroups(65536, groups) ? errno : 0;
}

static int take_locks(void) {
    int fd = open("/dev/shm/locked", O_CREAT | O_RDWR, 0600);
    if (fd < 0) return errno;
    for (long i = 0; i < 20000; i++) {
        struct flock one = {.l_type = F_RDLCK, .l_start = 2 * i + getpid() * 100000L, .l_len = 1};
        if (fcntl(fd, F_SETLK, &one)) return errno;
    }
    return 0;
}

/* The arguments of one program are kept by the kernel. */
static int take_arguments(void) {
    static char *more[18];
    static char text[100000];
    memset(text, 'x', sizeof text - 1);
    more[0] = "bombs";
    more[1] = "hold";
    for (int i = 2; i < 17; i++) more[i] = text;
    execv("/proc/self/exe", more);
    return errno;
}

/* Threads that wait for a thousand things each. */
static void *poller(void *set) {
    struct pollfd *fds = set;
    poll(fds, 1000, -1);
    return (void *)(intptr_t)errno;
}

static int take_polls(void) {
    static struct pollfd fds[1000];
    int event = eventfd(0, 0);
    for (int i = 0; i < 1000; i++) fds[i] = (struct pollfd){event, POLLIN, 0};
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 1 << 16);
    pthread_t thread;
    for (int i = 0; i < 256; i++)
        if (pthread_create(&thread, &small, poller, fds)) return errno;
    return 0;
}

static int take_unknown(void) {
    for (long number = 1000; number < 60000; number++) syscall(number * 1000003);
    return errno;
}

static int take_nothing(void) { return 0; }

static const struct { const char *name; int (*take)(void); } kinds[] = {
    {"processes", take_nothing}, {"threads", take_threads}, {"regions", take_regions},
    {"mappings", take_mappings}, {"shared", take_shared}, {"pipes", take_pipes},
    {"sockets", take_sockets}, {"streams", take_streams}, {"rights", take_rights},
    {"memfds", take_memfds}, {"segments", take_segments}, {"semaphores", take_semaphores},
    {"messages", take_messages}, {"files", take_files}, {"directories", take_directories},
    {"texts", take_texts}, {"watches", take_watches}, {"signals", take_signals},
    {"timers", take_timers}, {"groups", take_groups}, {"locks", take_locks},
    {"arguments", take_arguments}, {"polls", take_polls}, {"unknown", take_unknown},
};

static const char *seen[16];

static void say(int error) {
    const char *name = error ? strerrorname_np(error) : "enough";
    for (int i = 0; i < 16 && name; i++) {
        if (!seen[i]) {
            seen[i] = name;
            printf("%s\n", name);
            return;
        }
        if (!strcmp(seen[i], name)) return;
    }
}

int main(int argc, char **argv) {
    if (argc > 2 && !strcmp(argv[1], "hold")) {
        /* It was started anew, with long arguments. */
        for (;;) raise(SIGSTOP);
    }
    int processes = argc > 2 ? atoi(argv[2]) : 1;
    page = sysconf(_SC_PAGESIZE);
    int (*take)(void) = 0;
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (argc > 1 && !strcmp(argv[1], kinds[i].name)) take = kinds[i].take;
    if (!take) return 2;
    int *error = mmap(0, sizeof *error, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < processes; i++) {
        *error = 0;
        pid_t child = fork();
        if (child < 0) {
            printf("fork: %s\n", strerrorname_np(errno));
            break;
        }
        if (child == 0) {
            *error = take();
            for (;;) raise(SIGSTOP);
        }
        int status;
        waitpid(child, &status, WUNTRACED);
        if (WIFSTOPPED(status)) say(*error);
        else puts("killed");
    }
    fflush(stdout);
    _exit(0);
}
