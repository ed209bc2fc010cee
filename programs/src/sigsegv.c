// sigsegv: handles its own page faults, as garbage collectors, debuggers and virtual machines do.
//
// Part 1 stores a number into each of four read-only pages. Every store faults; the handler looks
// at the cause, allows writing, and returns; the processor then executes the same store again, with
// every register as it was. Had one store been lost, run twice or gone astray, the sums printed
// would be wrong.
//
// Part 2 loads from a page that is gone. There is nothing to repair, so the handler ends the
// program.

#include "rt/rt.h"

enum { PAGES = 4 };

static u8 *area;
static u32 faults;

static const char *cause(int code)
{
    return code == SEGV_MAPERR ? "SEGV_MAPERR" : code == SEGV_ACCERR ? "SEGV_ACCERR" : "another";
}

// Runs only when main() faults at an access of its own, never in the middle of print(), which it
// may therefore use.
static void handle_fault(int signal, struct signal_info *info, void *context)
{
    (void)context;
    faults++;
    u64 offset = (u64)((u8 *)info->address - area);
    print("fault %u: signal %d, code %d (%s), page %lu, offset %lu\n", faults, signal, info->code,
          cause(info->code), offset / page_size(), offset % page_size());
    if (info->code != SEGV_ACCERR)
        exit(info->code == SEGV_MAPERR ? 0 : 1);

    u8 *page = area + offset / page_size() * page_size();
    long result = sys_mprotect(page, page_size(), PROT_READ | PROT_WRITE);
    if (result < 0)
        die("cannot make the page writable: %s", error_name(result));
}

// The word that the stores below aim at: another offset in every page, each the start of a word.
static volatile u64 *target(u64 page)
{
    return (volatile u64 *)(area + page * page_size() + page * 24);
}

int main(int argc, char **argv)
{
    (void)argv;
    expect_arguments(argc, 0, 0, "");
    struct signal_action action = {handle_fault, SA_SIGINFO, 0};
    long result = sys_rt_sigaction(SIGSEGV, &action);
    if (result < 0)
        die("cannot install a handler: %s", error_name(result));

    area = map_anonymous(PAGES * page_size());
    result = sys_mprotect(area, PAGES * page_size(), PROT_READ);
    if (result < 0)
        die("cannot make the pages read-only: %s", error_name(result));

    u64 stored = 0;
    for (u64 page = 0; page < PAGES; page++) {
        u64 value = (page + 1) * 1000003;
        *target(page) = value; // faults, and is restarted
        *target(page) += 1;    // does not fault any more
        stored += value + 1;
    }
    u64 found = 0;
    for (u64 i = 0; i < PAGES * page_size() / sizeof(u64); i++)
        found += ((volatile u64 *)area)[i];
    print("stored %lu, found %lu, faults %u\n", stored, found, faults);
    if (found != stored || faults != PAGES)
        return 1;

    unmap(area, PAGES * page_size());
    print("about to load from a page that is gone\n");
    u64 value = *target(2);
    print("the load worked and gave %lu: the page is still there\n", value);
    return 1;
}
