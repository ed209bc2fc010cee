// Processes: fork, wait, pipes; and the memory and files that they share.
//
// As in rt.h, `sys_*` is the bare system call; everything else succeeds or ends the process with a
// message and exit status 1.

#ifndef RT_PROCESS_H
#define RT_PROCESS_H

#include "rt.h"

// ---- Processes ----------------------------------------------------------------------------------

#define SIGCHLD 17

long sys_wait4(int process, int *status, int options);

// Flushes stdout, so that nothing is said twice, and forks. Gives the child's number to the parent
// and 0 to the child.
int fork_process(void);

// Waits for a child and gives its exit code. A child that was killed by a signal gives 128 and the
// signal's number, as in a shell.
int wait_for(int process);

int own_process(void); // this process's number

// Replaces the program. Returns only if that fails, with -errno.
long sys_execve(const char *path, const char *const *arguments, const char *const *environment);

#define SIGKILL 9

long sys_kill(int process, int signal);

// Lets descriptor `to` be what `from` is.
long sys_dup3(int from, int to, int flags);

#define RLIMIT_RSS 5
#define RLIMIT_AS 9

// Sets the soft and the hard limit of a process (0: this one) to so many bytes.
long sys_set_limit(int process, int resource, u64 bytes);

// Lets time pass; a signal cuts it short.
void sleep_microseconds(u64 microseconds);

// ---- Pipes --------------------------------------------------------------------------------------

struct pipe {
    int reader, writer;
};

struct pipe open_pipe(void);

// All bytes or death: a pipe may hand over a part. The end of the stream is an error too.
void read_fully(int fd, void *buffer, size_t bytes);
void write_fully(int fd, const void *buffer, size_t bytes);

// One byte through a pipe, for processes that take turns.
void send_token(int writer);
void await_token(int reader);

// ---- Small files --------------------------------------------------------------------------------

long sys_mkdir(const char *path);
long sys_rmdir(const char *path);

// Writes a text to a file that is there; the result is that of the write or of the open.
long write_text(const char *path, const char *text);

// The first number in a file behind the first occurrence of `word`, which may be "".
u64 number_in(const char *path, const char *word);

// ---- Shared memory ------------------------------------------------------------------------------

#define MAP_SHARED 0x01

#define IPC_PRIVATE 0
#define IPC_CREAT 01000
#define IPC_RMID 0
#define IPC_STAT 2

// `struct shmid64_ds` of asm-generic/shmbuf.h; the kernel fills in all of it.
struct segment_status {
    u64 permissions[6];
    u64 bytes;
    i64 attached_at, detached_at, changed_at;
    u32 creator, last;
    u64 attachments;
    u64 unused[2];
};
_Static_assert(sizeof(struct segment_status) == 112, "must match the kernel's struct shmid64_ds");

long sys_shmget(int key, size_t bytes, int flags);
long sys_shmat(int segment, void *address, int flags); // returns the address
long sys_shmdt(const void *address);
long sys_shmctl(int segment, int command, struct segment_status *status);

// Fresh zeroed pages that a fork shares instead of copying.
void *map_shared(size_t bytes);

// ---- Files --------------------------------------------------------------------------------------

#define O_TRUNC 01000
#define MS_SYNC 4
#define SEEK_SET 0

long sys_memfd_create(const char *name, u32 flags);
long sys_pwrite(int fd, const void *buffer, size_t bytes, i64 offset);
long sys_msync(void *address, size_t bytes, int flags);

#endif
