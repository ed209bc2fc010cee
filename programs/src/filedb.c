// filedb FILE [RECORDS]: a small database in a file that is mapped shared: a header, a hash index
// and records, linked by record numbers, which grow with ftruncate() and one more mapping at a
// time.
//
// Memory and file are one here: a store into the mapping is what read() finds, what pwrite() writes
// is what the next load finds, and what a child stores through its inherited mapping its parent
// loads, all before anything is on the disk. A kernel that keeps a cache for read() and another for
// mappings shows it at once; and under little RAM the dirty pages go to the file and come back from
// there, without swap. At the end the file is closed, opened again and read through with read().

#include "rt/process.h"

enum { CHUNK = 64 * 1024, MAX_CHUNKS = 4096, BUCKETS = 1024, FIELDS = 5 };

// Record numbers begin at 1; 0 is none.
struct header {
    u64 magic;
    u32 used, free; // the highest record in use; the first of the free ones, linked by `next`
    u64 records;
    u32 buckets[BUCKETS];
};

struct record {
    u64 key;
    u32 next, changes;
    u64 fields[FIELDS];
    u64 checksum;
};
_Static_assert(sizeof(struct record) == 64, "records must not straddle two chunks");

enum { PER_CHUNK = CHUNK / sizeof(struct record) };

static const u64 magic = 0x31424446454c4946;

struct summary {
    u64 records, changes, checksum;
};

// The file: chunk 0 holds the header, the others records. Each chunk is a mapping of its own.
static int file;
static u8 *chunks[MAX_CHUNKS];
static u32 chunk_count;

static void must(long result, const char *what)
{
    if (result < 0)
        die("cannot %s: %s", what, error_name(result));
}

static void grow(void)
{
    if (chunk_count == MAX_CHUNKS)
        die("the database is full");
    i64 offset = (i64)chunk_count * CHUNK;
    must(sys_ftruncate(file, offset + CHUNK), "grow the file");
    long address = sys_mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED, file, offset);
    must(address, "map the file");
    chunks[chunk_count++] = (u8 *)address;
}

static struct header *header(void)
{
    return (struct header *)chunks[0];
}

static struct record *record(u32 number)
{
    return (struct record *)chunks[1 + number / PER_CHUNK] + number % PER_CHUNK;
}

static i64 offset_of(u32 number)
{
    return CHUNK + (i64)number * (i64)sizeof(struct record);
}

static u32 *bucket_of(struct header *in, u64 key)
{
    return &in->buckets[(key * 0x9e3779b97f4a7c15u >> 32) % BUCKETS];
}

static u64 checksum(const struct record *record)
{
    u64 sum = record->key ^ (u64)record->changes << 32;
    for (u32 i = 0; i < FIELDS; i++)
        sum = (sum << 9 | sum >> 55) + record->fields[i];
    return sum;
}

static u32 find(u64 key)
{
    u32 number = *bucket_of(header(), key);
    while (number != 0 && record(number)->key != key)
        number = record(number)->next;
    return number;
}

static u32 take_record(void)
{
    u32 number = header()->free;
    if (number != 0) {
        header()->free = record(number)->next;
        return number;
    }
    number = ++header()->used;
    if (1 + number / PER_CHUNK >= chunk_count)
        grow();
    return number;
}

static void insert(u64 key)
{
    u32 number = take_record();
    u32 *bucket = bucket_of(header(), key);
    struct record *new = record(number);
    *new = (struct record){.key = key, .next = *bucket};
    u64 state = key;
    for (u32 i = 0; i < FIELDS; i++)
        new->fields[i] = next_random(&state);
    new->checksum = checksum(new);
    *bucket = number;
    header()->records++;
}

static void update(u64 key)
{
    struct record *old = record(find(key));
    old->changes++;
    for (u32 i = 0; i < FIELDS; i++)
        old->fields[i] += key + i;
    old->checksum = checksum(old);
}

static void remove(u64 key)
{
    u32 *link = bucket_of(header(), key);
    while (record(*link)->key != key)
        link = &record(*link)->next;
    u32 number = *link;
    *link = record(number)->next;
    *record(number) = (struct record){.next = header()->free};
    header()->free = number;
    header()->records--;
}

static void add(struct summary *summary, const struct record *record)
{
    if (checksum(record) != record->checksum)
        die("record %lu is broken", record->key);
    summary->records++;
    summary->changes += record->changes;
    summary->checksum += record->checksum * (record->key * 2 + 1);
}

// Through the mapping, bucket by bucket.
static struct summary summarise(void)
{
    struct summary summary = {0, 0, 0};
    for (u32 bucket = 0; bucket < BUCKETS; bucket++)
        for (u32 n = header()->buckets[bucket]; n != 0; n = record(n)->next)
            add(&summary, record(n));
    return summary;
}

// The same from the file, through read() alone, in the order in which the records lie there.
static struct summary summarise_file(int fd)
{
    static struct header head;
    static struct record buffer[64];
    struct summary summary = {0, 0, 0};
    must(sys_pread(fd, &head, sizeof head, 0), "read the header");
    if (head.magic != magic)
        die("the file has no header");
    must(sys_lseek(fd, offset_of(1), SEEK_SET), "seek");
    for (u32 number = 1; number <= head.used;) {
        u32 count = (u32)smaller(64, head.used + 1 - number);
        read_fully(fd, buffer, count * sizeof buffer[0]);
        for (u32 i = 0; i < count; i++)
            if (buffer[i].key != 0)
                add(&summary, &buffer[i]);
        number += count;
    }
    if (summary.records != head.records)
        die("the header tells of %lu records", head.records);
    return summary;
}

static bool equal(struct summary a, struct summary b)
{
    return a.records == b.records && a.changes == b.changes && a.checksum == b.checksum;
}

static bool show(const char *when, struct summary mapped, struct summary read)
{
    bool right = equal(mapped, read);
    print("%s: %lu records, %lu changes, checksum 0x%016lx, %s\n", when, mapped.records,
          mapped.changes, mapped.checksum, right ? "read() agrees" : "read() DIFFERS");
    return right;
}

// A child updates through the mapping that it inherited; what it stores must be here when it is
// gone.
static void update_in_a_child(u64 records)
{
    int child = fork_process();
    if (child == 0) {
        for (u64 key = 3; key <= records; key += 3)
            update(key);
        exit(0);
    }
    if (wait_for(child) != 0)
        die("the child failed");
}

// One record is changed with pwrite(), and must have changed in the mapping.
static bool write_beside_the_mapping(void)
{
    u32 number = find(1);
    struct record changed = *record(number);
    changed.changes += 100;
    changed.checksum = checksum(&changed);
    long result = sys_pwrite(file, &changed, sizeof changed, offset_of(number));
    return result == sizeof changed && record(number)->changes == changed.changes;
}

int main(int argc, char **argv)
{
    expect_arguments(argc, 1, 2, "FILE [RECORDS]");
    u64 most = (u64)(MAX_CHUNKS - 2) * PER_CHUNK;
    u64 records = number_argument(argc, argv, 2, "RECORDS", 8000, 10, most);
    file = (int)sys_openat(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0644);
    must(file, "create the file");

    grow();
    grow();
    header()->magic = magic;
    for (u64 key = 1; key <= records; key++)
        insert(key);
    bool right = show("inserted", summarise(), summarise_file(file));

    for (u64 key = 2; key <= records; key += 5)
        remove(key);
    for (u64 key = records + 1; key <= records + records / 10; key++)
        insert(key); // in the places that are free again
    right &= show("removed", summarise(), summarise_file(file));

    for (u64 key = 2; key <= records; key += 5)
        insert(key);
    update_in_a_child(records);
    right &= write_beside_the_mapping();
    struct summary last = summarise();
    right &= show("updated", last, summarise_file(file));

    for (u32 chunk = 0; chunk < chunk_count; chunk++) {
        must(sys_msync(chunks[chunk], CHUNK, MS_SYNC), "write the file back");
        unmap(chunks[chunk], CHUNK);
    }
    sys_close(file);
    file = (int)sys_openat(argv[1], O_RDONLY, 0);
    must(file, "open the file again");
    right &= show("reopened", last, summarise_file(file));
    return right ? 0 : 1;
}
