// Processes and what they share; process.h says what each function promises.

#include "process.h"

#include "syscall.h"

enum {
    SYS_DUP3 = 24,
    SYS_MKDIRAT = 34,
    SYS_UNLINKAT = 35,
    SYS_PIPE2 = 59,
    SYS_PWRITE64 = 68,
    SYS_NANOSLEEP = 101,
    SYS_KILL = 129,
    SYS_GETPID = 172,
    SYS_SHMGET = 194,
    SYS_SHMCTL = 195,
    SYS_SHMAT = 196,
    SYS_SHMDT = 197,
    SYS_CLONE = 220,
    SYS_EXECVE = 221,
    SYS_MSYNC = 227,
    SYS_WAIT4 = 260,
    SYS_PRLIMIT64 = 261,
    SYS_MEMFD_CREATE = 279,
};

// ---- Processes ----------------------------------------------------------------------------------

long sys_wait4(int process, int *status, int options)
{
    return syscall6(SYS_WAIT4, (u64)process, (u64)status, (u64)options, 0, 0, 0);
}

int fork_process(void)
{
    flush();
    // RISC-V has no fork: a clone that shares nothing and keeps the stack pointer is one.
    long process = syscall6(SYS_CLONE, SIGCHLD, 0, 0, 0, 0, 0);
    if (process < 0)
        die("cannot fork: %s", error_name(process));
    return (int)process;
}

int wait_for(int process)
{
    int status;
    long result = sys_wait4(process, &status, 0);
    if (result < 0)
        die("cannot wait for a child: %s", error_name(result));
    int signal = status & 0x7f;
    return signal != 0 ? 128 + signal : status >> 8 & 0xff;
}

int own_process(void)
{
    return (int)syscall3(SYS_GETPID, 0, 0, 0);
}

long sys_kill(int process, int signal)
{
    return syscall3(SYS_KILL, (u64)process, (u64)signal, 0);
}

long sys_dup3(int from, int to, int flags)
{
    return syscall3(SYS_DUP3, (u64)from, (u64)to, (u64)flags);
}

long sys_execve(const char *path, const char *const *arguments, const char *const *environment)
{
    return syscall3(SYS_EXECVE, (u64)path, (u64)arguments, (u64)environment);
}

long sys_set_limit(int process, int resource, u64 bytes)
{
    u64 limits[2] = {bytes, bytes};
    return syscall6(SYS_PRLIMIT64, (u64)process, (u64)resource, (u64)limits, 0, 0, 0);
}

void sleep_microseconds(u64 microseconds)
{
    struct timespec time = {(i64)(microseconds / 1000000), (i64)(microseconds % 1000000 * 1000)};
    syscall3(SYS_NANOSLEEP, (u64)&time, 0, 0);
}

// ---- Pipes --------------------------------------------------------------------------------------

struct pipe open_pipe(void)
{
    int ends[2];
    long result = syscall3(SYS_PIPE2, (u64)ends, 0, 0);
    if (result < 0)
        die("cannot open a pipe: %s", error_name(result));
    return (struct pipe){ends[0], ends[1]};
}

void read_fully(int fd, void *buffer, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        long result = sys_read(fd, (u8 *)buffer + done, bytes - done);
        if (result <= 0)
            die("cannot read: %s", result == 0 ? "the other side is gone" : error_name(result));
        done += (size_t)result;
    }
}

void write_fully(int fd, const void *buffer, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        long result = sys_write(fd, (const u8 *)buffer + done, bytes - done);
        if (result < 0)
            die("cannot write: %s", error_name(result));
        done += (size_t)result;
    }
}

void send_token(int writer)
{
    write_fully(writer, "", 1);
}

void await_token(int reader)
{
    char token;
    read_fully(reader, &token, 1);
}

// ---- Small files --------------------------------------------------------------------------------

#define AT_FDCWD (-100)
#define AT_REMOVEDIR 0x200

long sys_mkdir(const char *path)
{
    return syscall3(SYS_MKDIRAT, (u64)AT_FDCWD, (u64)path, 0755);
}

long sys_rmdir(const char *path)
{
    return syscall3(SYS_UNLINKAT, (u64)AT_FDCWD, (u64)path, AT_REMOVEDIR);
}

long write_text(const char *path, const char *text)
{
    long fd = sys_openat(path, O_RDWR, 0);
    if (fd < 0)
        return fd;
    long result = sys_write((int)fd, text, strlen(text));
    sys_close((int)fd);
    return result;
}

u64 number_in(const char *path, const char *word)
{
    static char text[4096];
    long fd = sys_openat(path, O_RDONLY, 0);
    if (fd < 0)
        die("cannot open %s: %s", path, error_name(fd));
    long bytes = sys_read((int)fd, text, sizeof(text) - 1);
    sys_close((int)fd);
    size_t length = strlen(word);
    long at = 0;
    while (at < bytes && memcmp(text + at, word, smaller(length, (size_t)(bytes - at))) != 0)
        at++;
    for (at += (long)length; at < bytes && (text[at] < '0' || text[at] > '9');)
        at++;
    u64 number = 0;
    for (; at < bytes && text[at] >= '0' && text[at] <= '9'; at++)
        number = number * 10 + (u64)(text[at] - '0');
    return number;
}

// ---- Shared memory ------------------------------------------------------------------------------

long sys_shmget(int key, size_t bytes, int flags)
{
    return syscall3(SYS_SHMGET, (u64)key, bytes, (u64)flags);
}

long sys_shmat(int segment, void *address, int flags)
{
    return syscall3(SYS_SHMAT, (u64)segment, (u64)address, (u64)flags);
}

long sys_shmdt(const void *address)
{
    return syscall3(SYS_SHMDT, (u64)address, 0, 0);
}

long sys_shmctl(int segment, int command, struct segment_status *status)
{
    return syscall3(SYS_SHMCTL, (u64)segment, (u64)command, (u64)status);
}

void *map_shared(size_t bytes)
{
    long address =
        sys_mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (address < 0)
        die("cannot map %lu bytes of shared memory: %s", bytes, error_name(address));
    return (void *)address;
}

// ---- Files --------------------------------------------------------------------------------------

long sys_memfd_create(const char *name, u32 flags)
{
    return syscall3(SYS_MEMFD_CREATE, (u64)name, flags, 0);
}

long sys_pwrite(int fd, const void *buffer, size_t bytes, i64 offset)
{
    return syscall6(SYS_PWRITE64, (u64)fd, (u64)buffer, bytes, (u64)offset, 0, 0);
}

long sys_msync(void *address, size_t bytes, int flags)
{
    return syscall3(SYS_MSYNC, (u64)address, bytes, (u64)flags);
}
