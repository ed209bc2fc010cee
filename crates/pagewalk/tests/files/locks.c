/* Locks on files: conflicts, splitting, waiting, deadlock, who loses them when. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

static int lock(int fd, int command, int type, long start, long len) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    int result = fcntl(fd, command, &lock);
    return result < 0 ? -errno : result;
}

static void say(const char *what, long result) {
    printf("%s: %ld\n", what, result);
    fflush(stdout);
}

static void who(int fd, const char *what, int type, long start, long len) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    int result = fcntl(fd, F_GETLK, &lock);
    printf("%s: %d type %d", what, result, lock.l_type);
    if (lock.l_type != F_UNLCK) {
        printf(" %ld+%ld parent's %d", (long)lock.l_start, (long)lock.l_len, lock.l_pid == getppid());
    }
    puts("");
    fflush(stdout);
}

int main(void) {
    int fd = memfd_create("locks", 0), to_parent[2];
    char byte, path[64];
    pipe(to_parent);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    say("write lock", lock(fd, F_SETLK, F_WRLCK, 0, 100));
    say("split", lock(fd, F_SETLK, F_UNLCK, 40, 20));
    say("read lock", lock(fd, F_SETLK, F_RDLCK, 200, 0));
    say("bad type", lock(fd, F_SETLK, 9, 0, 1));
    say("before the start", lock(fd, F_SETLK, F_WRLCK, 5, -10));
    say("not writable", lock(open(path, O_RDONLY), F_SETLK, F_WRLCK, 0, 1));
    say("lost by that close", lock(fd, F_SETLK, F_WRLCK, 0, 40));
    say("again", lock(fd, F_SETLK, F_WRLCK, 60, 40));
    say("again", lock(fd, F_SETLK, F_RDLCK, 200, 0));
    if (fork() == 0) {
        who(fd, "first", F_WRLCK, 0, 0);
        who(fd, "gap", F_WRLCK, 40, 20);
        who(fd, "second", F_RDLCK, 50, 20);
        who(fd, "shared", F_RDLCK, 300, 5);
        who(fd, "not shared", F_WRLCK, 300, 5);
        say("refused", lock(fd, F_SETLK, F_RDLCK, 30, 5));
        say("gap taken", lock(fd, F_SETLK, F_WRLCK, 40, 20));
        write(to_parent[1], "x", 1);
        _exit(lock(fd, F_SETLKW, F_WRLCK, 0, 10) == -EDEADLK);
    }
    /* Each waits for the other: whoever comes second is told so. */
    read(to_parent[0], &byte, 1);
    int refused = lock(fd, F_SETLKW, F_WRLCK, 40, 1) == -EDEADLK, status;
    say("unlock", lock(fd, F_SETLK, F_UNLCK, 0, 0));
    wait(&status);
    say("refused", refused + WEXITSTATUS(status));
    say("released at exit", lock(fd, F_SETLK, F_WRLCK, 0, 0));

    int again = open(path, O_RDWR);
    say("of a description", lock(again, F_OFD_SETLK, F_RDLCK, 0, 10));
    say("unlock", lock(fd, F_SETLK, F_UNLCK, 0, 0));
    say("of a description", lock(again, F_OFD_SETLK, F_WRLCK, 0, 10));
    say("of another", lock(fd, F_OFD_SETLK, F_RDLCK, 5, 1));
    close(again);
    say("after close", lock(fd, F_OFD_SETLK, F_RDLCK, 5, 1));

    again = open(path, O_RDWR);
    say("flock", flock(fd, LOCK_EX));
    say("flock refused", flock(again, LOCK_SH | LOCK_NB) < 0 ? errno : 0);
    int same = dup(fd);
    say("flock of a duplicate", flock(same, LOCK_SH));
    say("flock shared", flock(again, LOCK_SH | LOCK_NB));
    close(fd);
    say("not lost yet", flock(again, LOCK_EX | LOCK_NB) < 0 ? errno : 0);
    close(same);
    say("lost", flock(again, LOCK_EX | LOCK_NB));
    return 0;
}
