/* System V shared memory, semaphores and message queues, over several processes. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
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

static void shows(const char *what, long value)
{
    show(what, value < 0 ? value : 0);
}

static pid_t start(void)
{
    fflush(stdout);
    return fork();
}

static void attached(int id)
{
    struct shmid_ds status;
    if (shmctl(id, IPC_STAT, &status) < 0)
        show("stat", -1);
    else
        printf("attached %lu mode %o size %zu\n", (unsigned long)status.shm_nattch,
               status.shm_perm.mode, status.shm_segsz);
}

static void segments(void)
{
    int id = shmget(IPC_PRIVATE, 10000, 0600);
    shows("shmget", id);
    int *a = shmat(id, 0, 0), *b = shmat(id, 0, 0);
    const int *c = shmat(id, 0, SHM_RDONLY);
    printf("three places %d\n", a != b && b != c && a != c);
    a[2000] = 42;
    printf("seen %d %d\n", b[2000], c[2000]);
    attached(id);
    if (start() == 0) {
        attached(id);
        b[1] = 7;
        shows("child's shmdt", shmdt(a));
        attached(id);
        exit(0);
    }
    wait(0);
    printf("child wrote %d\n", a[1]);
    attached(id);
    shows("shmdt", shmdt(c));
    shows("shmdt again", shmdt(c));
    shows("shmdt inside", shmdt((char *)a + 4096));
    shows("misaligned", shmdt((char *)a + 1));
    shows("rmid", shmctl(id, IPC_RMID, 0));
    attached(id);
    printf("still there %d\n", b[2000]);
    shows("shmdt", shmdt(a));
    shows("shmdt", shmdt(b));
    attached(id);
    shows("gone", shmat(id, 0, 0) == (void *)-1 ? -1 : 0);

    key_t key = 0x7077616c + getpid() % 1000;
    id = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0640);
    shows("by key", id);
    show("exclusive", shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0640));
    printf("the same %d\n", shmget(key, 0, 0) == id);
    show("too large", shmget(key, 8192, 0));
    char *at = mmap(0, 16384, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    shows("taken", shmat(id, at, 0) == (void *)-1 ? -1 : 0);
    printf("remapped %d\n", shmat(id, at, SHM_REMAP) == at);
    printf("zero %d\n", at[4095]);
    shows("odd address", shmat(id, at + 1, 0) == (void *)-1 ? -1 : 0);
    struct shmid_ds status;
    shmctl(id, IPC_STAT, &status);
    printf("mine %d last %d uid %d\n", status.shm_cpid == getpid(), status.shm_lpid == getpid(),
           status.shm_perm.uid == geteuid());
    status.shm_perm.mode = 0600;
    shows("set", shmctl(id, IPC_SET, &status));
    attached(id);
    shows("rmid", shmctl(id, IPC_RMID, 0));
    show("no key", shmget(key, 0, 0));
    show("zero bytes", shmget(IPC_PRIVATE, 0, 0600));
    munmap(at, 16384);
    attached(id);
}

static int change(int set, int number, int by, int flags)
{
    struct sembuf operation = {number, by, flags};
    return semop(set, &operation, 1);
}

static void semaphores(void)
{
    int id = semget(IPC_PRIVATE, 3, 0600);
    shows("semget", id);
    show("setval", semctl(id, 0, SETVAL, 2));
    show("getval", semctl(id, 0, GETVAL));
    show("take", change(id, 0, -2, 0));
    show("would wait", change(id, 0, -1, IPC_NOWAIT));
    show("is zero", change(id, 0, 0, IPC_NOWAIT));
    struct sembuf both[2] = {{1, 1, 0}, {2, -1, IPC_NOWAIT}};
    show("both or none", semop(id, both, 2));
    show("untouched", semctl(id, 1, GETVAL));
    struct timespec little = {0, 5000000};
    struct sembuf one = {0, -1, 0};
    show("in time", semtimedop(id, &one, 1, &little));
    pid_t child = start();
    if (child == 0) {
        change(id, 0, -1, 0);
        change(id, 1, 5, SEM_UNDO);
        _exit(semctl(id, 1, GETVAL));
    }
    while (semctl(id, 0, GETNCNT) == 0)
        usleep(1000);
    show("waiting", semctl(id, 0, GETNCNT));
    show("let go", change(id, 0, 1, 0));
    int status;
    waitpid(child, &status, 0);
    printf("child saw %d\n", WEXITSTATUS(status));
    show("undone", semctl(id, 1, GETVAL));
    printf("by the child %d\n", semctl(id, 1, GETPID) == child);
    unsigned short values[3] = {1, 2, 3};
    show("setall", semctl(id, 0, SETALL, values));
    values[0] = values[1] = values[2] = 0;
    show("getall", semctl(id, 0, GETALL, values));
    printf("%d %d %d\n", values[0], values[1], values[2]);
    show("too many", change(id, 0, 32767, 0));
    show("no such", change(id, 3, 1, 0));
    show("range", semctl(id, 0, SETVAL, 40000));
    struct semid_ds info;
    show("stat", semctl(id, 0, IPC_STAT, &info));
    printf("count %lu\n", (unsigned long)info.sem_nsems);
    child = start();
    if (child == 0) {
        int result = change(id, 0, -30, 0);
        _exit(result < 0 ? errno : 0);
    }
    while (semctl(id, 0, GETNCNT) == 0)
        usleep(1000);
    show("rmid", semctl(id, 0, IPC_RMID));
    waitpid(child, &status, 0);
    printf("%s\n", strerrorname_np(WEXITSTATUS(status)));
    show("gone", semctl(id, 0, GETVAL));
}

struct message {
    long type;
    char text[32];
};

static void send_message(int id, long type, const char *text)
{
    struct message message = {.type = type};
    strcpy(message.text, text);
    show("send", msgsnd(id, &message, strlen(text), IPC_NOWAIT));
}

static void receive(int id, long type, int flags)
{
    struct message message = {0};
    long len = msgrcv(id, &message, 5, type, flags);
    show("receive", len);
    if (len >= 0)
        printf("  %ld %s\n", message.type, message.text);
}

static void queues(void)
{
    int id = msgget(IPC_PRIVATE, 0600);
    shows("msgget", id);
    send_message(id, 3, "three");
    send_message(id, 1, "one");
    send_message(id, 2, "two");
    send_message(id, 3, "thirty-three");
    send_message(id, 0, "none");
    receive(id, -2, 0);
    receive(id, 3, 0);
    receive(id, 3, IPC_NOWAIT);
    receive(id, 3, MSG_NOERROR);
    receive(id, 9, IPC_NOWAIT);
    struct msqid_ds status;
    show("stat", msgctl(id, IPC_STAT, &status));
    printf("%lu messages, %lu bytes\n", (unsigned long)status.msg_qnum,
           (unsigned long)status.__msg_cbytes);
    receive(id, 0, 0);
    if (start() == 0) {
        struct message message = {.type = 8, .text = "late"};
        usleep(10000);
        _exit(msgsnd(id, &message, 4, 0) < 0);
    }
    receive(id, 8, 0);
    wait(0);
    char large[9000] = {1};
    show("too large", msgsnd(id, large, 8900, 0));
    int sent = 0;
    struct message filler = {.type = 1};
    while (msgsnd(id, &filler, 32, IPC_NOWAIT) == 0)
        sent++;
    printf("full after %d: %s\n", sent, strerrorname_np(errno));
    pid_t child = start();
    if (child == 0)
        _exit(msgsnd(id, &filler, 32, 0) < 0 ? errno : 0);
    usleep(10000);
    receive(id, 1, MSG_NOERROR);
    int ended;
    waitpid(child, &ended, 0);
    printf("room again %d\n", WEXITSTATUS(ended));
    show("rmid", msgctl(id, IPC_RMID, 0));
    receive(id, 0, 0);
}

int main(void)
{
    segments();
    semaphores();
    queues();
    return 0;
}
