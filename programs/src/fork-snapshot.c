// fork-snapshot [KEYS] [ROUNDS] [FILE]: a key-value store that writes snapshots of itself to a file
// while it goes on changing, as Redis does in the background: it forks, the child writes what it
// sees, and that is the moment of the fork, whatever the parent does meanwhile.
//
// All of the store is shared copy-on-write for the time of a snapshot. Only the pages that the
// parent writes to before the child has ended are copied: during a snapshot a quarter of the keys
// change, which lie in two places, so that most of the memory is never copied. What the parent
// changes after the child has ended it owns alone again, and it writes without a copy.
//
// The two take turns: the child writes half of the file, the parent then changes the store, and
// only then the child writes the rest. So the output says whether the snapshot is of the fork, and
// not of a lucky moment. Without FILE the snapshot goes to memory (memfd_create).

#include "rt/process.h"

struct record {
    u64 key, value; // key 0: free
};

struct summary {
    u64 records, checksum;
};

static struct record *store; // open addressing, linear probing, at most half full
static u64 slots;

static struct record *find(u64 key)
{
    u64 slot = 4 * key % slots; // keys that follow one another lie together
    while (store[slot].key != 0 && store[slot].key != key)
        slot = (slot + 1) % slots;
    return &store[slot];
}

static void set(u64 key, u64 value)
{
    *find(key) = (struct record){key, value};
}

static void add(struct summary *summary, const struct record *record)
{
    if (record->key == 0)
        return;
    summary->records++;
    // Mixed so that values which have changed places show.
    u64 mixed = (record->key * 0x9e3779b97f4a7c15u) ^ record->value;
    summary->checksum += mixed * (mixed >> 32 | 1);
}

static struct summary summarise(void)
{
    struct summary summary = {0, 0};
    for (u64 slot = 0; slot < slots; slot++)
        add(&summary, &store[slot]);
    return summary;
}

// Every value of one eighth of the keys, and some new keys beside them. No two changes are alike.
static void change(u64 keys, u64 eighth)
{
    static u64 changes;
    u64 count = keys / 8 + 1;
    u64 first = 1 + eighth % 8 * count;
    u64 state = ++changes;
    for (u64 i = 0; i < count; i++)
        set(first + i, next_random(&state));
    for (u64 i = 0; i < count / 4; i++)
        set(keys + first + i, next_random(&state));
}

// In the child: nothing that happens to the parent's store from now on may show here.
static void write_snapshot(int fd, int half_written, int go_on)
{
    static u8 buffer[2048];
    struct writer writer = {fd, buffer, sizeof buffer, 0};
    for (u64 slot = 0; slot < slots; slot++) {
        if (slot == slots / 2) {
            writer_flush(&writer);
            send_token(half_written);
            await_token(go_on);
        }
        if (store[slot].key != 0)
            writer_put(&writer, &store[slot], sizeof store[slot]);
    }
    writer_flush(&writer);
}

static struct summary read_snapshot(int fd)
{
    static struct record buffer[128];
    struct summary summary = {0, 0};
    long result = sys_lseek(fd, 0, SEEK_SET);
    while (result >= 0 && (result = sys_read(fd, buffer, sizeof buffer)) > 0)
        for (u64 i = 0; i < (u64)result / sizeof buffer[0]; i++)
            add(&summary, &buffer[i]);
    if (result < 0)
        die("cannot read the snapshot: %s", error_name(result));
    return summary;
}

static bool equal(struct summary a, struct summary b)
{
    return a.records == b.records && a.checksum == b.checksum;
}

static bool snapshot_round(int fd, u64 keys, u64 round)
{
    struct pipe half_written = open_pipe(), go_on = open_pipe();
    long result = sys_ftruncate(fd, 0);
    if (result >= 0)
        result = sys_lseek(fd, 0, SEEK_SET);
    if (result < 0)
        die("cannot empty the snapshot: %s", error_name(result));

    struct summary at_fork = summarise();
    int child = fork_process();
    if (child == 0) {
        write_snapshot(fd, half_written.writer, go_on.reader);
        exit(0);
    }
    await_token(half_written.reader);
    change(keys, round); // under the child's feet: where it has been, and where it has not
    change(keys, round + 4);
    send_token(go_on.writer);
    struct summary meanwhile = summarise();
    int code = wait_for(child);
    struct summary snapshot = read_snapshot(fd);
    change(keys, round + 2); // nobody else has these pages any more

    const int ends[] = {half_written.reader, half_written.writer, go_on.reader, go_on.writer};
    for (u32 i = 0; i < 4; i++)
        sys_close(ends[i]);

    bool right = code == 0 && equal(snapshot, at_fork) && !equal(snapshot, meanwhile);
    print("snapshot %lu: %lu records, checksum 0x%016lx: %s\n", round, snapshot.records,
          snapshot.checksum, right ? "as at the fork" : "NOT as at the fork");
    return right;
}

int main(int argc, char **argv)
{
    expect_arguments(argc, 0, 3, "[KEYS] [ROUNDS] [FILE]");
    u64 keys = number_argument(argc, argv, 1, "KEYS", 8192, 8, 10000000);
    u64 rounds = number_argument(argc, argv, 2, "ROUNDS", 4, 1, 1000);
    long fd = argc > 3 ? sys_openat(argv[3], O_RDWR | O_CREAT | O_TRUNC, 0644)
                       : sys_memfd_create("snapshot", 0);
    if (fd < 0)
        die("cannot create the snapshot: %s", error_name(fd));

    slots = 4 * keys;
    store = map_anonymous(slots * sizeof *store);
    for (u64 key = 1; key <= keys; key++)
        set(key, key * key);

    bool right = true;
    for (u64 round = 1; round <= rounds; round++)
        right &= snapshot_round((int)fd, keys, round);
    struct summary end = summarise();
    print("store: %lu records, checksum 0x%016lx\n", end.records, end.checksum);
    return right ? 0 : 1;
}
