// threads [THREADS] [ROUNDS]: threads with a mutex over shared counters, and then a hunt for stale
// TLB entries: one thread changes the mappings that all others have just used.
//
// Threads share page tables, but on a machine with several harts each has a TLB of its own. Whoever
// takes a right away, replaces a page or makes it copy-on-write must reach all of them (a TLB
// shoot-down) before he goes on; where that is forgotten, a thread goes on with what was. In every
// round all threads touch all pages, so that each TLB holds them, and then the first thread
//
//   - makes all pages read-only: each thread's next store must fault, once, in its own handler;
//   - replaces all pages by others at the same addresses: nobody may see the old ones;
//   - forks: what the threads store afterwards the child must not see, although their TLBs had the
//     frames as writable, and they must see one another's stores, although their TLBs had the old
//     frames as readable.
//
// How often threads sleep depends on the schedule, and so does the number of instructions.

#include "rt/process.h"
#include "rt/sync.h"
#include "rt/thread.h"

enum { MAX_THREADS = 32 };

enum step { PROTECT, REPLACE, FORK, STEPS };

static struct barrier barrier;
static struct thread pool[MAX_THREADS];
static u32 threads;
static u64 rounds;

static struct mutex mutex;
static u64 guarded, atomic;

static u8 *area; // a page for each thread
static u64 faults[MAX_THREADS], wrong[MAX_THREADS];

static volatile u64 *word(u32 page)
{
    return (volatile u64 *)(area + page * page_size());
}

static void must(long result, const char *what)
{
    if (result < 0)
        die("cannot %s: %s", what, error_name(result));
}

// ---- What the threads do ------------------------------------------------------------------------

static void count(void)
{
    for (u64 i = 0; i < 50 * rounds; i++) {
        mutex_lock(&mutex);
        guarded++;
        mutex_unlock(&mutex);
        __atomic_fetch_add(&atomic, 1, __ATOMIC_RELAXED);
    }
}

static u64 mark(u32 page, u64 time)
{
    return (u64)(page + 1) << 32 | time;
}

static void check_all(u32 self, u64 time)
{
    for (u32 page = 0; page < threads; page++)
        wrong[self] += *word(page) != mark(page, time);
}

// One step of a round, which has four times: before, after the first thread's change, after the
// stores to the thread's own page, after all have looked.
static void follow(u32 self, u64 time)
{
    check_all(self, time);         // every TLB has every page,
    *word(self) = mark(self, time); // and this one as writable
    barrier_wait(&barrier);
    // Here the first thread changes the mappings.
    barrier_wait(&barrier);
    check_all(self, time);
    barrier_wait(&barrier);
    *word(self) = mark(self, time + 1);
    barrier_wait(&barrier);
    check_all(self, time + 1);
    barrier_wait(&barrier);
}

static void run(struct thread *self)
{
    count();
    barrier_wait(&barrier);
    for (u64 time = 1; time <= rounds * STEPS; time++)
        follow(self->index, time);
}

// ---- What the first thread does -----------------------------------------------------------------

static void handle_fault(int signal, struct signal_info *info, void *context)
{
    (void)signal;
    (void)context;
    u32 self = thread_self()->index;
    u8 *page = area + self * page_size();
    if (info->code != SEGV_ACCERR || (u8 *)info->address != page)
        die("a fault that nobody expects");
    faults[self]++;
    must(sys_mprotect(page, page_size(), PROT_READ | PROT_WRITE), "make a page writable");
}

static void replace_pages(u64 time)
{
    // The new pages are made elsewhere, then each comes to lie over its old one.
    for (u32 page = 0; page < threads; page++) {
        u8 *at = area + page * page_size();
        must(sys_munmap(at, page_size()), "unmap");
        must(sys_mmap(at, page_size(), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
             "map again");
        if (*word(page) != 0)
            die("a new page is not empty");
        *word(page) = mark(page, time);
    }
}

// The child sleeps until all threads have stored, and then must find what was before. It has only
// the one thread, and a copy of everything.
static int fork_and_look(const struct pipe *stored, u64 time)
{
    int child = fork_process();
    if (child == 0) {
        await_token(stored->reader);
        u64 differ = 0;
        for (u32 page = 0; page < threads; page++)
            differ += *word(page) != mark(page, time);
        exit(differ == 0 ? 0 : 1);
    }
    return child;
}

// Gives how many checks failed.
static u64 lead(enum step step, u64 time, const struct pipe *stored)
{
    int child = 0;
    barrier_wait(&barrier);
    if (step == PROTECT)
        must(sys_mprotect(area, threads * page_size(), PROT_READ), "make the pages read-only");
    else if (step == REPLACE)
        replace_pages(time);
    else
        child = fork_and_look(stored, time);
    barrier_wait(&barrier);
    barrier_wait(&barrier);
    barrier_wait(&barrier);
    if (child != 0)
        send_token(stored->writer);
    barrier_wait(&barrier);
    return child != 0 && wait_for(child) != 0;
}

int main(int argc, char **argv)
{
    expect_arguments(argc, 0, 2, "[THREADS] [ROUNDS]");
    threads = (u32)number_argument(argc, argv, 1, "THREADS", 4, 1, MAX_THREADS);
    rounds = number_argument(argc, argv, 2, "ROUNDS", 20, 1, 100000);
    struct signal_action action = {handle_fault, SA_SIGINFO, 0};
    must(sys_rt_sigaction(SIGSEGV, &action), "install a handler");
    area = map_anonymous(threads * page_size());
    for (u32 page = 0; page < threads; page++)
        *word(page) = mark(page, 1);

    barrier.parties = threads + 1;
    for (u32 i = 0; i < threads; i++)
        thread_start(&pool[i], run, i);
    barrier_wait(&barrier);
    bool right = guarded == threads * 50 * rounds && atomic == guarded;
    print("%u threads counted %lu and %lu\n", threads, guarded, atomic);

    struct pipe stored = open_pipe();
    u64 children_failed = 0;
    for (u64 time = 1; time <= rounds * STEPS; time++)
        children_failed += lead((enum step)((time - 1) % STEPS), time, &stored);
    u64 all_faults = 0, all_wrong = 0;
    for (u32 i = 0; i < threads; i++) {
        thread_join(&pool[i]);
        all_faults += faults[i];
        all_wrong += wrong[i];
    }
    print("%lu stores faulted, %lu stale words, %lu children saw changes\n", all_faults, all_wrong,
          children_failed);
    right &= all_faults == threads * rounds && all_wrong == 0 && children_failed == 0;
    return right ? 0 : 1;
}
