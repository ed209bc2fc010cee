// hashjoin [ROWS]: joins two relations of ROWS rows each on a key, as a database would: hash the
// one, probe with the other.
//
// Everything lives on the brk() heap. Scanning a relation is sequential; the hash table's buckets
// and chain nodes are visited at random: the two faces of memory locality in one program.

#include "rt/rt.h"

struct row {
    u64 key, payload;
};

struct node {
    struct node *next;
    const struct row *row;
};

struct hash_table {
    struct node **buckets;
    u32 index_bits; // there are 2^index_bits buckets
};

struct join {
    u64 matches, checksum;
};

static struct row *random_relation(u64 rows, u64 key_range, u64 *seed)
{
    struct row *relation = heap_allocate(rows * sizeof *relation);
    for (u64 i = 0; i < rows; i++) {
        relation[i].key = next_random(seed) % key_range;
        relation[i].payload = next_random(seed);
    }
    return relation;
}

// Fibonacci hashing: the upper bits of key * 2^64 / phi are well mixed.
static struct node **bucket_of(const struct hash_table *table, u64 key)
{
    return &table->buckets[key * 0x9e3779b97f4a7c15u >> (64 - table->index_bits)];
}

static struct hash_table build(const struct row *relation, u64 rows)
{
    struct hash_table table = {NULL, 1};
    while ((u64)1 << table.index_bits < rows)
        table.index_bits++;
    table.buckets = heap_allocate(((u64)1 << table.index_bits) * sizeof *table.buckets);

    for (u64 i = 0; i < rows; i++) {
        struct node **bucket = bucket_of(&table, relation[i].key);
        struct node *node = heap_allocate(sizeof *node);
        node->row = &relation[i];
        node->next = *bucket;
        *bucket = node;
    }
    return table;
}

static struct join probe(const struct hash_table *table, const struct row *relation, u64 rows)
{
    struct join join = {0, 0};
    for (u64 i = 0; i < rows; i++) {
        const struct node *node = *bucket_of(table, relation[i].key);
        for (; node != NULL; node = node->next)
            if (node->row->key == relation[i].key) {
                join.matches++;
                join.checksum += node->row->payload * relation[i].payload;
            }
    }
    return join;
}

int main(int argc, char **argv)
{
    expect_arguments(argc, 0, 1, "[ROWS]");
    u64 rows = number_argument(argc, argv, 1, "ROWS", 100000, 1, 10000000);

    // The second relation's keys spread twice as wide: about half of its rows find no partner.
    u64 seed = 1;
    struct row *inner = random_relation(rows, rows, &seed);
    struct row *outer = random_relation(rows, 2 * rows, &seed);
    struct hash_table table = build(inner, rows);
    struct join join = probe(&table, outer, rows);
    print("joined %lu rows with %lu: %lu matches, checksum 0x%016lx\n", rows, rows, join.matches,
          join.checksum);
    return 0;
}
