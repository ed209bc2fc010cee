// Waiting for one another, over memory that threads or processes share: futexes, and a mutex and a
// barrier built on them. Nobody spins: whoever must wait sleeps in the kernel.
//
// All work between processes too, at whatever address each has the memory: the kernel tells futexes
// apart by what lies behind the address. All-zero bytes are an unlocked mutex.

#ifndef RT_SYNC_H
#define RT_SYNC_H

#include "rt.h"

// Sleeps while `*word` is `expected`; may return for no reason, so callers look again.
void futex_wait(u32 *word, u32 expected);
// Wakes up to `count` of those who sleep on the word.
void futex_wake(u32 *word, u32 count);

struct mutex {
    u32 state; // 0: free, 1: taken, 2: taken, and somebody may be asleep
};

void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

struct barrier {
    u32 parties; // set by the program before the first use
    u32 arrived, generation;
};

// Returns once all parties have called it; then the barrier is as new.
void barrier_wait(struct barrier *barrier);

#endif
