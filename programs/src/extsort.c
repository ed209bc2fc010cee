// extsort IN OUT [RUN_KIB]: sorts a file of little-endian 64-bit records that may be far larger
// than RAM.
//
// Quicksort over such a file would fault on nearly every page of it, again and again. This is the
// classical way out, in two phases that both touch memory in order:
//
//   1. IN is cut into runs of RUN_KIB (default 128). Each is copied from the mapped file into an
//      anonymous area and sorted there, with nothing but the run and a scratch buffer of the same
//      size in use.
//   2. All runs are merged at once: a heap holds each run's smallest record not yet written. In use
//      are the heap and one page of each run; every page of a run is visited once, then never
//      again.
//
// The area is as large as the file, so with little RAM it lives in swap. Finally OUT is read back:
// it must be in order, and its records must have the same sum and exclusive or as those of IN. The
// sum is printed.

#include "rt/rt.h"

// Sums that do not depend on the order of the records, so sorting must preserve them.
struct digest {
    u64 sum, exclusive_or;
};

static void add_to_digest(struct digest *digest, u64 record)
{
    digest->sum += record;
    digest->exclusive_or ^= record;
}

// ---- Phase 1: sorted runs -----------------------------------------------------------------------

enum { SHORT = 16 }; // pieces up to here are sorted by insertion, which beats merging

static void insertion_sort(u64 *records, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        u64 record = records[i];
        size_t place = i;
        for (; place > 0 && records[place - 1] > record; place--)
            records[place] = records[place - 1];
        records[place] = record;
    }
}

// Merges from[0..middle) and from[middle..count), both sorted, into `to`.
static void merge_halves(const u64 *from, size_t middle, size_t count, u64 *to)
{
    size_t left = 0, right = middle;
    for (size_t i = 0; i < count; i++) {
        bool take_left = right == count || (left < middle && from[left] <= from[right]);
        to[i] = take_left ? from[left++] : from[right++];
    }
}

// Bottom-up merge sort: sorted pieces of 16, 32, 64 ... records, back and forth between the run and
// the scratch buffer.
static void sort_run(u64 *run, u64 *scratch, size_t count)
{
    for (size_t start = 0; start < count; start += SHORT)
        insertion_sort(run + start, smaller(SHORT, count - start));

    u64 *from = run, *to = scratch;
    for (size_t piece = SHORT; piece < count; piece *= 2) {
        for (size_t start = 0; start < count; start += 2 * piece) {
            size_t length = smaller(2 * piece, count - start);
            merge_halves(from + start, smaller(piece, length), length, to + start);
        }
        u64 *swap = from;
        from = to;
        to = swap;
    }
    if (from != run)
        memcpy(run, from, count * sizeof *run);
}

static struct digest sort_runs(const u64 *input, u64 *area, size_t count, size_t run_length)
{
    struct digest digest = {0, 0};
    size_t scratch_bytes = smaller(run_length, count) * sizeof(u64);
    u64 *scratch = map_anonymous(scratch_bytes);
    for (size_t start = 0; start < count; start += run_length) {
        size_t length = smaller(run_length, count - start);
        for (size_t i = start; i < start + length; i++) {
            area[i] = input[i];
            add_to_digest(&digest, input[i]);
        }
        sort_run(area + start, scratch, length);
    }
    unmap(scratch, scratch_bytes);
    return digest;
}

// ---- Phase 2: the merge -------------------------------------------------------------------------

// What is left of a run. The smallest record is kept here as well, so that comparing runs touches
// only the heap, and a run's page only when a record is taken from it.
struct cursor {
    u64 smallest;
    const u64 *next, *end;
};

// Restores the heap below `place`: no cursor's record is larger than its children's.
static void sift_down(struct cursor *heap, size_t size, size_t place)
{
    struct cursor moving = heap[place];
    for (;;) {
        size_t child = 2 * place + 1;
        if (child + 1 < size && heap[child + 1].smallest < heap[child].smallest)
            child++;
        if (child >= size || heap[child].smallest >= moving.smallest)
            break;
        heap[place] = heap[child];
        place = child;
    }
    heap[place] = moving;
}

static void merge_runs(const u64 *area, size_t count, size_t run_length, struct writer *output)
{
    size_t runs = count / run_length + (count % run_length != 0);
    size_t heap_bytes = runs * sizeof(struct cursor);
    struct cursor *heap = map_anonymous(heap_bytes);
    for (size_t i = 0; i < runs; i++) {
        const u64 *start = area + i * run_length;
        const u64 *end = start + smaller(run_length, count - i * run_length);
        heap[i] = (struct cursor){*start, start, end};
    }

    size_t size = runs;
    for (size_t place = size / 2; place-- > 0;)
        sift_down(heap, size, place);
    while (size > 0) {
        writer_put(output, &heap[0].smallest, sizeof heap[0].smallest);
        heap[0].next++;
        if (heap[0].next < heap[0].end)
            heap[0].smallest = *heap[0].next;
        else
            heap[0] = heap[--size]; // this run is used up
        if (size > 0)
            sift_down(heap, size, 0);
    }
    writer_flush(output);
    unmap(heap, heap_bytes);
}

// ---- Verification and the program ---------------------------------------------------------------

static u64 buffer[2048]; // 16 KiB, for writing OUT and then for reading it back

static struct digest verify(int fd, const char *path, size_t count)
{
    struct digest digest = {0, 0};
    u64 previous = 0;
    for (size_t done = 0; done < count;) {
        size_t wanted = smaller(sizeof buffer, (count - done) * sizeof(u64));
        long result = sys_pread(fd, buffer, wanted, (i64)(done * sizeof(u64)));
        if (result < 0)
            die("cannot read back %s: %s", path, error_name(result));
        size_t records = (size_t)result / sizeof(u64); // a record cut in two is read again
        if (records == 0)
            die("verification failed: %s ends after %lu of %lu records", path, done, count);
        for (size_t i = 0; i < records; i++) {
            if (buffer[i] < previous)
                die("verification failed: %s is out of order at record %lu", path, done + i);
            previous = buffer[i];
            add_to_digest(&digest, buffer[i]);
        }
        done += records;
    }
    return digest;
}

// Opens OUT for writing and reading back, empty. It is truncated only when it is known not to be
// IN.
static int open_output(const char *path, const struct mapped_file *input)
{
    long fd = sys_openat(path, O_RDWR | O_CREAT, 0644);
    if (fd < 0)
        die("cannot create %s: %s", path, error_name(fd));
    struct file_status status;
    long result = sys_fstat((int)fd, &status);
    if (result >= 0 && status.device == input->device && status.inode == input->inode)
        die("%s is the input file too: name another file for the output", path);
    if (result >= 0)
        result = sys_ftruncate((int)fd, 0);
    if (result < 0)
        die("cannot empty %s: %s", path, error_name(result));
    return (int)fd;
}

int main(int argc, char **argv)
{
    expect_arguments(argc, 2, 3, "IN OUT [RUN_KIB]");
    u64 run_kib = number_argument(argc, argv, 3, "RUN_KIB", 128, 1, 1048576);
    size_t run_length = run_kib * 1024 / sizeof(u64);

    struct mapped_file input = map_file(argv[1]);
    if (input.size % sizeof(u64) != 0)
        die("%s has %lu bytes, which is not a multiple of 8", argv[1], input.size);
    size_t count = input.size / sizeof(u64);
    int out = open_output(argv[2], &input);

    u64 *area = map_anonymous(input.size);
    struct digest before = sort_runs((const u64 *)input.bytes, area, count, run_length);
    unmap((void *)input.bytes, input.size);

    struct writer output = {out, (u8 *)buffer, sizeof buffer, 0};
    merge_runs(area, count, run_length, &output);
    unmap(area, input.size);

    struct digest after = verify(out, argv[2], count);
    if (after.sum != before.sum || after.exclusive_or != before.exclusive_or)
        die("verification failed: %s does not hold the records of %s", argv[2], argv[1]);
    print("sorted %lu records, checksum 0x%016lx\n", count, after.sum);
    return 0;
}
