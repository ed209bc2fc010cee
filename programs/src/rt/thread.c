// Threads; thread.h says what each function promises.

#include "thread.h"

#include "sync.h"

#define CLONE_VM 0x100
#define CLONE_FS 0x200
#define CLONE_FILES 0x400
#define CLONE_SIGHAND 0x800
#define CLONE_THREAD 0x10000
#define CLONE_SYSVSEM 0x40000
#define CLONE_SETTLS 0x80000
#define CLONE_PARENT_SETTID 0x100000
#define CLONE_CHILD_CLEARTID 0x200000

enum { STACK_BYTES = 64 * 1024 };

// thread.S: clone(), and in the new thread `run(self)`. Gives its number or an error.
long rt_clone(u64 flags, void *stack_top, u32 *parent_tid, struct thread *tls, u32 *child_tid,
              void (*run)(struct thread *self), struct thread *self);

void thread_start(struct thread *thread, void (*run)(struct thread *self), u32 index)
{
    *thread = (struct thread){run, index, 0, map_anonymous(STACK_BYTES)};
    // What pthread_create() asks for. The number is there before either side goes on.
    u64 flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    long result = rt_clone(flags, (u8 *)thread->stack + STACK_BYTES, &thread->alive, thread,
                           &thread->alive, run, thread);
    if (result < 0)
        die("cannot start a thread: %s", error_name(result));
}

void thread_join(struct thread *thread)
{
    u32 alive;
    while ((alive = __atomic_load_n(&thread->alive, __ATOMIC_ACQUIRE)) != 0)
        futex_wait(&thread->alive, alive);
    unmap(thread->stack, STACK_BYTES);
}
