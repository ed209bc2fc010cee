/* Loads, stores, atomic operations, execution, and futexes, which the kernel looks at. */
#include "executor.h"

#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>

#include "system_call.h"

static unsigned pick_size(void) {
    return 1u << below(4);
}

/* An aligned address, or one whose word crosses into the next page. */
static unsigned long pick_word(void) {
    unsigned long at = pick_address();
    return !odd_ends && one_in(12) ? (at | (PAGE - 1)) - 3 : at;
}

void op_load(void) {
    unsigned long at = pick_word();
    unsigned size = at % 8 == 0 ? pick_size() : 8;
    uint64_t value;
    struct fault fault = load_bytes(at, size, &value);
    say("load%u(+%lx) = %lx ", size, at - window, (unsigned long)value);
    say_fault(fault);
}

void op_store(void) {
    unsigned long at = pick_word();
    unsigned size = at % 8 == 0 ? pick_size() : 8;
    uint64_t value = one_in(4) ? RETURNS_CODE : random_bits();
    say("store%u(+%lx, %lx) ", size, at - window, (unsigned long)value);
    say_fault(store_bytes(at, size, value));
}

/* A store to each page of a range, up to the first that fails. */
void op_fill(void) {
    struct range range = pick_pages(8);
    say("fill(+%lx, %lx) ", range.at - window, range.len);
    uint64_t value = random_bits();
    struct fault fault = {0, 0, 0};
    for (unsigned long at = range.at; at < range.at + range.len && !fault.signal; at += PAGE)
        fault = store_bytes(at + 64, 8, value++);
    say_fault(fault);
}

void op_atomic(void) {
    unsigned long at = pick_address();
    say("add(+%lx) ", at - window);
    say_fault(add_atomically(at, 0x100));
}

/*
 * Executes what is there if it can be told what that does. Behind a file's end x86 raises SIGBUS even
 * where nothing may be executed, other processors SIGSEGV: left out.
 */
void op_execute(void) {
    unsigned long at = pick_address();
    uint64_t value;
    if (one_in(2)) store_bytes(at, 8, RETURNS_CODE);
    say("execute(+%lx) ", at - window);
    struct fault fault = load_bytes(at, 8, &value);
    if (fault.signal == SIGBUS || (fault.signal == 0 && value != RETURNS_CODE)) {
        say("other code");
        return;
    }
    if (!forbids_execution) {
        say("code");
        return;
    }
    fault = execute(at);
    fault.address &= -8ul;
    say_fault(fault);
}

/*
 * A wait for what is not there returns at once; a wake finds nobody. Where a word can be read but not
 * written, a shared futex depends on whether its page was copied: left out.
 */
void op_futex(void) {
    unsigned long at = pick_address();
    uint64_t value;
    if (one_in(20)) at += 2;
    bool waits = one_in(2);
    long operation = waits ? FUTEX_WAIT : FUTEX_WAKE;
    bool readable = load_bytes(at & -4ul, 4, &value).signal == 0;
    bool writable = store_bytes(at & -4ul, 4, value).signal == 0;
    if (one_in(2) || (readable && !writable)) operation |= FUTEX_PRIVATE_FLAG;
    say("futex(+%lx, %lx) = ", at - window, operation);
    say_result(system_call(SYS_futex, at, operation, waits ? (long)(uint32_t)(value + 1) : 1, 0, 0, 0));
}
