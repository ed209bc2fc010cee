/* Files in memory: memfd and its seals, /dev/shm, holes, unnamed files, links, named pipes, /proc/self/fd.
   Everything is told as results and error numbers. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char base[64];

static const char *in(const char *name) {
    static char paths[4][128];
    static int next;
    next = (next + 1) % 4;
    snprintf(paths[next], 128, "%s/%s", base, name);
    return paths[next];
}

static void say(const char *what, long result) {
    printf("%s: %ld", what, result < 0 ? -1 : result);
    if (result < 0) printf(" errno %d", errno);
    puts("");
    fflush(stdout);
}

static void sealed(void) {
    int fd = memfd_create("name", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    char *map, byte = 0;
    say("ftruncate", ftruncate(fd, 100000));
    map = mmap(NULL, 100000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    map[50000] = 7;
    say("pread", pread(fd, &byte, 1, 50000));
    say("byte", byte);
    say("pwrite", pwrite(fd, "x", 1, 50001));
    say("seen", map[50001]);
    say("data", lseek(fd, 0, SEEK_DATA));
    say("hole", lseek(fd, 50000, SEEK_HOLE));
    say("no data", lseek(fd, 90000, SEEK_DATA));
    say("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 49999, 2));
    say("punched", map[50000]);
    say("kept", map[50001]);
    say("punch without keeping", fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1));
    say("seal write, mapped", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    say("seal shrink", fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    say("shrink", ftruncate(fd, 10));
    say("grow", ftruncate(fd, 200000));
    munmap(map, 100000);
    say("seal write", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    say("write", pwrite(fd, "x", 1, 0));
    map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    say("map", map == MAP_FAILED ? -1 : 0);
    map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    say("map to read", map == MAP_FAILED ? -1 : 0);
    say("mprotect", mprotect(map, 4096, PROT_READ | PROT_WRITE));
    map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    say("map privately", map == MAP_FAILED ? -1 : 0);
    say("seals", fcntl(fd, F_GET_SEALS));
    say("seal seal", fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    say("one more", fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    fd = memfd_create("unsealable", 0);
    say("seals", fcntl(fd, F_GET_SEALS));
    say("seal", fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    say("flags", memfd_create("x", 0x4000));
    say("seals of a pipe", fcntl(0, F_GET_SEALS));
}

static void names(void) {
    struct stat st;
    int fd, other;
    char text[16] = "", path[64];
    say("mkdir", mkdir(base, 0700));
    say("again", mkdir(base, 0700));
    fd = open(in("a"), O_CREAT | O_EXCL | O_RDWR, 0640);
    say("exclusive", open(in("a"), O_CREAT | O_EXCL | O_RDWR, 0640));
    say("write", write(fd, "hello", 5));
    say("link", link(in("a"), in("b")));
    fstat(fd, &st);
    printf("mode %o links %d size %ld\n", st.st_mode, (int)st.st_nlink, (long)st.st_size);
    say("rename", rename(in("b"), in("c")));
    say("stat", stat(in("b"), &st));
    say("same file", rename(in("a"), in("c")));
    say("symlink", symlink("c", in("l")));
    say("readlink", readlink(in("l"), text, 15));
    other = open(in("l"), O_RDONLY);
    say("read", read(other, text, 15));
    puts(text);
    say("nofollow", open(in("l"), O_RDONLY | O_NOFOLLOW));
    say("not a directory", open(in("c/x"), O_RDONLY));
    say("directory to write", open(base, O_RDWR));
    say("unlink", unlink(in("a")));
    say("unlink", unlink(in("c")));
    fstat(fd, &st);
    say("links left", st.st_nlink);
    say("still there", pread(fd, text, 5, 0));
    say("rmdir", rmdir(base));
    say("mkdir below", mkdir(in("d"), 0755));
    say("into itself", rename(in("d"), in("d/e")));
    say("unlink a directory", unlink(in("d")) < 0 ? 1 : 0);
    say("truncate by open", open(in("t"), O_CREAT | O_TRUNC | O_WRONLY, 0600) > 0);
    fd = open(base, O_TMPFILE | O_RDWR, 0600);
    say("unnamed", fd > 0);
    say("write", write(fd, "abc", 3));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    say("name", linkat(AT_FDCWD, path, AT_FDCWD, in("n"), AT_SYMLINK_FOLLOW));
    stat(in("n"), &st);
    say("size", st.st_size);
    other = open(path, O_RDONLY);
    say("opened anew", pread(other, text, 3, 0));
    say("exchange", renameat2(AT_FDCWD, in("n"), AT_FDCWD, in("t"), RENAME_EXCHANGE));
    stat(in("t"), &st);
    say("size", st.st_size);
    say("noreplace", renameat2(AT_FDCWD, in("n"), AT_FDCWD, in("t"), RENAME_NOREPLACE));
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void listing(void) {
    struct dirent **entries;
    int n = scandir(base, &entries, NULL, by_name);
    for (int i = 0; i < n; i++) {
        printf("%s %d\n", entries[i]->d_name, entries[i]->d_type);
        if (entries[i]->d_name[0] != '.') remove(in(entries[i]->d_name));
    }
    say("rmdir", rmdir(base));
    say("gone", access(base, F_OK));
}

static void pipes(void) {
    char text[16] = "";
    say("mkfifo", mkfifo(in("f"), 0600));
    say("nobody reads", open(in("f"), O_WRONLY | O_NONBLOCK));
    fflush(stdout);
    if (fork() == 0) {
        int fd = open(in("f"), O_WRONLY);
        _exit(write(fd, "through", 7) != 7);
    }
    int fd = open(in("f"), O_RDONLY);
    say("read", read(fd, text, 15));
    say("end", read(fd, text + 8, 1));
    puts(text);
    int status;
    wait(&status);
    say("status", status);
}

int main(void) {
    snprintf(base, sizeof base, "/dev/shm/test-%d", getpid());
    sealed();
    names();
    pipes();
    listing();
    return 0;
}
