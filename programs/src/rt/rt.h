// The runtime that stands in for a C library: what a small program needs of Linux, and no more.
//
// Naming: `sys_*` is the bare system call, which returns -errno when it fails. Everything else
// either succeeds or ends the program with a message on stderr and exit status 1, so that the
// programs can be read without error handling in the way.

#ifndef RT_H
#define RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t i64;

int main(int argc, char **argv);

// ---- System calls -------------------------------------------------------------------------------

#define STDIN 0
#define STDOUT 1
#define STDERR 2

#define O_RDONLY 0
#define O_RDWR 2
#define O_CREAT 0100

#define PROT_NONE 0
#define PROT_READ 1
#define PROT_WRITE 2
#define PROT_EXEC 4

#define MAP_PRIVATE 0x02
#define MAP_FIXED 0x10
#define MAP_ANONYMOUS 0x20

#define ENOENT 2
#define EINTR 4
#define EAGAIN 11
#define ENOMEM 12
#define EFAULT 14
#define EINVAL 22

#define SIGSEGV 11
#define SEGV_MAPERR 1 // no mapping at the address
#define SEGV_ACCERR 2 // there is one, but it does not allow this access
#define SA_SIGINFO 4
#define SA_ONSTACK 0x08000000

// `struct stat` as the RISC-V kernel writes it (asm-generic/stat.h).
struct file_status {
    u64 device, inode;
    u32 mode, links, user, group;
    u64 special_device, padding_1;
    i64 size;
    u32 block_size, padding_2;
    i64 blocks;
    i64 times[6];
    u32 padding_3[2];
};
_Static_assert(sizeof(struct file_status) == 128, "must match the kernel's struct stat");

struct timespec {
    i64 seconds, nanoseconds;
};

// The part of `siginfo_t` that a SIGSEGV handler needs; the kernel's is 128 bytes long.
struct signal_info {
    int signal, error, code;
    void *address;
};

// `struct sigaction` as the kernel takes it. RISC-V has no sa_restorer field: the kernel itself
// provides the code that a handler returns to.
struct signal_action {
    void (*handler)(int signal, struct signal_info *info, void *context);
    u64 flags;
    u64 mask;
};

long sys_openat(const char *path, int flags, int mode); // relative to the working directory
long sys_close(int fd);
long sys_read(int fd, void *buffer, size_t bytes);
long sys_pread(int fd, void *buffer, size_t bytes, i64 offset);
long sys_write(int fd, const void *buffer, size_t bytes);
long sys_lseek(int fd, i64 offset, int whence);
long sys_ftruncate(int fd, i64 bytes);
long sys_fstat(int fd, struct file_status *status);
long sys_mmap(void *address, size_t bytes, int protection, int flags, int fd, i64 offset);
long sys_munmap(void *address, size_t bytes);
long sys_mprotect(void *address, size_t bytes, int protection);
long sys_brk(u64 end); // returns the break, unchanged if it could not be moved
long sys_clock_gettime(int clock, struct timespec *time);
long sys_rt_sigaction(int signal, const struct signal_action *action);
_Noreturn void sys_exit_group(int status);

// "ENOENT" and so on, for the results above: 0 or more gives "ok", an unknown error gives "error".
const char *error_name(long result);

// ---- Strings of bytes (GCC calls the first four on its own account) -----------------------------

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *left, const void *right, size_t bytes);
size_t strlen(const char *text);
bool strings_equal(const char *left, const char *right);

// ---- Output -------------------------------------------------------------------------------------

// Collects bytes and writes them to a file a buffer at a time.
struct writer {
    int fd;
    u8 *buffer;
    size_t capacity, used;
};

void writer_put(struct writer *writer, const void *bytes, size_t count);
void writer_flush(struct writer *writer);

// Buffered output to stdout. A small printf: %s %c %d %u %ld %lu %x %lx %%, with a width and a
// leading 0 (`%016lx`). The buffer is flushed at exit; call flush() before a fault that is expected
// to kill.
__attribute__((format(printf, 1, 2))) void print(const char *format, ...);
void flush(void);

// Flushes stdout, then ends the program.
_Noreturn void exit(int status);

// Says `PROGRAM: message` on stderr and ends the program with status 1.
_Noreturn __attribute__((format(printf, 1, 2))) void die(const char *format, ...);

// ---- Arguments ----------------------------------------------------------------------------------

// Dies with `usage: PROGRAM SYNOPSIS` unless the number of arguments after argv[0] is in range.
void expect_arguments(int argc, int at_least, int at_most, const char *synopsis);

// Argument `index` as a decimal number within [at_least, at_most], or `fallback` where it is not
// given.
u64 number_argument(int argc, char **argv, int index, const char *name, u64 fallback, u64 at_least,
                    u64 at_most);

// ---- Memory -------------------------------------------------------------------------------------

// As the kernel reports it. The programs never assume 4096: the point is to run on any MMU.
size_t page_size(void);

// Fresh zeroed pages from mmap. A size of 0 is allowed and gives a pointer that must not be used.
void *map_anonymous(size_t bytes);
void unmap(void *address, size_t bytes);

struct mapped_file {
    const u8 *bytes;
    size_t size;
    u64 device, inode;
};

// A whole regular file, private and read-only. An empty file maps nothing: size is 0.
struct mapped_file map_file(const char *path);

// Memory from the heap that brk() extends, aligned to 16 bytes and zeroed. It is never given back.
void *heap_allocate(size_t bytes);

// ---- Numbers ------------------------------------------------------------------------------------

// Knuth's MMIX generator; only the upper half of the state is returned because the lower bits of
// such a generator have short periods. The same seed gives the same numbers everywhere.
static inline u32 next_random(u64 *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (u32)(*state >> 32);
}

static inline size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Hides from the compiler where a pointer comes from, so that it cannot reason about (and optimise
// away) an access that is wrong on purpose.
#define LAUNDER(pointer) __asm__("" : "+r"(pointer))

#endif
