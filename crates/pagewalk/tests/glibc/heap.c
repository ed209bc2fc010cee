// The allocator under churn, across the threshold beyond which it maps, and what searches and sorts
// live on the heap: qsort, bsearch, tsearch, hsearch.
//
//     heap [SORTED [STEPS]]

#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <search.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 1;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

enum { SLOTS = 256 };

static struct {
    unsigned char *bytes;
    size_t size;
    unsigned char mark;
} slots[SLOTS];

static long lost;

// Every byte of a block has its mark: a block that another one overlaps, or that a move tore, shows.
static void check(int i, size_t size)
{
    for (size_t at = 0; at < size; at++)
        lost += slots[i].bytes[at] != slots[i].mark;
}

static size_t some_size(void)
{
    switch (next() % 16) {
    case 0: return 200000 + next() % 50000; // above the threshold: a mapping of its own
    case 1: case 2: return 4096 + next() % 30000;
    default: return next() % 600;
    }
}

static void churn(long steps)
{
    uint64_t total = 0;
    for (long step = 0; step < steps; step++) {
        int i = (int)(next() % SLOTS);
        size_t size = some_size();
        if (slots[i].size > 2000 && next() % 4)
            continue;
        check(i, slots[i].size);
        if (next() % 3 == 0) {
            size_t kept = size < slots[i].size ? size : slots[i].size;
            unsigned char *moved = realloc(slots[i].bytes, size ? size : 1);
            slots[i].bytes = moved;
            check(i, kept);
        } else {
            free(slots[i].bytes);
            slots[i].bytes = next() % 2 ? malloc(size ? size : 1) : calloc(size ? size : 1, 1);
        }
        slots[i].size = size;
        slots[i].mark = (unsigned char)(step % 251);
        memset(slots[i].bytes, slots[i].mark, size);
        total += size;
    }
    for (int i = 0; i < SLOTS; i++) {
        check(i, slots[i].size);
        free(slots[i].bytes);
    }
    printf("churned %lu bytes, lost %ld\n", (unsigned long)total, lost);
}

static void special(void)
{
    unsigned dirty = 0;
    for (size_t size = 1; size < 1 << 20; size = size * 3 + 1) {
        unsigned char *zeroed = calloc(size, 1);
        for (size_t i = 0; i < size; i++)
            dirty |= zeroed[i];
        memset(zeroed, 0xff, size);
        free(zeroed);
    }
    printf("calloc gave zeros: %d\n", !dirty);
    for (size_t align = 16; align <= 1 << 16; align *= 4) {
        void *a = aligned_alloc(align, align * 2), *b = NULL, *c = memalign(align, 100);
        int result = posix_memalign(&b, align, 77);
        printf("%zu: %d %d %d %d\n", align, (uintptr_t)a % align == 0, (uintptr_t)b % align == 0,
               (uintptr_t)c % align == 0, result);
        free(a), free(b), free(c);
    }
    errno = 0;
    volatile size_t most = PTRDIFF_MAX; // volatile: the compiler would complain
    void *volatile huge = malloc(most);
    printf("too much: %d %s\n", huge == NULL, strerror(errno));
    void *volatile overflow = calloc(most, 3);
    printf("overflow: %d\n", overflow == NULL);
    void *block = malloc(1000);
    printf("usable: %d\n", malloc_usable_size(block) >= 1000);
    free(block);
    printf("mallopt: %d\n", mallopt(M_MMAP_THRESHOLD, 4096));
    char *mapped = malloc(8192);
    strcpy(mapped, "in a mapping");
    mapped = realloc(mapped, 1 << 20);
    strcpy(mapped + (1 << 20) - 16, "and at the end");
    printf("%s %s\n", mapped, mapped + (1 << 20) - 16);
    free(mapped);
    malloc_trim(0);
    char *copy = strndup("duplicated text", 10);
    printf("%s\n", copy);
    free(copy);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int down_by_key(const void *a, const void *b, void *calls)
{
    ++*(long *)calls;
    return *(const int *)b - *(const int *)a;
}

static void sorting(size_t count)
{
    uint64_t *numbers = malloc(count * sizeof *numbers), sum = 0;
    for (size_t i = 0; i < count; i++)
        numbers[i] = next();
    qsort(numbers, count, sizeof *numbers, by_value);
    size_t ordered = 0, found = 0;
    for (size_t i = 0; i < count; i++) {
        ordered += i == 0 || numbers[i - 1] <= numbers[i];
        sum = sum * 31 + numbers[i];
        uint64_t *at = bsearch(&numbers[i], numbers, count, sizeof *numbers, by_value);
        found += at && *at == numbers[i];
    }
    printf("%zu in order, %zu found, checksum %016lx\n", ordered, found, (unsigned long)sum);
    free(numbers);

    char **texts = malloc(5000 * sizeof *texts);
    for (int i = 0; i < 5000; i++)
        asprintf(&texts[i], "%lx", (unsigned long)(next() % 1000003));
    qsort(texts, 5000, sizeof *texts, by_text);
    printf("first %s, middle %s, last %s\n", texts[0], texts[2500], texts[4999]);
    for (int i = 0; i < 5000; i++)
        free(texts[i]);
    free(texts);

    // Records of an odd size; equal keys keep their order, for glibc merges.
    struct { int key; char tag[9]; } records[100];
    long calls = 0;
    for (int i = 0; i < 100; i++) {
        records[i].key = i * 7 % 10;
        snprintf(records[i].tag, sizeof records[i].tag, "r%02d", i);
    }
    qsort_r(records, 100, sizeof *records, down_by_key, &calls);
    printf("%d %s, %d %s, called %d\n", records[0].key, records[0].tag, records[99].key,
           records[99].tag, calls > 0);
}

static long visited, visit_sum;

static void visit(const void *node, VISIT which, int depth)
{
    (void)depth;
    if (which == postorder || which == leaf) {
        visited++;
        visit_sum = visit_sum * 3 + **(const long *const *)node;
    }
}

static int by_long(const void *a, const void *b)
{
    return (*(const long *)a > *(const long *)b) - (*(const long *)a < *(const long *)b);
}

static void searching(void)
{
    void *root = NULL;
    for (int i = 0; i < 2000; i++) {
        long *key = malloc(sizeof *key);
        *key = (long)(next() % 1500);
        long *const *kept = tsearch(key, &root, by_long);
        if (*kept != key)
            free(key);
    }
    twalk(root, visit);
    printf("tree of %ld, checksum %ld\n", visited, visit_sum);
    tdestroy(root, free);

    hcreate(500);
    static char names[300][8];
    for (long i = 0; i < 300; i++) {
        snprintf(names[i], sizeof names[i], "k%ld", i * 17);
        hsearch((ENTRY){names[i], (void *)i}, ENTER);
    }
    ENTRY *hit = hsearch((ENTRY){"k170", NULL}, FIND), *miss = hsearch((ENTRY){"k1", NULL}, FIND);
    printf("hash table: %ld %d\n", hit ? (long)hit->data : -1, miss == NULL);
    hdestroy();
}

int main(int argc, char **argv)
{
    churn(argc > 2 ? atol(argv[2]) : 20000);
    special();
    sorting(argc > 1 ? strtoul(argv[1], NULL, 10) : 50000);
    searching();
    return 0;
}
