// shmcount [PROCESSES] [ROUNDS]: counters in a System V shared memory segment, which every process
// has at another address.
//
// One frame, many virtual addresses: the segment must keep no pointers, only offsets, and an atomic
// increment through one address must be seen through all others. An MMU that looks pages up by the
// frame (an inverted table) must take one frame for several mappings; a cache or TLB must not
// mistake the address for the memory. Each process counts ROUNDS times: a counter, a place of a
// table, a counter behind a futex mutex, and a node pushed on a list that is linked by offsets.

#include "rt/process.h"
#include "rt/sync.h"

enum { TABLE = 256, MAX_PROCESSES = 64 };

struct node {
    u32 next; // index + 1 of the next node, 0 at the end
    u32 owner;
    u64 value;
};

struct segment {
    struct barrier start; // all count at the same time
    u64 count;
    struct mutex mutex;
    u32 head; // as node.next
    u64 guarded;
    u64 table[TABLE];
    u64 addresses[MAX_PROCESSES]; // where each process has the segment
    struct node nodes[];          // ROUNDS of each process
};

static struct segment *attach(int id, void *address)
{
    long result = sys_shmat(id, address, 0);
    if (result < 0)
        die("cannot attach the segment: %s", error_name(result));
    return (struct segment *)result;
}

static void detach(const struct segment *segment)
{
    long result = sys_shmdt(segment);
    if (result < 0)
        die("cannot detach the segment: %s", error_name(result));
}

static void push(struct segment *segment, u32 index)
{
    struct node *node = &segment->nodes[index];
    u32 head = __atomic_load_n(&segment->head, __ATOMIC_RELAXED);
    do {
        node->next = head;
    } while (!__atomic_compare_exchange_n(&segment->head, &head, index + 1, false,
                                          __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static void count(struct segment *segment, u32 process, u64 rounds)
{
    u64 state = process + 1;
    for (u64 round = 0; round < rounds; round++) {
        __atomic_fetch_add(&segment->count, 1, __ATOMIC_RELAXED);
        u32 random = next_random(&state);
        __atomic_fetch_add(&segment->table[random % TABLE], random, __ATOMIC_RELAXED);

        mutex_lock(&segment->mutex);
        segment->guarded++; // no atomic operation: the mutex must do
        mutex_unlock(&segment->mutex);

        u32 index = (u32)(process * rounds + round);
        segment->nodes[index].owner = process;
        segment->nodes[index].value = random;
        push(segment, index);
    }
}

// What `count` adds to the table, from the same random numbers: their sum.
static u64 expected_sum(u32 processes, u64 rounds)
{
    u64 sum = 0;
    for (u32 process = 0; process < processes; process++) {
        u64 state = process + 1;
        for (u64 round = 0; round < rounds; round++)
            sum += next_random(&state);
    }
    return sum;
}

static bool check_list(const struct segment *segment, u64 nodes, u64 sum)
{
    u64 found = 0, values = 0;
    for (u32 link = segment->head; link != 0; link = segment->nodes[link - 1].next) {
        values += segment->nodes[link - 1].value;
        if (++found > nodes)
            break; // the list bites its tail
    }
    print("list: %lu nodes, %s\n", found, found == nodes && values == sum ? "right" : "WRONG");
    return found == nodes && values == sum;
}

static bool check(const struct segment *segment, u32 processes, u64 rounds)
{
    u64 sum = 0;
    for (u32 place = 0; place < TABLE; place++)
        sum += segment->table[place];
    u64 wanted_sum = expected_sum(processes, rounds);
    print("counted %lu, guarded %lu, table sum 0x%016lx\n", segment->count, segment->guarded, sum);

    u32 alike = 0;
    for (u32 i = 0; i < processes; i++)
        for (u32 j = 0; j < i; j++)
            alike += segment->addresses[i] == segment->addresses[j];
    for (u32 i = 0; i < processes; i++)
        alike += segment->addresses[i] == (u64)segment;
    print("%u processes and their parent, %s\n", processes,
          alike == 0 ? "each at another address" : "some at the SAME address");

    u64 total = processes * rounds;
    bool list = check_list(segment, total, wanted_sum);
    return segment->count == total && segment->guarded == total && sum == wanted_sum &&
           alike == 0 && list;
}

int main(int argc, char **argv)
{
    expect_arguments(argc, 0, 2, "[PROCESSES] [ROUNDS]");
    u32 processes = (u32)number_argument(argc, argv, 1, "PROCESSES", 4, 1, MAX_PROCESSES);
    u64 rounds = number_argument(argc, argv, 2, "ROUNDS", 2000, 1, 1000000);

    // Whole pieces of 64 KiB, so that places side by side suit every page size.
    const u64 granule = 64 * 1024;
    u64 bytes = sizeof(struct segment) + processes * rounds * sizeof(struct node);
    bytes = (bytes + granule - 1) / granule * granule;
    long id = sys_shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600);
    if (id < 0)
        die("cannot create the segment: %s", error_name(id));

    // Room for all of them side by side, reserved so that nothing else comes to lie there.
    u64 room_bytes = (processes + 2) * bytes;
    long room = sys_mmap(NULL, room_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room < 0)
        die("cannot reserve addresses: %s", error_name(room));
    unmap((void *)room, room_bytes);
    u64 first = ((u64)room + granule - 1) / granule * granule;

    struct segment *segment = attach((int)id, (void *)first);
    segment->start.parties = processes;
    int children[MAX_PROCESSES];
    for (u32 process = 0; process < processes; process++) {
        children[process] = fork_process();
        if (children[process] == 0) {
            struct segment *own = attach((int)id, (void *)(first + (process + 1) * bytes));
            detach(segment); // the one inherited
            own->addresses[process] = (u64)own;
            barrier_wait(&own->start);
            count(own, process, rounds);
            exit(0);
        }
    }

    bool right = true;
    for (u32 process = 0; process < processes; process++)
        right &= wait_for(children[process]) == 0;
    right &= check(segment, processes, rounds);

    struct segment_status status;
    long result = sys_shmctl((int)id, IPC_STAT, &status);
    print("attached at the end: %lu\n", result < 0 ? 0 : status.attachments);
    right &= result >= 0 && status.attachments == 1;
    detach(segment);
    right &= sys_shmctl((int)id, IPC_RMID, NULL) >= 0;
    right &= sys_shmat((int)id, NULL, 0) < 0; // and it is gone
    print("%s\n", right ? "right" : "WRONG");
    return right ? 0 : 1;
}
