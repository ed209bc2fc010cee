// Futexes, mutex and barrier; sync.h says what each function promises.

#include "sync.h"

#include "syscall.h"

enum { SYS_FUTEX = 98 };

enum { FUTEX_WAIT = 0, FUTEX_WAKE = 1 };

void futex_wait(u32 *word, u32 expected)
{
    long result = syscall6(SYS_FUTEX, (u64)word, FUTEX_WAIT, expected, 0, 0, 0);
    if (result < 0 && result != -EAGAIN && result != -EINTR)
        die("cannot wait for a futex: %s", error_name(result));
}

void futex_wake(u32 *word, u32 count)
{
    long result = syscall6(SYS_FUTEX, (u64)word, FUTEX_WAKE, count, 0, 0, 0);
    if (result < 0)
        die("cannot wake a futex: %s", error_name(result));
}

// The second mutex of Drepper's "Futexes Are Tricky": one atomic operation if nobody else is there.
void mutex_lock(struct mutex *mutex)
{
    u32 seen = 0;
    if (__atomic_compare_exchange_n(&mutex->state, &seen, 1, false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED))
        return;
    // Whoever has slept cannot know whether others still do, and takes the mutex as 2.
    while (__atomic_exchange_n(&mutex->state, 2, __ATOMIC_ACQUIRE) != 0)
        futex_wait(&mutex->state, 2);
}

void mutex_unlock(struct mutex *mutex)
{
    if (__atomic_exchange_n(&mutex->state, 0, __ATOMIC_RELEASE) == 2)
        futex_wake(&mutex->state, 1);
}

void barrier_wait(struct barrier *barrier)
{
    u32 generation = __atomic_load_n(&barrier->generation, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&barrier->arrived, 1, __ATOMIC_ACQ_REL) == barrier->parties) {
        // Cleared first: whoever leaves may be back at once.
        __atomic_store_n(&barrier->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&barrier->generation, generation + 1, __ATOMIC_RELEASE);
        futex_wake(&barrier->generation, barrier->parties);
        return;
    }
    while (__atomic_load_n(&barrier->generation, __ATOMIC_ACQUIRE) == generation)
        futex_wait(&barrier->generation, generation);
}
