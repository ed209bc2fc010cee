// wordfreq FILE [K]: counts the words of a text and prints the K (default 20) most frequent.
//
// A word is a run of ASCII letters and of bytes from 128 up, so that words in UTF-8 stay whole;
// ASCII upper case counts as lower case. Equal counts are ordered by the bytes of the word.
//
// The file is mapped and never copied: the table remembers where a word first stood in it. So the
// text is read in order, the table at random, and now and then an old page of the text comes back
// to be compared.

#include "rt/rt.h"

struct entry {
    u64 hash;
    const u8 *word; // in the mapped file; upper case as it stands there
    u64 length;
    u64 count; // 0: the slot is free
};

// Open addressing with linear probing; the number of slots is a power of two.
struct table {
    struct entry *slots;
    u64 slot_count, used;
};

static bool is_letter(u8 byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte >= 128;
}

static u8 lower(u8 byte)
{
    return byte >= 'A' && byte <= 'Z' ? byte - 'A' + 'a' : byte;
}

// FNV-1a over the lower-case word.
static u64 hash_word(const u8 *word, u64 length)
{
    u64 hash = 0xcbf29ce484222325u;
    for (u64 i = 0; i < length; i++)
        hash = (hash ^ lower(word[i])) * 0x100000001b3u;
    return hash;
}

// Below 0: left comes first in the alphabet. 0: equal.
static int compare_words(const struct entry *left, const struct entry *right)
{
    u64 common = smaller(left->length, right->length);
    for (u64 i = 0; i < common; i++) {
        u8 a = lower(left->word[i]), b = lower(right->word[i]);
        if (a != b)
            return a < b ? -1 : 1;
    }
    return left->length == right->length ? 0 : left->length < right->length ? -1 : 1;
}

// ---- Counting -----------------------------------------------------------------------------------

static struct table new_table(u64 slot_count)
{
    return (struct table){map_anonymous(slot_count * sizeof(struct entry)), slot_count, 0};
}

// The slot that holds the word, or the free one where it belongs. Comparing hashes first keeps the
// pages of the text out of it, except for the word itself.
static struct entry *find(const struct table *table, const struct entry *wanted)
{
    for (u64 i = wanted->hash;; i++) {
        struct entry *slot = &table->slots[i & (table->slot_count - 1)];
        if (slot->count == 0 || (slot->hash == wanted->hash && compare_words(slot, wanted) == 0))
            return slot;
    }
}

// Moves into a mapping twice the size and gives the old one back to the system.
static void grow(struct table *table)
{
    struct table larger = new_table(table->slot_count * 2);
    larger.used = table->used;
    for (u64 i = 0; i < table->slot_count; i++)
        if (table->slots[i].count != 0)
            *find(&larger, &table->slots[i]) = table->slots[i];
    unmap(table->slots, table->slot_count * sizeof(struct entry));
    *table = larger;
}

static void count_word(struct table *table, const u8 *word, u64 length)
{
    struct entry entry = {hash_word(word, length), word, length, 1};
    struct entry *slot = find(table, &entry);
    if (slot->count != 0) {
        slot->count++;
        return;
    }
    *slot = entry;
    table->used++;
    if (table->used > table->slot_count / 4 * 3)
        grow(table);
}

// Returns the number of words.
static u64 count_words(struct table *table, const u8 *text, u64 size)
{
    u64 words = 0;
    for (u64 i = 0; i < size;) {
        u64 start = i;
        while (i < size && is_letter(text[i]))
            i++;
        if (i > start) {
            count_word(table, text + start, i - start);
            words++;
        } else {
            i++;
        }
    }
    return words;
}

// ---- The most frequent --------------------------------------------------------------------------

static bool precedes(const struct entry *left, const struct entry *right)
{
    if (left->count != right->count)
        return left->count > right->count;
    return compare_words(left, right) < 0;
}

// Restores the heap below `place`: no entry is preceded by one of its children.
static void sift_down(struct entry *heap, u64 size, u64 place)
{
    struct entry moving = heap[place];
    for (;;) {
        u64 child = 2 * place + 1;
        if (child + 1 < size && precedes(&heap[child + 1], &heap[child]))
            child++;
        if (child >= size || !precedes(&heap[child], &moving))
            break;
        heap[place] = heap[child];
        place = child;
    }
    heap[place] = moving;
}

// Packs the used slots at the front, where they are a plain array (and no longer a hash table).
static void compact(struct table *table)
{
    u64 packed = 0;
    for (u64 i = 0; i < table->slot_count; i++)
        if (table->slots[i].count != 0)
            table->slots[packed++] = table->slots[i];
}

static void print_entry(const struct entry *entry)
{
    print("%7lu ", entry->count);
    for (u64 i = 0; i < entry->length; i++)
        print("%c", lower(entry->word[i]));
    print("\n");
}

// A heap, not a full sort: K is usually small, and only K entries are taken from it.
static void print_most_frequent(struct table *table, u64 wanted)
{
    compact(table);
    struct entry *heap = table->slots;
    u64 size = table->used;
    for (u64 place = size / 2; place-- > 0;)
        sift_down(heap, size, place);
    for (; wanted > 0 && size > 0; wanted--) {
        print_entry(&heap[0]);
        heap[0] = heap[--size];
        if (size > 0)
            sift_down(heap, size, 0);
    }
}

int main(int argc, char **argv)
{
    expect_arguments(argc, 1, 2, "FILE [K]");
    u64 wanted = number_argument(argc, argv, 2, "K", 20, 0, 1000000000);
    struct mapped_file file = map_file(argv[1]);

    struct table table = new_table(1024);
    u64 words = count_words(&table, file.bytes, file.size);
    print("%lu words, %lu distinct\n", words, table.used);
    print_most_frequent(&table, wanted);
    return 0;
}
