// limits: limits on memory that a process is given by another, or has from the program before it.
//
// RLIMIT_AS bounds what is mapped: mmap fails beyond it. RLIMIT_RSS bounds what is in memory at once:
// pages beyond it go to swap, and nothing fails. Both stay across execve, and prlimit sets them for a
// process that is running already.

#include "rt/process.h"

enum { KIB = 1024, MIB = 1024 * KIB };

static u64 failures;

static void expect(const char *what, bool holds)
{
    print("%s: %s\n", what, holds ? "yes" : "NO");
    failures += !holds;
}

static long try_map(size_t bytes)
{
    return sys_mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static bool is_refused(size_t bytes)
{
    return try_map(bytes) == -ENOMEM;
}

// Uses a mebibyte, all of which must be right, and looks at how much of it is in memory.
static bool stays_below(u64 bytes)
{
    u64 *memory = map_anonymous(MIB), words = MIB / sizeof(u64), wrong = 0;
    for (u64 place = 0; place < words; place++)
        memory[place] = place + 1;
    for (u64 place = 0; place < words; place++)
        wrong += memory[place] != place + 1;
    u64 resident = number_in("/proc/self/status", "VmRSS:") * KIB;
    return wrong == 0 && resident <= bytes;
}

static void be_child(const char *what)
{
    if (strings_equal(what, "as")) {
        expect("RLIMIT_AS holds after execve", is_refused(8 * MIB) && try_map(MIB) > 0);
    } else {
        expect("RLIMIT_RSS holds after execve", stays_below(768 * KIB));
    }
}

static int become(const char *what)
{
    const char *arguments[] = {"limits", what, NULL}, *environment[] = {NULL};
    return (int)sys_execve("/proc/self/exe", arguments, environment);
}

// Runs a child that waits until it has been given a limit.
static void limit_other(const char *what, int resource, u64 bytes)
{
    struct pipe pipe = open_pipe();
    int child = fork_process();
    if (child == 0) {
        await_token(pipe.reader);
        if (resource == RLIMIT_AS)
            expect(what, is_refused(8 * MIB));
        else
            expect(what, stays_below(bytes));
        exit(failures != 0);
    }
    expect("prlimit", sys_set_limit(child, resource, bytes) == 0);
    flush();
    send_token(pipe.writer);
    failures += wait_for(child) != 0;
}

int main(int argc, char **argv)
{
    expect_arguments(argc, 0, 1, "");
    if (argc == 2) {
        be_child(argv[1]);
        return failures != 0;
    }
    const char *names[] = {"as", "rss"};
    for (int n = 0; n < 2; n++) {
        int child = fork_process();
        if (child == 0) {
            sys_set_limit(0, n == 0 ? RLIMIT_AS : RLIMIT_RSS, n == 0 ? 4 * MIB : 768 * KIB);
            return become(names[n]) != 0;
        }
        failures += wait_for(child) != 0;
    }
    limit_other("RLIMIT_AS holds for a process that runs", RLIMIT_AS, 4 * MIB);
    limit_other("RLIMIT_RSS holds for a process that runs", RLIMIT_RSS, 768 * KIB);
    int child = fork_process();
    if (child == 0) {
        sys_set_limit(0, RLIMIT_AS, 4 * KIB);
        expect("execve below what a program needs is refused", become("as") == -ENOMEM);
        exit(failures != 0);
    }
    failures += wait_for(child) != 0;
    print("%lu failures\n", failures);
    return failures != 0;
}
