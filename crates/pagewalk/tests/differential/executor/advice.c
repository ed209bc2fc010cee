/*
 * madvise.
 *
 * Left out: MADV_HWPOISON and MADV_SOFT_OFFLINE (they break the host's memory), what Linux 6.1 has
 * not (MADV_GUARD_INSTALL), and MADV_COLLAPSE, whose success is a matter of luck.
 */
#include "executor.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include "system_call.h"

#define FREE 8
#define REMOVE 9
#define WIPE_ON_FORK 18
#define KEEP_ON_FORK 19
#define COLD 20
#define PAGE_OUT 21
#define POPULATE_READ 22
#define POPULATE_WRITE 23
#define DONT_NEED_LOCKED 24

/*
 * MADV_FREE leaves old bytes or zeroes. A page that is written then stays, so write all of it; what
 * cannot be written is dropped.
 */
static void overwrite(struct range range) {
    for (unsigned long at = range.at & -PAGE; at < range.at + range.len; at += PAGE) {
        struct fault fault = {0, 0, 0};
        for (unsigned offset = 0; offset < PAGE && fault.signal == 0; offset += 8)
            fault = store_bytes(at + offset, 8, at - window + offset);
        if (fault.signal) system_call(SYS_madvise, at, PAGE, MADV_DONTNEED, 0, 0, 0);
    }
}

void op_madvise(void) {
    struct range range = pick_range();
    unsigned long advice = PICK(
        MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, MADV_DONTNEED,
        MADV_DONTNEED, MADV_DONTNEED, FREE, FREE, REMOVE, REMOVE, MADV_DONTFORK, MADV_DONTFORK,
        MADV_DOFORK, MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_HUGEPAGE, MADV_NOHUGEPAGE,
        MADV_DONTDUMP, MADV_DODUMP, WIPE_ON_FORK, WIPE_ON_FORK, KEEP_ON_FORK, COLD, PAGE_OUT,
        PAGE_OUT, PAGE_OUT, POPULATE_READ, POPULATE_READ, POPULATE_WRITE, POPULATE_WRITE,
        DONT_NEED_LOCKED, DONT_NEED_LOCKED);
    if (one_in(30)) advice = PICK(5, 6, 7, 30, 77, -1ul);
    if (!has_large_pages && (advice == MADV_HUGEPAGE || advice == MADV_NOHUGEPAGE))
        advice = MADV_NORMAL;
    /* In odd files the upper half of the last page may not be stored to. */
    if (odd_ends && advice == FREE) advice = MADV_DONTNEED;
    /* Until Linux 6.8 the mapping had to be writable now, since then at any time. */
    if (advice == REMOVE && range.len <= SPAN * PAGE && range.at % PAGE == 0) {
        long result = system_call(SYS_mprotect, range.at, range.len, PROT_READ | PROT_WRITE, 0, 0, 0);
        shatter(range.at, range.len);
        say("mprotect(+%lx, %lx) = ", range.at - window, range.len);
        say_result(result);
        if (result != 0) return;
        say(" ");
    }
    say("madvise(+%lx, %lx, %ld) = ", range.at - window, range.len, (long)advice);
    say_result(system_call(SYS_madvise, range.at, range.len, advice, 0, 0, 0));
    shatter(range.at, range.len);
    if (advice == FREE && range.at % PAGE == 0 && range.len <= SPAN * PAGE) overwrite(range);
}
