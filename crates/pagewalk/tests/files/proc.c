/* Shows the files that it is given the names of, each under its name; `link:` and `list:` before a
   name show where it leads and what is in it, `open:` only how opening it fails. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char block[1 << 20];

int main(int argc, char **argv) {
    char buffer[4096];
    char *pages = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pages[0] = block[100] = 1;
    for (int i = 1; i < argc; i++) {
        long n;
        printf("== %s\n", argv[i]);
        fflush(stdout);
        if (!strncmp(argv[i], "link:", 5)) {
            n = readlink(argv[i] + 5, buffer, sizeof buffer);
            printf("%.*s\n", (int)(n < 0 ? 0 : n), buffer);
        } else if (!strncmp(argv[i], "list:", 5)) {
            DIR *directory = opendir(argv[i] + 5);
            for (struct dirent *entry; directory && (entry = readdir(directory));) puts(entry->d_name);
        } else if (!strncmp(argv[i], "open:", 5)) {
            int fd = open(argv[i] + 5, O_RDONLY);
            puts(fd < 0 ? strerror(errno) : "opened");
        } else {
            int fd = open(argv[i], O_RDONLY);
            if (fd < 0) puts(strerror(errno));
            while (fd >= 0 && (n = read(fd, buffer, sizeof buffer)) > 0) write(1, buffer, n);
        }
        fflush(stdout);
    }
    return 0;
}
