/*
 * Which addresses are worth trying: often the edges of what was touched before.
 *
 * For each page we keep which call made it what it is (`maker`), and which of that call's pages it
 * is (`index`). Pages of one maker in order are one mapping on every system. Whether two mappings
 * that look alike are one depends on their past on Linux (their anon_vma), and mremap refuses to
 * move two at once, newer kernels (6.17) only some: so it is not given what may be two.
 */
#include "executor.h"

#define RECENT 8

static struct {
    unsigned first, end;
} recent[RECENT];
static unsigned recent_next;

static struct {
    unsigned maker, index;
    enum kind kind;
} pages[SPAN];
static unsigned last_maker;

static unsigned page_of(unsigned long at) {
    if (at < window) return 0;
    unsigned long page = (at - window) / PAGE;
    return page < SPAN ? (unsigned)page : SPAN;
}

void remember(unsigned long at, unsigned long len) {
    unsigned place = recent_next++ % RECENT;
    recent[place].first = page_of(at);
    recent[place].end = page_of(at + len + PAGE - 1);
}

void claim(unsigned long at, unsigned long len) {
    last_maker++;
    unsigned first = page_of(at), end = page_of(at + len + PAGE - 1);
    for (unsigned page = first; page < end; page++) {
        pages[page].maker = last_maker;
        pages[page].index = page - first;
    }
}

void shatter(unsigned long at, unsigned long len) {
    unsigned end = at + len < at ? SPAN : page_of(at + len + PAGE - 1);
    for (unsigned page = page_of(at); page < end; page++) pages[page].maker = ++last_maker;
}

void mark(unsigned long at, unsigned long len, enum kind kind) {
    unsigned end = page_of(at + len + PAGE - 1);
    for (unsigned page = page_of(at); page < end; page++) pages[page].kind = kind;
}

static bool any_is(unsigned long at, unsigned long len, enum kind kind) {
    unsigned end = page_of(at + len + PAGE - 1);
    for (unsigned page = page_of(at); page < end; page++)
        if (pages[page].kind == kind) return true;
    return false;
}

bool may_be_file(unsigned long at, unsigned long len) {
    return any_is(at, len, A_FILE);
}

bool may_be_segment(unsigned long at, unsigned long len) {
    return any_is(at, len, SEGMENT);
}

bool is_uniform(unsigned long at, unsigned long len) {
    unsigned first = page_of(at), end = page_of(at + len + PAGE - 1);
    for (unsigned page = first + 1; page < end; page++) {
        if (pages[page].maker != pages[first].maker) return false;
        if (pages[page].index != pages[first].index + (page - first)) return false;
    }
    return true;
}

unsigned pick_page(void) {
    if (one_in(2)) return below(PAGES);
    unsigned which = below(RECENT);
    unsigned edge = one_in(2) ? recent[which].first : recent[which].end;
    unsigned page = edge + below(3) - 1;
    return page < PAGES ? page : below(PAGES);
}

struct range pick_pages(unsigned max) {
    struct range range = {window + pick_page() * PAGE, (1 + below(max)) * PAGE};
    return range;
}

struct range pick_range(void) {
    struct range range = pick_pages(one_in(4) ? 16 : 5);
    switch (below(40)) {
        case 0: range.at += 8 * (1 + below(511)); break;      /* not a page */
        case 1: range.len = 0; break;
        case 2: range.len = PICK(-1ul, -2 * PAGE, -PAGE); break;     /* wraps */
        case 3:
        case 4: range.len -= 1 + below(PAGE - 1); break;      /* rounded up */
        default: break;
    }
    return range;
}

unsigned long pick_address(void) {
    static const unsigned offsets[] = {0, 64, 512, 1024, 1536, 1984, 4088};
    unsigned long at = window + pick_page() * PAGE;
    at += offsets[below(odd_ends ? 6 : 7)];
    return at;
}
