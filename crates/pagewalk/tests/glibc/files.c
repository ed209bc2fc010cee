// Files below the working directory: streams, positions, directories, metadata, the calls beneath.

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static void report(const char *what, long result)
{
    printf("%s: %ld%s%s\n", what, result, result < 0 ? " " : "", result < 0 ? strerror(errno) : "");
}

static void streams(void)
{
    FILE *file = fopen("numbers.txt", "w+");
    for (int i = 0; i < 5000; i++)
        fprintf(file, "%d %f\n", i, i / 7.0);
    printf("position %ld\n", ftell(file));
    rewind(file);
    int n, lines = 0;
    double d, sum = 0;
    while (fscanf(file, "%d %lf", &n, &d) == 2)
        lines++, sum += d;
    printf("%d lines, %.3f\n", lines, sum);
    fseek(file, -20, SEEK_END);
    char tail[64];
    size_t got = fread(tail, 1, sizeof tail, file);
    printf("%zu bytes, end %d: %.*s", got, feof(file) != 0, (int)got, tail);
    fseek(file, 1000, SEEK_SET);
    int c = fgetc(file);
    ungetc('#', file);
    printf("%d %c %ld\n", c, fgetc(file), ftell(file));
    fseek(file, 0, SEEK_SET);
    fputs("OVERWRITTEN", file);
    fflush(file);
    fseek(file, 0, SEEK_SET);
    printf("%s", fgets(tail, sizeof tail, file));
    fclose(file);

    file = fopen("numbers.txt", "a");
    setvbuf(file, NULL, _IOLBF, 0);
    fputs("appended\n", file);
    fclose(file);
    file = fopen("numbers.txt", "r");
    setvbuf(file, NULL, _IONBF, 0);
    char *line = NULL;
    size_t room = 0;
    ssize_t length, last = 0, count = 0;
    while ((length = getline(&line, &room, file)) >= 0)
        last = length, count++;
    printf("%zd lines, the last of %zd: %s", count, last, line);
    free(line);
    report("write to a stream for reading", fputc('x', file));
    fclose(file);
    printf("%d\n", fopen("absent/file", "r") == NULL && errno == ENOENT);
    report("exclusive", open("numbers.txt", O_CREAT | O_EXCL | O_WRONLY, 0644));
    file = freopen("other.txt", "w", fopen("numbers.txt", "r"));
    fwrite("binary\0bytes", 1, 12, file);
    fclose(file);
    FILE *temporary = tmpfile(); // in /tmp: below the root, if there is one
    fputs("temporary", temporary);
    rewind(temporary);
    printf("%s\n", fgets(tail, sizeof tail, temporary));
    fclose(temporary);
}

static void descriptors(void)
{
    int fd = open("data.bin", O_RDWR | O_CREAT | O_TRUNC, 0640);
    char block[1000];
    for (int i = 0; i < 20; i++) {
        memset(block, 'a' + i, sizeof block);
        write(fd, block, sizeof block);
    }
    report("seek to the end", lseek(fd, 0, SEEK_END));
    report("seek before the start", lseek(fd, -1, SEEK_SET));
    report("pwrite", pwrite(fd, "PATCH", 5, 1500));
    report("position", lseek(fd, 0, SEEK_CUR));
    char found[12] = "";
    report("pread", pread(fd, found, 9, 1498));
    printf("%s\n", found);
    report("pread beyond the end", pread(fd, found, 9, 30000));
    char a[4] = "", b[8] = "";
    struct iovec to[] = {{a, 3}, {NULL, 0}, {b, 7}};
    lseek(fd, 998, SEEK_SET);
    report("readv", readv(fd, to, 3));
    printf("%s %s\n", a, b);
    struct iovec from[] = {{"gathered ", 9}, {"write", 5}};
    lseek(fd, 0, SEEK_END);
    report("writev", writev(fd, from, 2));
    report("extend", ftruncate(fd, 30000));
    struct stat about;
    fstat(fd, &about);
    printf("size %ld, regular %d, links %ld, mode %o\n", (long)about.st_size, S_ISREG(about.st_mode),
           (long)about.st_nlink, about.st_mode & 0700);
    report("in the hole", pread(fd, found, 4, 29000));
    printf("%d %d\n", found[0], found[3]);
    report("shrink", ftruncate(fd, 10));
    report("at the end", pread(fd, found, 9, 5));
    int again = dup(fd), at = fcntl(fd, F_DUPFD, 50);
    lseek(again, 3, SEEK_SET);
    report("shared position", lseek(at, 0, SEEK_CUR));
    printf("duplicate at 50: %d, flags %d %d\n", at >= 50, fcntl(fd, F_GETFL) & O_ACCMODE,
           fcntl(fd, F_GETFD));
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    printf("close-on-exec: %d %d\n", fcntl(fd, F_GETFD), fcntl(again, F_GETFD));
    close(fd), close(again), close(at);
    report("closed", read(fd, found, 1));
    int reader = open("data.bin", O_RDONLY);
    report("write to a reader", write(reader, "x", 1));
    void *volatile nowhere = (void *)8;
    report("a bad buffer", read(reader, nowhere, 5));
    close(reader);
    int appender = open("data.bin", O_WRONLY | O_APPEND);
    lseek(appender, 0, SEEK_SET);
    write(appender, "zz", 2);
    report("append", lseek(appender, 0, SEEK_CUR));
    close(appender);
    int directory = open(".", O_RDONLY | O_DIRECTORY);
    report("read a directory", read(directory, found, 1));
    int inside = openat(directory, "data.bin", O_RDONLY);
    report("openat", read(inside, found, 12));
    close(inside), close(directory);
    report("not a directory", open("data.bin/x", O_RDONLY));
    report("directory as a file", open(".", O_WRONLY));
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Not what is mounted in the root. */
static int is_mine(const struct dirent *entry)
{
    const char *name = entry->d_name;
    return strcmp(name, "dev") && strcmp(name, "proc") && strcmp(name, "sys");
}

static void list(const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, is_mine, by_name);
    printf("%s has %d:", path, count);
    for (int i = 0; i < count; i++) {
        char *name = entries[i]->d_name;
        struct stat about;
        char full[300];
        snprintf(full, sizeof full, "%s/%s", path, name);
        int failed = lstat(full, &about);
        printf(" %s%s", name, failed ? "?" : S_ISDIR(about.st_mode) ? "/" : S_ISLNK(about.st_mode) ? "@" : "");
        free(entries[i]);
    }
    free(entries);
    printf("\n");
}

static void directories(void)
{
    report("mkdir", mkdir("sub", 0755));
    report("mkdir again", mkdir("sub", 0755));
    report("mkdir deep", mkdir("sub/deep", 0755));
    for (int i = 0; i < 60; i++) {
        char name[32];
        snprintf(name, sizeof name, "sub/deep/file%02d", i);
        close(open(name, O_CREAT | O_WRONLY, 0644));
    }
    report("rename", rename("other.txt", "sub/renamed.txt"));
    report("rename over", rename("data.bin", "sub/deep/file00"));
    report("rename absent", rename("nothing", "sub/x"));
    report("symlink", symlink("renamed.txt", "sub/link"));
    char target[32] = "";
    report("readlink", readlink("sub/link", target, sizeof target - 1));
    report("hard link", link("sub/renamed.txt", "sub/hard"));
    struct stat about;
    stat("sub/link", &about);
    printf("%s %ld %ld\n", target, (long)about.st_size, (long)about.st_nlink);
    list(".");
    list("sub");
    list("sub/deep");
    report("access", access("sub/renamed.txt", R_OK | W_OK));
    report("access absent", access("sub/absent", F_OK));
    report("chdir", chdir("sub/deep"));
    char *here = getcwd(NULL, 0);
    printf("here: %s\n", here ? strrchr(here, '/') : "?");
    free(here);
    list("..");
    report("chdir back", chdir("../.."));
    report("rmdir full", rmdir("sub"));
    report("unlink a directory", unlink("sub") < 0 ? -1 : 0);
    DIR *dir = opendir("sub/deep");
    int removed = 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            removed += unlinkat(dirfd(dir), entry->d_name, 0) == 0;
    closedir(dir);
    printf("removed %d\n", removed);
    report("rmdir", rmdir("sub/deep"));
    report("remove", remove("sub/link"));
    report("remove", remove("sub/hard"));
    report("truncate", truncate("sub/renamed.txt", 3));
    stat("sub/renamed.txt", &about);
    report("size", about.st_size);
    report("chmod", chmod("sub/renamed.txt", 0600));
    report("remove again", remove("sub/renamed.txt"));
    int open_still = open("unlinked", O_RDWR | O_CREAT, 0600);
    unlink("unlinked");
    write(open_still, "still here", 10);
    report("read an unlinked file", pread(open_still, target, 10, 0));
    close(open_still);
    char pattern[] = "tempXXXXXX";
    int made = mkstemp(pattern);
    printf("mkstemp: %d %d\n", made >= 0, strlen(pattern) == 10 && pattern[9] != 'X');
    close(made), unlink(pattern);
    report("rmdir", rmdir("sub"));
    list(".");
}

int main(void)
{
    streams();
    descriptors();
    directories();
    return 0;
}
