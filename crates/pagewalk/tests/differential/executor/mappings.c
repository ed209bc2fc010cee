/* mmap, munmap, mprotect, mremap, remap_file_pages, brk. */
#include "executor.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "system_call.h"

/*
 * Execution alone is readable on some processors, and so is no right alone but to write: the first
 * is left out, the second reads everywhere.
 */
static unsigned long pick_protection(void) {
    static const unsigned char often[] = {
        PROT_NONE, PROT_READ, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE,
        PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_WRITE, PROT_READ | PROT_EXEC,
        PROT_READ | PROT_WRITE | PROT_EXEC,
    };
    return often[below(sizeof often)];
}

/* An address that the system chose means nothing to the other system: it goes at once. */
static bool is_outside(long at) {
    if (at < 0 && at > -4096) return false;
    return (unsigned long)at < window || (unsigned long)at >= window + SPAN * PAGE;
}

static void note_mapped(long at, unsigned long len, enum kind kind) {
    if (at < 0 && at > -4096) return;
    if (is_outside(at)) {
        system_call(SYS_munmap, at, len, 0, 0, 0, 0);
        return;
    }
    claim((unsigned long)at, len);
    mark((unsigned long)at, len, kind);
    remember((unsigned long)at, len);
}

void op_mmap(void) {
    struct range range = pick_range();
    if (range.len > SPAN * PAGE) range.len = PICK(-1ul, 1ul << 62);
    unsigned long protection = pick_protection();
    unsigned long flags = PICK(MAP_PRIVATE, MAP_PRIVATE, MAP_SHARED, MAP_SHARED,
                               MAP_SHARED_VALIDATE);
    unsigned long offset = one_in(3) ? 0 : below(12) * PAGE;
    unsigned file = NO_FILE;
    if (one_in(2)) {
        file = pick_file();
    } else {
        flags |= MAP_ANONYMOUS;
        if (one_in(2)) offset = 0;
    }
    /* MAP_STACK is ignored, as is MAP_DENYWRITE. */
    flags |= PICK(MAP_FIXED, MAP_FIXED, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_FIXED_NOREPLACE, 0, 0);
    if (one_in(4))
        flags |= PICK(MAP_POPULATE, MAP_POPULATE, MAP_NORESERVE, MAP_LOCKED, MAP_STACK,
                      MAP_POPULATE | MAP_NONBLOCK, MAP_GROWSDOWN, MAP_DENYWRITE,
                      0x10000000);
    switch (below(60)) {
        case 0: flags &= ~(unsigned long)MAP_SHARED_VALIDATE; break;   /* neither */
        case 1: offset += 8; break;
        case 2: offset = 0x7ffffffffffff000; break;
        default: break;
    }
    say("mmap(+%lx, %lx, %lx, %lx, %s, %lx) = ", range.at - window, range.len, protection, flags,
        file_name(file), offset);
    long result = system_call(SYS_mmap, range.at, range.len, protection, flags, files[file], offset);
    say_address(result);
    note_mapped(result, range.len, flags & MAP_ANONYMOUS ? ANONYMOUS : A_FILE);
}

void op_munmap(void) {
    struct range range = pick_range();
    say("munmap(+%lx, %lx) = ", range.at - window, range.len);
    say_result(system_call(SYS_munmap, range.at, range.len, 0, 0, 0, 0));
    shatter(range.at, range.len);
    remember(range.at, range.len);
}

void op_mprotect(void) {
    struct range range = pick_range();
    unsigned long protection = pick_protection();
    if (one_in(40)) protection = PICK(0x10, 8 | PROT_READ, PROT_GROWSDOWN | PROT_READ,
                                      PROT_GROWSDOWN | PROT_GROWSUP, 1ul << 40);
    say("mprotect(+%lx, %lx, %lx) = ", range.at - window, range.len, protection);
    long result = system_call(SYS_mprotect, range.at, range.len, protection, 0, 0, 0);
    say_result(result);
    if (result == 0 && is_uniform(range.at, range.len))
        claim(range.at, range.len);
    else
        shatter(range.at, range.len);
    remember(range.at, range.len);
}

void op_mremap(void) {
    struct range old = pick_range();
    unsigned long new = one_in(3) ? old.len : one_in(20) ? PICK(0ul, -1ul) : (1 + below(8)) * PAGE;
    unsigned long flags = PICK(0, 0, MREMAP_MAYMOVE, MREMAP_MAYMOVE,
                               MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_MAYMOVE | MREMAP_FIXED,
                               MREMAP_MAYMOVE | MREMAP_DONTUNMAP,
                               MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP);
    if (one_in(30)) flags = PICK(MREMAP_FIXED, MREMAP_DONTUNMAP, 8, MREMAP_MAYMOVE | 16);
    unsigned long to = window + pick_page() * PAGE + (one_in(30) ? 16 : 0);
    if (flags & MREMAP_DONTUNMAP && !one_in(10)) new = old.len;
    if (one_in(25)) old.len = 0;
    /* What else of such a length is looked at first changed with Linux 6.16. */
    if (old.len > SPAN * PAGE && flags > MREMAP_MAYMOVE) old.len = PAGE;
    if (old.len <= SPAN * PAGE && !is_uniform(old.at, old.len)) old.len = PAGE;
    say("mremap(+%lx, %lx, %lx, %lx, +%lx) = ", old.at - window, old.len, new, flags, to - window);
    long result = system_call(SYS_mremap, old.at, old.len, new, flags, to, 0);
    say_address(result);
    if (result < 0 && result > -4096) {
        /* The place may have been cleared for it. */
        shatter(old.at, old.len);
        if (flags & MREMAP_FIXED) shatter(to, new);
        return;
    }
    /* The whole mapping is unlocked, not the part. */
    if (flags & MREMAP_DONTUNMAP) system_call(SYS_munlockall, 0, 0, 0, 0, 0, 0);
    unsigned long len = old.len + 1;
    enum kind kind = may_be_file(old.at, len)      ? A_FILE
                     : may_be_segment(old.at, len) ? SEGMENT
                                                   : ANONYMOUS;
    if (is_outside(result)) say_contents((unsigned long)result, new);
    note_mapped(result, new, kind);
    if ((unsigned long)result != old.at) remember(old.at, old.len);
    if (new < old.len || (unsigned long)result != old.at) shatter(old.at + new, old.len - new);
}

/* Emulated by mappings since Linux 4.0. */
void op_remap_file_pages(void) {
    struct range range = pick_range();
    if (range.len > SPAN * PAGE || !is_uniform(range.at, range.len)) range.len = PAGE;
    /* The segment is gone with its last attachment, which this may replace. */
    if (may_be_segment(range.at, range.len)) {
        say("no remap_file_pages");
        return;
    }
    unsigned long page = below(16), protection = one_in(20) ? PROT_READ : 0;
    unsigned long flags = one_in(4) ? MAP_NONBLOCK : 0;
    say("remap_file_pages(+%lx, %lx, %lx, %lx, %lx) = ", range.at - window, range.len, protection,
        page, flags);
    say_result(system_call(SYS_remap_file_pages, range.at, range.len, protection, page, flags, 0));
    shatter(range.at, range.len);
}

/* The heap begins anywhere; ours begins at the next page. */
static unsigned long heap_start, heap_end;

void start_heap(void) {
    heap_start = ((unsigned long)system_call(SYS_brk, 0, 0, 0, 0, 0, 0) + PAGE - 1) & -PAGE;
    heap_end = (unsigned long)system_call(SYS_brk, heap_start, 0, 0, 0, 0, 0);
}

void op_brk(void) {
    unsigned long to = heap_start + below(12 * PAGE);
    if (one_in(2)) to &= -PAGE;
    if (one_in(30)) {
        to = PICK(0ul, -1ul, -PAGE);
        say("brk(%lx) = ", to);
    } else {
        say("brk(+%lx) = ", to - heap_start);
    }
    heap_end = (unsigned long)system_call(SYS_brk, to, 0, 0, 0, 0, 0);
    say("+%lx", heap_end - heap_start);
    unsigned long at = heap_start + below(12) * PAGE;
    uint64_t value;
    struct fault fault = load_bytes(at, 8, &value);
    say(" load(+%lx) = %lx signal %d", at - heap_start, (unsigned long)value, fault.signal);
    if (fault.signal == 0) store_bytes(at, 8, at - heap_start + 1);
}
