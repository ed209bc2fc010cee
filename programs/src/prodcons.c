// prodcons [ITEMS] [PRODUCERS] [CONSUMERS]: producers hand ITEMS items to consumers, all of them
// processes, through a ring in memory that fork() shares (MAP_SHARED | MAP_ANONYMOUS).
//
// A store of one process is a load of the next without a system call or a copy: one frame in many
// page tables. Only who finds the ring full or empty sleeps, in a futex, whose address the kernel
// must take for the memory behind it. Which consumer gets which item depends on the schedule; that
// each item arrives once and whole does not. How often somebody sleeps depends on it too, and so
// does the number of instructions.

#include "rt/process.h"
#include "rt/sync.h"

enum { CAPACITY = 96, PAYLOAD = 14, MAX_PROCESSES = 32 };

struct item {
    u64 number; // 0: the end, one for each consumer
    u64 payload[PAYLOAD];
    u64 checksum;
};

struct ring {
    struct mutex mutex;
    u32 filled, taken;           // how many items ever; what those who wait sleep on
    u32 sleeping_full, sleeping_empty;
    struct item items[CAPACITY]; // number n at place n % CAPACITY
    struct {
        u64 items, broken, checksum;
    } results[MAX_PROCESSES]; // of each consumer
};

static struct ring *ring;

static u64 checksum(const struct item *item)
{
    u64 sum = item->number;
    for (u32 i = 0; i < PAYLOAD; i++)
        sum = (sum << 7 | sum >> 57) ^ item->payload[i];
    return sum;
}

static struct item make_item(u64 number)
{
    struct item item = {.number = number};
    u64 state = number;
    for (u32 i = 0; i < PAYLOAD; i++)
        item.payload[i] = next_random(&state);
    item.checksum = checksum(&item);
    return item;
}

// Sleeps until `*word`, which the caller has seen as `seen` under the mutex, changes. Whoever
// changes it looks at `*sleepers`, also under the mutex, and so misses nobody.
static void sleep_until_changed(u32 *word, u32 *sleepers)
{
    u32 seen = *word;
    (*sleepers)++;
    mutex_unlock(&ring->mutex);
    futex_wait(word, seen);
    mutex_lock(&ring->mutex);
    (*sleepers)--;
}

static void put(const struct item *item)
{
    mutex_lock(&ring->mutex);
    while (ring->filled - ring->taken == CAPACITY)
        sleep_until_changed(&ring->taken, &ring->sleeping_full);
    ring->items[ring->filled % CAPACITY] = *item;
    ring->filled++;
    bool wake = ring->sleeping_empty > 0;
    mutex_unlock(&ring->mutex);
    if (wake)
        futex_wake(&ring->filled, 1);
}

static struct item get(void)
{
    mutex_lock(&ring->mutex);
    while (ring->filled == ring->taken)
        sleep_until_changed(&ring->filled, &ring->sleeping_empty);
    struct item item = ring->items[ring->taken % CAPACITY];
    ring->taken++;
    bool wake = ring->sleeping_full > 0;
    mutex_unlock(&ring->mutex);
    if (wake)
        futex_wake(&ring->taken, 1);
    return item;
}

// Every PRODUCERS-th item, from `first` on.
static void produce(u64 first, u64 items, u64 producers)
{
    for (u64 number = first; number <= items; number += producers) {
        struct item item = make_item(number);
        put(&item);
    }
}

static void consume(u32 consumer)
{
    u64 items = 0, broken = 0, sum = 0;
    for (;;) {
        struct item item = get();
        if (item.number == 0)
            break;
        items++;
        broken += checksum(&item) != item.checksum;
        sum += item.checksum;
    }
    ring->results[consumer].items = items;
    ring->results[consumer].broken = broken;
    ring->results[consumer].checksum = sum;
}

static bool check(u64 items, u64 consumers)
{
    u64 arrived = 0, broken = 0, sum = 0, wanted = 0;
    for (u64 consumer = 0; consumer < consumers; consumer++) {
        arrived += ring->results[consumer].items;
        broken += ring->results[consumer].broken;
        sum += ring->results[consumer].checksum;
    }
    for (u64 number = 1; number <= items; number++)
        wanted += make_item(number).checksum;
    print("%lu items arrived, %lu broken, checksum 0x%016lx\n", arrived, broken, sum);
    return arrived == items && broken == 0 && sum == wanted;
}

int main(int argc, char **argv)
{
    expect_arguments(argc, 0, 3, "[ITEMS] [PRODUCERS] [CONSUMERS]");
    u64 items = number_argument(argc, argv, 1, "ITEMS", 10000, 0, 100000000);
    u64 producers = number_argument(argc, argv, 2, "PRODUCERS", 2, 1, MAX_PROCESSES);
    u64 consumers = number_argument(argc, argv, 3, "CONSUMERS", 2, 1, MAX_PROCESSES);
    ring = map_shared(sizeof *ring);

    int children[2 * MAX_PROCESSES];
    for (u64 i = 0; i < producers + consumers; i++) {
        children[i] = fork_process();
        if (children[i] != 0)
            continue;
        if (i < producers)
            produce(i + 1, items, producers);
        else
            consume((u32)(i - producers));
        exit(0);
    }

    bool right = true;
    for (u64 i = 0; i < producers; i++)
        right &= wait_for(children[i]) == 0;
    const struct item end = {.number = 0};
    for (u64 i = 0; i < consumers; i++)
        put(&end);
    for (u64 i = 0; i < consumers; i++)
        right &= wait_for(children[producers + i]) == 0;
    right &= check(items, consumers);
    print("%lu producers, %lu consumers: %s\n", producers, consumers, right ? "right" : "WRONG");
    return right ? 0 : 1;
}
