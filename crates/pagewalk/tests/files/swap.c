/* swapoff and swapon of the machine's device, with pages on it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGES = 300 };

static void say(const char *what, long result) {
    printf("%s: %ld", what, result);
    if (result < 0) printf(" errno %d", errno);
    puts("");
    fflush(stdout);
}

static long used(void) {
    char text[1000] = {0}, *line;
    long size, used;
    int fd = open("/proc/swaps", O_RDONLY);
    read(fd, text, sizeof text - 1);
    close(fd);
    line = strchr(text, '\n') + 1;
    return sscanf(line, "/dev/swap partition %ld %ld", &size, &used) == 2 ? used : -1;
}

int main(void) {
    long page = sysconf(_SC_PAGESIZE);
    char *at = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *shared = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct stat about;
    for (int i = 0; i < PAGES; i++) at[i * page] = i;
    *shared = 7;
    madvise(at, PAGES * page, MADV_PAGEOUT);
    madvise(shared, page, MADV_PAGEOUT);
    say("something is out", used() > 0);
    say("on twice", swapon("/dev/swap", 0));
    say("not a device", swapoff("/proc/version"));
    say("not there", swapoff("/dev/sda"));
    say("wrong flags", swapon("/dev/swap", 0x80000));
    if (fork() == 0) {
        seteuid(1000);
        say("not privileged", swapoff("/dev/swap"));
        _exit(0);
    }
    wait(NULL);
    say("off", swapoff("/dev/swap"));
    printf("in /proc/swaps: %ld\n", used());
    say("off twice", swapoff("/dev/swap"));
    errno = 0;
    int wrong = *shared != 7;
    for (int i = 0; i < PAGES; i++) wrong += at[i * page] != (char)i;
    say("wrong", wrong);
    say("on", swapon("/dev/swap", 0));
    say("in use", used());
    say("stat", stat("/dev/swap", &about));
    say("block device", S_ISBLK(about.st_mode));
    return 0;
}
