/*
 * Processes that take turns: one runs at a time, so that what they do to shared memory is the same
 * on every system.
 *
 *   parent                       child
 *     operation
 *     one byte ────────────────►  a few operations
 *     ◄──────────────── 'm'ore, or 'e'nd and its hash
 *     operation …                 exit
 *     wait
 */
#include "executor.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEPTH_MAX 2
#define EXIT_CODE_BOUND 200

static struct {
    pid_t process;      /* 0: none */
    int to, from;
} child;

struct answer {
    char what;
    uint64_t hash;
};

static void live_as_child(int from, int to) {
    unsigned count = 3 + below(12);
    char turn;
    depth++;
    trace_hash = 0;
    child.process = 0;
    while (read(from, &turn, 1) == 1) {
        unsigned piece = 1 + below(4);
        piece = piece < count ? piece : count;
        run_operations(piece);
        count -= piece;
        struct answer answer = {'m', 0};
        if (count == 0) {
            digest();
            await_child();
            answer.what = 'e';
            answer.hash = trace_hash;
        }
        if (write(to, &answer, sizeof answer) != sizeof answer || count == 0) break;
    }
    _exit((int)below(EXIT_CODE_BOUND));
}

void op_fork(void) {
    int down[2], up[2];
    if (child.process != 0 || depth == DEPTH_MAX) {
        say("no fork");
        return;
    }
    uint64_t seed = random_bits();
    if (pipe(down) != 0 || pipe(up) != 0) _exit(97);
    pid_t process = fork();
    if (process == 0) {
        close(down[1]);
        close(up[0]);
        seed_state = seed;
        live_as_child(down[0], up[1]);
    }
    close(down[0]);
    close(up[1]);
    say("fork() = %s", process > 0 ? "child" : "error");
    if (process > 0) {
        child.process = process;
        child.to = down[1];
        child.from = up[0];
    } else {
        close(down[1]);
        close(up[0]);
    }
}

static void bury_child(void) {
    int status = 0;
    close(child.to);
    close(child.from);
    waitpid(child.process, &status, 0);
    child.process = 0;
    say("child ended %x\n", (unsigned)status);
}

void give_turn(void) {
    struct answer answer;
    if (child.process == 0) return;
    memset(&answer, 0, sizeof answer);
    if (write(child.to, "t", 1) != 1 ||
        read(child.from, &answer, sizeof answer) != sizeof answer) {
        say("child died\n");
        bury_child();
    } else if (answer.what == 'e') {
        fold(answer.hash);
        bury_child();
    }
}

void await_child(void) {
    while (child.process != 0) give_turn();
}
