// The calls that shape the address space, and what the memory holds after each.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page;

static void report(const char *what, long result)
{
    printf("%s: %ld%s%s\n", what, result, result < 0 ? " " : "", result < 0 ? strerror(errno) : "");
}

static void *map(void *at, size_t pages, int protection, int flags, int fd, long offset)
{
    return mmap(at, pages * page, protection, flags, fd, offset);
}

static uint64_t checksum(const char *bytes, size_t length)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum = sum * 31 + (unsigned char)bytes[i];
    return sum;
}

enum { READ_WRITE = PROT_READ | PROT_WRITE, ANONYMOUS = MAP_PRIVATE | MAP_ANONYMOUS };

static void anonymous(void)
{
    char *at = map(NULL, 300, READ_WRITE, ANONYMOUS, -1, 0);
    printf("zero at first: %d\n", checksum(at, 300 * page) == 0);
    for (size_t i = 0; i < 300; i++)
        memset(at + i * page, (int)i, page);
    printf("filled: %lx\n", checksum(at, 300 * page));
    report("unmap a part", munmap(at + 100 * page, 50 * page));
    char *again = map(at + 100 * page, 50, READ_WRITE, ANONYMOUS | MAP_FIXED, -1, 0);
    printf("in its place: %d, zero again: %d\n", again == at + 100 * page, checksum(again, 50 * page) == 0);
    report("forget a part", madvise(at + 10 * page, 20 * page, MADV_DONTNEED));
    printf("after it: %lx\n", checksum(at, 300 * page));
    report("advice that changes nothing", madvise(at, page, MADV_WILLNEED));
    report("read-only", mprotect(at, 30 * page, PROT_READ));
    report("and back", mprotect(at, 10 * page, READ_WRITE));
    report("odd address", mprotect(at + 1, page, PROT_READ));
    at[5] = 1;
    report("a system call into read-only", read(0, at + 15 * page, 1));
    void *grown = mremap(at, 300 * page, 500 * page, MREMAP_MAYMOVE);
    printf("regions of two kinds do not grow as one: %d %s\n", grown == MAP_FAILED, strerror(errno));
    report("unmap all", munmap(at, 300 * page));
    char *one = map(NULL, 64, READ_WRITE, ANONYMOUS, -1, 0);
    memset(one, 7, 64 * page);
    one = mremap(one, 64 * page, 200 * page, MREMAP_MAYMOVE);
    printf("moved: %lx\n", checksum(one, 200 * page));
    char *same = mremap(one, 200 * page, 3 * page, 0);
    printf("shrunk in place: %d %lx\n", same == one, checksum(one, 3 * page));
    printf("gone: %d\n", write(open("/dev/null", O_WRONLY), one + 4 * page, 1) == -1);
}

static void heap(void)
{
    char *start = sbrk(0);
    report("sbrk", sbrk(100000) == start);
    memset(start, 9, 100000);
    report("give back", sbrk(-60000) == start + 100000);
    report("brk", brk(start + 200000));
    printf("kept %lx, new is zero %d\n", checksum(start, 40000),
           checksum(start + 110000, 90000) == 0);
    report("brk", brk(start));
    void *volatile beyond = sbrk(1l << 60);
    printf("too far: %d %s\n", beyond == (void *)-1, strerror(errno));
}

static void files(void)
{
    int fd = open("mapped.bin", O_RDWR | O_CREAT | O_TRUNC, 0600);
    char *block = malloc(page);
    for (int i = 0; i < 40; i++) {
        memset(block, 'A' + i % 26, page);
        block[0] = (char)i;
        write(fd, block, page);
    }
    write(fd, "the tail", 8);
    char *private = map(NULL, 41, READ_WRITE, MAP_PRIVATE, fd, 0);
    printf("private: %lx, tail '%.8s', zero behind it %d\n", checksum(private, 41 * page),
           private + 40 * page, private[40 * page + 8]);
    memset(private + 3 * page, 'x', page);
    char found;
    pread(fd, &found, 1, (off_t)(3 * page));
    printf("the file keeps %d\n", found);
    char *offset = map(NULL, 2, PROT_READ, MAP_PRIVATE, fd, (long)(7 * page));
    printf("at an offset: %d %c\n", offset[0], offset[page + 1]);
    pwrite(fd, "NEW", 3, (off_t)(20 * page));
    char *later = map(NULL, 1, PROT_READ, MAP_PRIVATE, fd, (long)(20 * page));
    printf("a write shows in a page not yet touched: %.3s\n", later);
    printf("after all: %lx\n", checksum(private, 20 * page));
    report("unmap", munmap(private, 41 * page));
    void *bad = map(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 100);
    printf("odd offset: %d %s\n", bad == MAP_FAILED, strerror(errno));
    bad = map(NULL, 1, PROT_READ, MAP_PRIVATE, 999, 0);
    printf("no file: %d %s\n", bad == MAP_FAILED, strerror(errno));
    bad = mmap(NULL, 0, PROT_READ, ANONYMOUS, -1, 0);
    printf("no length: %d %s\n", bad == MAP_FAILED, strerror(errno));
    close(fd);
    remove("mapped.bin");
    printf("closed and removed: %d\n", offset[page]);
    char *shared = map(NULL, 1, READ_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared[1] = 4;
    printf("shared with nobody: %d %d\n", shared[0], shared[1]);
    free(block);
}

// Code in data pages: written, made executable, run; rewritten, run again.
static void code(void)
{
    uint32_t *at = map(NULL, 1, READ_WRITE, ANONYMOUS, -1, 0);
    for (int round = 1; round <= 3; round++) {
        at[0] = 0x00000513 | (uint32_t)(round * 11) << 20; // li a0, round * 11
        at[1] = 0x00008067;                                // ret
        __builtin___clear_cache((char *)at, (char *)(at + 2));
        mprotect(at, page, PROT_READ | PROT_EXEC);
        printf("generated code returns %d\n", ((int (*)(void))at)());
        mprotect(at, page, READ_WRITE);
    }
}

static void resident(void)
{
    char *at = map(NULL, 8, READ_WRITE, ANONYMOUS, -1, 0);
    report("lock", mlock(at, 8 * page) == 0 || errno == EPERM || errno == ENOMEM);
    report("unlock", munlock(at, 8 * page));
    report("unmapped", msync(at - (1l << 30), page, MS_SYNC));
}

int main(void)
{
    page = (size_t)sysconf(_SC_PAGESIZE);
    anonymous();
    heap();
    files();
    code();
    resident();
    return 0;
}
