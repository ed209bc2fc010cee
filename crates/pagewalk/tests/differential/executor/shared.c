/* System V segments: attached in several places, by several processes. */
#include "executor.h"

#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "system_call.h"

#define SEGMENTS 2

static struct {
    long id;
    unsigned long bytes;
    unsigned long attached;     /* the last address */
} segments[SEGMENTS];

void forget_segments(void) {
    for (unsigned which = 0; which < SEGMENTS; which++) segments[which].id = -1;
}

/*
 * Whether a segment is still there. How often it is attached is not told: Linux counts the mappings
 * into which protection has split the attachments.
 */
static void say_state(long id) {
    struct shmid_ds state;
    memset(&state, 0, sizeof state);
    long result = system_call(SYS_shmctl, id, IPC_STAT, (long)&state, 0, 0, 0);
    if (result == 0)
        say(" size %lx", (unsigned long)state.shm_segsz);
    else
        say(" gone %ld", -result);
}

static void attach(unsigned which) {
    unsigned long at = window + pick_page() * PAGE, flags = PICK(0, 0, SHM_RND, SHM_RDONLY, SHM_EXEC);
    if (one_in(2)) flags |= SHM_REMAP;
    if (one_in(8)) at += 8 * (1 + below(100));
    say("shmat(%u, +%lx, %lx) = ", which, at - window, flags);
    long result = system_call(SYS_shmat, segments[which].id, at, flags, 0, 0, 0);
    say_address(result);
    if (result > 0) {
        segments[which].attached = (unsigned long)result;
        claim((unsigned long)result, segments[which].bytes);
        mark((unsigned long)result, segments[which].bytes, SEGMENT);
        remember((unsigned long)result, segments[which].bytes);
    }
}

/* A new segment goes with its last attachment, so that none is left behind. */
static void make(unsigned which) {
    unsigned long bytes = one_in(12) ? 0 : (1 + below(6)) * PAGE - (one_in(3) ? below(PAGE) : 0);
    long id = system_call(SYS_shmget, IPC_PRIVATE, bytes, 0600 | IPC_CREAT, 0, 0, 0);
    segments[which].id = id < 0 ? -1 : id;
    segments[which].bytes = bytes;
    say("shmget(%u, %lx) = ", which, bytes);
    say_result(id < 0 ? id : 0);
    if (id < 0) return;
    say(" ");
    attach(which);
    say(" remove ");
    say_result(system_call(SYS_shmctl, id, IPC_RMID, 0, 0, 0, 0));
}

void op_shm(void) {
    unsigned which = below(SEGMENTS);
    unsigned long at;
    switch (below(6)) {
        case 0: make(which); break;
        case 1: at = window + pick_page() * PAGE; goto detach;
        case 2:
            at = segments[which].attached;
        detach:
            say("shmdt(+%lx) = ", at - window);
            say_result(system_call(SYS_shmdt, at, 0, 0, 0, 0, 0));
            shatter(at, segments[which].bytes);
            break;
        default:
            if (segments[which].id < 0) make(which);
            else attach(which);
            break;
    }
    if (segments[which].id >= 0) say_state(segments[which].id);
}
