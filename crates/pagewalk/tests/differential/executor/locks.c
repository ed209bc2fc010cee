/* mlock and its kin, mincore, msync. */
#include "executor.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include "system_call.h"

static unsigned char residency[SPAN * 2];

void op_mincore(void) {
    struct range range = pick_range();
    unsigned long to = one_in(6) ? pick_address() : (unsigned long)residency;
    bool ours = to == (unsigned long)residency;
    say("mincore(+%lx, %lx, %s) = ", range.at - window, range.len, ours ? "ours" : "there");
    say_result(system_call(SYS_mincore, range.at, range.len, to, 0, 0, 0));
    /* What it wrote is anything. */
    if (!ours)
        for (unsigned long at = to & -8ul; at < to + 16; at += 8) store_bytes(at, 8, 0x3ece);
}

void op_msync(void) {
    struct range range = pick_range();
    unsigned long flags = PICK(MS_SYNC, MS_SYNC, MS_ASYNC, MS_ASYNC | MS_INVALIDATE,
                               MS_SYNC | MS_INVALIDATE, 0, MS_SYNC | MS_ASYNC, 8);
    say("msync(+%lx, %lx, %lx) = ", range.at - window, range.len, flags);
    say_result(system_call(SYS_msync, range.at, range.len, flags, 0, 0, 0));
}

/* How many pages of a range are in memory. */
static unsigned resident(struct range range) {
    unsigned long first = range.at & -PAGE, end = range.at + range.len;
    unsigned count = 0;
    if (system_call(SYS_mincore, first, end - first, (long)residency, 0, 0, 0) != 0) return 0;
    for (unsigned page = 0; page * PAGE < end - first; page++) count += residency[page] & 1;
    return count;
}

void op_mlock(void) {
    struct range range = pick_range();
    const char *name;
    long result;
    switch (below(5)) {
        case 0:
        case 1:
            name = "mlock";
            result = system_call(SYS_mlock, range.at, range.len, 0, 0, 0, 0);
            break;
        case 2:
            name = "mlock2";
            result = system_call(SYS_mlock2, range.at, range.len, one_in(8) ? 2 : 1, 0, 0, 0);
            break;
        default:
            name = "munlock";
            result = system_call(SYS_munlock, range.at, range.len, 0, 0, 0, 0);
            break;
    }
    say("%s(+%lx, %lx) = ", name, range.at - window, range.len);
    say_result(result);
    bool locked = name[1] == 'l' && name[5] == 0;
    if (locked && result == 0 && range.len <= SPAN * PAGE && range.len > 0)
        say(" resident %u", resident(range));
    shatter(range.at, range.len);
}

void op_mlockall(void) {
    unsigned long flags = PICK(MCL_FUTURE, MCL_CURRENT | MCL_FUTURE, MCL_CURRENT, MCL_FUTURE | 4,
                               MCL_CURRENT | 4, 4, 8, 0);
    bool locks = one_in(3);
    say("%s(%lx) = ", locks ? "mlockall" : "munlockall", locks ? flags : 0);
    say_result(system_call(locks ? SYS_mlockall : SYS_munlockall, flags, 0, 0, 0, 0, 0));
    shatter(window, SPAN * PAGE);
}
