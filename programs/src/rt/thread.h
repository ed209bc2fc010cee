// Threads, which share all memory, and code that runs on a stack of its own.

#ifndef RT_THREAD_H
#define RT_THREAD_H

#include "rt.h"

struct thread {
    void (*run)(struct thread *self);
    u32 index;
    u32 alive; // the thread's number while it lives; the kernel clears it and wakes who joins
    void *stack;
};

// Runs `run` in a thread of this process, on a stack of 64 KiB. The thread ends when `run` returns;
// the structure must stay where it is until then. `index` is for the program.
void thread_start(struct thread *thread, void (*run)(struct thread *self), u32 index);
void thread_join(struct thread *thread);

// The thread that runs this. Not for the first one, which nobody has started.
static inline struct thread *thread_self(void)
{
    struct thread *self;
    __asm__("mv %0, tp" : "=r"(self));
    return self;
}

// Runs `function(argument)` on another stack, which ends at `top`, and comes back.
void call_on_stack(void (*function)(void *argument), void *argument, void *top);

#endif
