/*
 * Loads and stores that may fail: a handler notes the signal and jumps out of the access.
 *
 * The mask is not saved, as SA_NODEFER leaves it alone.
 */
#include "executor.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>

static jmp_buf escape;
static volatile struct fault caught;

static void note_fault(int signal, siginfo_t *info, void *context) {
    (void)context;
    caught.signal = signal;
    caught.code = info->si_code;
    caught.address = (unsigned long)info->si_addr;
    _longjmp(escape, 1);
}

void catch_faults(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = note_fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

/* Runs ACCESS, and gives the fault that it ended with. */
#define ATTEMPT(ACCESS)                                                               \
    do {                                                                              \
        caught.signal = 0;                                                            \
        if (_setjmp(escape) == 0) { ACCESS; }                                         \
        struct fault fault = {caught.signal, caught.code, caught.address};            \
        return fault;                                                                 \
    } while (0)

struct fault load_bytes(unsigned long at, unsigned size, uint64_t *value) {
    *value = 0;
    ATTEMPT(switch (size) {
        case 1: *value = *(volatile uint8_t *)at; break;
        case 2: *value = *(volatile uint16_t *)at; break;
        case 4: *value = *(volatile uint32_t *)at; break;
        default: *value = *(volatile uint64_t *)at; break;
    });
}

struct fault store_bytes(unsigned long at, unsigned size, uint64_t value) {
    ATTEMPT(switch (size) {
        case 1: *(volatile uint8_t *)at = (uint8_t)value; break;
        case 2: *(volatile uint16_t *)at = (uint16_t)value; break;
        case 4: *(volatile uint32_t *)at = (uint32_t)value; break;
        default: *(volatile uint64_t *)at = value; break;
    });
}

struct fault add_atomically(unsigned long at, uint64_t value) {
    ATTEMPT(__atomic_fetch_add((uint64_t *)at, value, __ATOMIC_SEQ_CST));
}

/* Calls the code at `at`, which must be RETURNS_CODE if it can be read. */
struct fault execute(unsigned long at) {
#if defined(__x86_64__)
    at += 4;
#endif
    __builtin___clear_cache((char *)at, (char *)at + 8);
    ATTEMPT(((void (*)(void))at)());
}

void say_fault(struct fault fault) {
    if (fault.signal == 0)
        say("fine");
    else
        say("signal %d code %d at +%lx", fault.signal, fault.code, fault.address - window);
}
