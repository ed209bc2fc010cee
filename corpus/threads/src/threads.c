// POSIX threads as programs use them. Each part prints one line that does not depend on how the
// threads are interleaved.

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 1000 };

static void check(int condition, const char *what) {
    if (!condition) {
        printf("FAILED: %s\n", what);
        exit(1);
    }
}

static void run(void *(*body)(void *), pthread_t threads[THREADS]) {
    for (long id = 0; id < THREADS; id++)
        check(pthread_create(&threads[id], NULL, body, (void *)id) == 0, "pthread_create");
}

static void join(pthread_t threads[THREADS]) {
    for (int id = 0; id < THREADS; id++)
        check(pthread_join(threads[id], NULL) == 0, "pthread_join");
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void *count(void *argument) {
    (void)argument;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void mutexes(void) {
    pthread_t threads[THREADS];
    run(count, threads);
    join(threads);
    printf("mutex: %ld\n", counter);
}

static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER, not_full = PTHREAD_COND_INITIALIZER;
static int queue[16], queued, head;
static atomic_long consumed;

static void put(int value) {
    pthread_mutex_lock(&mutex);
    while (queued == 16)
        pthread_cond_wait(&not_full, &mutex);
    queue[(head + queued++) % 16] = value;
    pthread_cond_signal(&not_empty);
    pthread_mutex_unlock(&mutex);
}

static int take(void) {
    pthread_mutex_lock(&mutex);
    while (queued == 0)
        pthread_cond_wait(&not_empty, &mutex);
    int value = queue[head];
    head = (head + 1) % 16;
    queued--;
    pthread_cond_signal(&not_full);
    pthread_mutex_unlock(&mutex);
    return value;
}

static void *produce_or_consume(void *argument) {
    long id = (long)argument;
    for (int round = 1; round <= ROUNDS; round++) {
        if (id % 2 == 0)
            put(round);
        else
            consumed += take();
    }
    return NULL;
}

static void conditions(void) {
    pthread_t threads[THREADS];
    run(produce_or_consume, threads);
    join(threads);
    printf("condition variables: %ld\n", (long)consumed);
}

static pthread_barrier_t barrier;
static atomic_int arrived;
static atomic_int serial;

static void *meet(void *argument) {
    (void)argument;
    for (int round = 1; round <= 50; round++) {
        arrived++;
        if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
            serial++;
        check(arrived >= round * THREADS, "all have arrived behind the barrier");
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void barriers(void) {
    pthread_t threads[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS);
    run(meet, threads);
    join(threads);
    printf("barrier: %d arrivals, %d serial threads\n", (int)arrived, (int)serial);
}

static __thread long local = 41;
static pthread_key_t key;
static atomic_int destroyed;

static void destroy(void *value) {
    (void)value;
    destroyed++;
}

static void *use_locals(void *argument) {
    check(local == 41, "a fresh thread-local variable");
    local = (long)argument;
    pthread_setspecific(key, &local);
    sched_yield();
    check(local == (long)argument, "a thread-local variable stays the thread's own");
    check(pthread_getspecific(key) == &local, "pthread_getspecific");
    return NULL;
}

static void locals(void) {
    pthread_t threads[THREADS];
    pthread_key_create(&key, destroy);
    run(use_locals, threads);
    join(threads);
    printf("thread-local storage: %d destructors, main has %ld\n", (int)destroyed, local);
}

static atomic_int cleaned;

static void clean(void *argument) {
    (void)argument;
    cleaned++;
}

static void *wait_for_ever(void *argument) {
    pthread_cleanup_push(clean, NULL);
    if ((long)argument % 2 == 0) {
        for (;;)
            pause();
    } else {
        pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
        pthread_cond_t never = PTHREAD_COND_INITIALIZER;
        pthread_mutex_lock(&own);
        for (;;)
            pthread_cond_wait(&never, &own);
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void cancellation(void) {
    pthread_t threads[THREADS];
    int cancelled = 0;
    run(wait_for_ever, threads);
    for (int id = 0; id < THREADS; id++) {
        void *result;
        check(pthread_cancel(threads[id]) == 0, "pthread_cancel");
        pthread_join(threads[id], &result);
        cancelled += result == PTHREAD_CANCELED;
    }
    printf("cancellation: %d cancelled, %d cleaned up\n", cancelled, (int)cleaned);
}

static sem_t ping, pong;

static void *answer(void *argument) {
    (void)argument;
    for (int round = 0; round < ROUNDS; round++) {
        sem_wait(&ping);
        sem_post(&pong);
    }
    return NULL;
}

static void semaphores(void) {
    pthread_t thread;
    sem_init(&ping, 0, 0);
    sem_init(&pong, 0, 0);
    pthread_create(&thread, NULL, answer, NULL);
    for (int round = 0; round < ROUNDS; round++) {
        sem_post(&ping);
        sem_wait(&pong);
    }
    pthread_join(thread, NULL);
    printf("semaphores: %d rounds\n", ROUNDS);
}

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static long pair[2];

static void *read_or_write(void *argument) {
    for (int round = 0; round < ROUNDS; round++) {
        if ((long)argument % 4 == 0) {
            pthread_rwlock_wrlock(&lock);
            pair[0]++;
            pair[1]++;
        } else {
            pthread_rwlock_rdlock(&lock);
            check(pair[0] == pair[1], "a reader sees whole writes");
        }
        pthread_rwlock_unlock(&lock);
    }
    return NULL;
}

static void read_write_locks(void) {
    pthread_t threads[THREADS];
    run(read_or_write, threads);
    join(threads);
    printf("read-write lock: %ld writes\n", pair[0]);
}

static void timeouts(void) {
    pthread_cond_t never = PTHREAD_COND_INITIALIZER;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 20 * 1000 * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&mutex);
    int error = pthread_cond_timedwait(&never, &mutex, &until);
    pthread_mutex_unlock(&mutex);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    check(now.tv_sec > until.tv_sec || (now.tv_sec == until.tv_sec && now.tv_nsec >= until.tv_nsec),
          "the deadline is over");
    printf("time-out: %s\n", error == ETIMEDOUT ? "ETIMEDOUT" : strerror(error));
}

static atomic_int handled;
static __thread atomic_int handled_here;

static void handle(int signal) {
    (void)signal;
    handled++;
    handled_here++;
}

static void *wait_for_signal(void *argument) {
    (void)argument;
    while (handled_here == 0)
        sched_yield();
    return NULL;
}

static void signals(void) {
    pthread_t threads[THREADS];
    struct sigaction action = {.sa_handler = handle};
    sigaction(SIGUSR1, &action, NULL);
    run(wait_for_signal, threads);
    for (int id = 0; id < THREADS; id++)
        check(pthread_kill(threads[id], SIGUSR1) == 0, "pthread_kill");
    join(threads);
    printf("signals: %d, of them the main thread's %d\n", (int)handled, (int)handled_here);
}

// A robust mutex in shared memory, whose owner, another process, dies.
static void robust(void) {
    pthread_mutex_t *shared =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(shared, &attributes);
    fflush(stdout);
    if (fork() == 0) {
        pthread_mutex_lock(shared);
        _exit(0);
    }
    wait(NULL);
    int error = pthread_mutex_lock(shared);
    pthread_mutex_consistent(shared);
    pthread_mutex_unlock(shared);
    printf("robust mutex: %s\n", error == EOWNERDEAD ? "EOWNERDEAD" : strerror(error));
}

static void *allocate(void *argument) {
    unsigned seed = (unsigned)(long)argument + 1;
    char *blocks[64] = {0};
    for (int round = 0; round < ROUNDS * 4; round++) {
        seed = seed * 1103515245 + 12345;
        int slot = seed >> 16 & 63;
        free(blocks[slot]);
        size_t size = 1 + (seed >> 8) % 20000;
        blocks[slot] = malloc(size);
        check(blocks[slot] != NULL, "malloc");
        memset(blocks[slot], slot, size);
    }
    for (int slot = 0; slot < 64; slot++)
        free(blocks[slot]);
    return NULL;
}

static void allocations(void) {
    pthread_t threads[THREADS];
    run(allocate, threads);
    join(threads);
    printf("malloc in %d threads\n", THREADS);
}

int main(void) {
    mutexes();
    conditions();
    barriers();
    locals();
    cancellation();
    semaphores();
    read_write_locks();
    timeouts();
    signals();
    robust();
    allocations();
    return 0;
}
