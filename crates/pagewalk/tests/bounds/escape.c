/* Tries to get out of the root by every way that a path, a link, a descriptor or another process's
   change of the tree may offer. Outside, beside the root, lies `canary`; inside are links to it:
   `climb` (relative), `absolute`, `directory` (to the directory outside). Prints what it got at. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int escapes;

/* The canary's first bytes, or its directory's name for it, must not be seen. */
static void look(const char *way, int fd) {
    char text[64] = "";
    if (fd < 0) return;
    if (read(fd, text, sizeof text - 1) > 0 && strstr(text, "canary")) {
        printf("escaped by %s\n", way);
        escapes++;
    }
    close(fd);
}

static void look_in(const char *way, int fd) {
    if (fd < 0) return;
    look(way, openat(fd, "canary", O_RDONLY));
    look(way, openat(fd, "../canary", O_RDONLY));
    look(way, openat(fd, "../../canary", O_RDONLY));
    look(way, openat(fd, "../../../../../../../../canary", O_RDONLY));
    close(fd);
}

static void try_path(const char *path) {
    char longer[4096];
    struct stat status;
    look(path, open(path, O_RDONLY));
    look(path, open(path, O_RDONLY | O_NOFOLLOW));
    snprintf(longer, sizeof longer, "%s/canary", path);
    look(longer, open(longer, O_RDONLY));
    look_in(path, open(path, O_RDONLY | O_DIRECTORY));
    look_in(path, open(path, O_PATH));
    if (!stat(path, &status) && S_ISREG(status.st_mode) && status.st_size == 7) {
        printf("stat escaped by %s\n", path);
        escapes++;
    }
    /* Nothing outside may be made, changed or removed either: the test looks. */
    int fd = open(longer, O_WRONLY | O_TRUNC);
    if (fd >= 0) { dprintf(fd, "overwritten by %s", path); close(fd); }
    truncate(path, 0);
    truncate(longer, 0);
    snprintf(longer, sizeof longer, "%s/made", path);
    fd = open(longer, O_CREAT | O_WRONLY, 0600);
    if (fd >= 0) close(fd);
    mkdir(longer, 0700);
    unlink(longer);
    rmdir(longer);
    link(path, "hard");
    look("a hard link", open("hard", O_RDONLY));
    linkat(AT_FDCWD, path, AT_FDCWD, "hard-followed", AT_SYMLINK_FOLLOW);
    look("a hard link that follows", open("hard-followed", O_RDONLY));
    unlink("hard");
    unlink("hard-followed");
}

/* One process swaps a directory and a link to the outside, the other walks through the name. */
static void race(void) {
    mkdir("swapped", 0700);
    symlink("..", "out");
    pid_t child = fork();
    if (child == 0)
        for (;;) {
            renameat2(AT_FDCWD, "swapped", AT_FDCWD, "out", RENAME_EXCHANGE);
            rename("swapped", "aside");
            rename("out", "swapped");
            rename("aside", "out");
        }
    for (int i = 0; i < 2000; i++) {
        look("a race", open("swapped/canary", O_RDONLY));
        look("a race", open("swapped/../canary", O_RDONLY));
        look_in("a race", open("swapped", O_RDONLY | O_DIRECTORY));
        int fd = open("swapped/canary", O_WRONLY);
        if (fd >= 0) { dprintf(fd, "overwritten in a race"); close(fd); }
    }
    kill(child, 9);
    waitpid(child, 0, 0);
}

int main(int argc, char **argv) {
    char path[4096], text[4096];
    /* argv[1] is the host's own path of the canary's directory. */
    const char *outside = argc > 1 ? argv[1] : "/";
    static const char *const paths[] = {
        "canary", "../canary", "/../canary", "/canary", "climb", "absolute", "directory",
        "directory/../canary", "/", "/..", "/../..", ".", "..", "../..", "a/../..", "a/../../..",
        "/proc/..", "/proc/../..", "/dev/../..", "/dev/shm/../../..", "/sys/../..", "/tmp/../..",
        "/proc/self/root", "/proc/self/root/..", "/proc/1/root", "/proc/2/root/..",
        "/proc/self/cwd", "/proc/self/cwd/..", "/proc/self/cwd/../..", "/proc/1/cwd",
        "/proc/self/exe", "/proc/self/exe/..", "/proc/self/fd", "/proc/self/task/../../..",
        "/dev/fd", "/dev/stdin", "/dev/stdin/..", "//..//canary", "/./../canary",
    };
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) try_path(paths[i]);
    try_path(outside);
    snprintf(path, sizeof path, "%s/canary", outside);
    try_path(path);
    /* By links that the guest makes itself, on the host's tree and in memory. */
    static const char *const targets[] = {"..", "../..", "/..", "/proc/self/root/..", "."};
    static const char *const links[] = {"link", "/dev/shm/link", "/tmp/link"};
    for (unsigned l = 0; l < 3; l++) {
        for (unsigned t = 0; t < sizeof targets / sizeof *targets; t++) {
            unlink(links[l]);
            symlink(targets[t], links[l]);
            try_path(links[l]);
        }
        unlink(links[l]);
        symlink(outside, links[l]);
        try_path(links[l]);
        unlink(links[l]);
        symlink(path, links[l]);
        try_path(links[l]);
        unlink(links[l]);
    }
    /* By directories that are open, moved, and removed. */
    mkdir("deep", 0700);
    mkdir("deep/er", 0700);
    mkdir("deep/er/est", 0700);
    int deep = open("deep/er/est", O_RDONLY | O_DIRECTORY);
    rename("deep/er/est", "est");
    for (const char *up = "../../../../canary"; *up; up += 3) {
        look("a directory that was moved", openat(deep, up, O_RDONLY));
        if (up[0] != '.') break;
    }
    fchdir(deep);
    try_path("..");
    try_path("../..");
    try_path("../../..");
    snprintf(text, sizeof text, "/proc/self/fd/%d", deep);
    try_path(text);
    strcat(text, "/..");
    try_path(text);
    strcat(text, "/..");
    try_path(text);
    chdir("/");
    rmdir("est");
    look("a directory that was removed", openat(deep, "../../canary", O_RDONLY));
    /* By chdir, chroot and sockets' names. */
    chdir("..");
    try_path(".");
    chdir("/proc/self/root/..");
    try_path(".");
    mkdir("/jail", 0700);
    if (chroot("/jail") == 0) { try_path(".."); try_path("/../.."); chroot("."); }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *names[] = {"../made-socket", "directory/made-socket", "/../made-socket"};
    for (int i = 0; i < 3; i++) {
        strcpy(address.sun_path, names[i]);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        bind(fd, (struct sockaddr *)&address, sizeof address);
        close(fd);
    }
    mkfifo("../made-fifo", 0600);
    mkfifo("directory/made-fifo", 0600);
    rename("inside", "../made-by-rename");
    rename("inside", "directory/made-by-rename");
    rename("directory/canary", "taken");
    rename("../canary", "taken");
    look("rename", open("taken", O_RDONLY));
    chdir("/");
    race();
    printf("%d ways out\n", escapes);
    return 0;
}
