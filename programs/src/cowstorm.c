// cowstorm [CHILDREN] [KIB]: many children inherit KIB kibibytes, write to parts of it at the same
// time, and look for what is not theirs.
//
// Right after the forks every page has CHILDREN + 1 owners. Child c writes to every word of each
// CHILDREN-th piece of 4 KiB, beginning with piece c; the parent writes to other words of all;
// every second child has forked a child of its own in between, which writes in its turn. Each then
// checks every word of its own memory: what it and its ancestors wrote before the fork must be
// there, and nothing else. Copies are made for pages that are written to while others hold them,
// and for these only: the parent's last pass, when it is alone again, makes none.
//
// All children live until all have written: they meet at a barrier in shared memory.

#include "rt/process.h"
#include "rt/sync.h"

enum { PIECE = 4096, WORDS = PIECE / sizeof(u64), MAX_CHILDREN = 256 };

// What a process leaves behind in the words that it writes to.
enum { PARENT_FIRST = 1, PARENT_AFTER = 2, CHILD = 1000, GRANDCHILD = 2000 };

static u64 *memory;
static u64 pieces, children;
static struct barrier *written; // by all: then they look

static u64 mark(u64 writer, u64 place)
{
    return writer << 40 ^ (place + 1) * 0x9e3779b97f4a7c15u;
}

// The word that the parent writes to in every piece after the forks, and no child does.
static bool is_parents_word(u64 place)
{
    return place % WORDS == WORDS - 1;
}

static bool in_part(u64 place, u64 part)
{
    return place / WORDS % children == part && !is_parents_word(place);
}

static void write_part(u64 writer, u64 part)
{
    for (u64 place = 0; place < pieces * WORDS; place++)
        if (in_part(place, part))
            memory[place] = mark(writer, place);
}

// How many words are not what they should be for somebody who (or whose ancestors) wrote `part` as
// `writer`, and `own_part` as `own_writer`, the later one last.
static u64 wrong_words(u64 part, u64 writer, u64 own_part, u64 own_writer)
{
    u64 wrong = 0;
    for (u64 place = 0; place < pieces * WORDS; place++) {
        u64 expected = in_part(place, own_part) ? own_writer
                       : in_part(place, part)   ? writer
                                                : PARENT_FIRST;
        wrong += memory[place] != mark(expected, place);
    }
    return wrong;
}

// The next part but one: for a few children it is one that another child writes to as well.
static u64 grandchilds_part(u64 child)
{
    return (child + 2) % children;
}

static int run_grandchild(u64 child)
{
    write_part(GRANDCHILD + child, grandchilds_part(child));
    barrier_wait(written);
    u64 wrong = wrong_words(child, CHILD + child, grandchilds_part(child), GRANDCHILD + child);
    return wrong == 0 ? 0 : 1;
}

static int run_child(u64 child)
{
    write_part(CHILD + child, child);
    int grandchild = 0;
    if (child % 2 == 0) {
        grandchild = fork_process();
        if (grandchild == 0)
            exit(run_grandchild(child));
    }
    barrier_wait(written);
    u64 wrong = wrong_words(child, CHILD + child, child, CHILD + child);
    int code = grandchild == 0 ? 0 : wait_for(grandchild);
    return wrong == 0 && code == 0 ? 0 : 1;
}

static u64 parents_wrong_words(u64 writer)
{
    u64 wrong = 0;
    for (u64 place = 0; place < pieces * WORDS; place++) {
        u64 expected = is_parents_word(place) ? PARENT_AFTER : writer;
        wrong += memory[place] != mark(expected, place);
    }
    return wrong;
}

int main(int argc, char **argv)
{
    expect_arguments(argc, 0, 2, "[CHILDREN] [KIB]");
    children = number_argument(argc, argv, 1, "CHILDREN", 8, 1, MAX_CHILDREN);
    u64 kibibytes = number_argument(argc, argv, 2, "KIB", 512, 4, 1 << 20);
    pieces = kibibytes * 1024 / PIECE;
    memory = map_anonymous(pieces * PIECE);
    written = map_shared(sizeof *written);
    u64 grandchildren = (children + 1) / 2;
    written->parties = (u32)(1 + children + grandchildren);
    for (u64 place = 0; place < pieces * WORDS; place++)
        memory[place] = mark(PARENT_FIRST, place);

    int processes[MAX_CHILDREN];
    for (u64 child = 0; child < children; child++) {
        processes[child] = fork_process();
        if (processes[child] == 0)
            exit(run_child(child));
    }
    for (u64 piece = 0; piece < pieces; piece++) {
        u64 place = piece * WORDS + WORDS - 1;
        memory[place] = mark(PARENT_AFTER, place);
    }
    barrier_wait(written);
    u64 wrong = parents_wrong_words(PARENT_FIRST);

    u64 failed = 0;
    for (u64 child = 0; child < children; child++)
        failed += wait_for(processes[child]) != 0;

    // The last owner of all.
    for (u64 place = 0; place < pieces * WORDS; place++)
        if (!is_parents_word(place))
            memory[place] = mark(PARENT_AFTER + 1, place);
    wrong += parents_wrong_words(PARENT_AFTER + 1);

    print("%lu children and %lu grandchildren over %lu KiB: %lu failed, %lu wrong words\n",
          children, grandchildren, pieces * (PIECE / 1024), failed, wrong);
    return failed == 0 && wrong == 0 ? 0 : 1;
}
