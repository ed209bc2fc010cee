// groups: processes in groups that share a limit on memory, made below /sys/fs/cgroup.
//
// A group at memory.max or memory.high gives its own pages to swap; one that may not swap has its
// worst process killed. A group below another is bounded by both.

#include "rt/process.h"

enum { KIB = 1024, MIB = 1024 * KIB };

#define ROOT "/sys/fs/cgroup"
#define OUTER ROOT "/outer"
#define INNER OUTER "/inner"

static u64 failures;

static void expect(const char *what, bool holds)
{
    print("%s: %s\n", what, holds ? "yes" : "NO");
    failures += !holds;
}

// Uses so much memory, twice; whether all of it was right.
static bool use(u64 bytes)
{
    u64 *memory = map_anonymous(bytes), words = bytes / sizeof(u64), wrong = 0;
    for (u64 place = 0; place < words; place++)
        memory[place] = place + 1;
    for (u64 place = 0; place < words; place++)
        wrong += memory[place] != place + 1;
    return wrong == 0;
}

// A child in a group, which waits before it uses memory and before it ends.
struct member {
    int process;
    struct pipe go, done;
};

static struct member start(const char *group, u64 bytes)
{
    struct member member = {0, open_pipe(), open_pipe()};
    member.process = fork_process();
    if (member.process == 0) {
        if (write_text(group, "0") != 1)
            die("cannot join");
        await_token(member.go.reader);
        bool right = use(bytes);
        send_token(member.done.writer);
        await_token(member.go.reader);
        exit(!right);
    }
    return member;
}

static int finish(struct member *member)
{
    send_token(member->go.writer);
    return wait_for(member->process);
}

static void use_and_wait(struct member *member)
{
    send_token(member->go.writer);
    await_token(member->done.reader);
}

int main(int argc, char **argv)
{
    (void)argv;
    expect_arguments(argc, 0, 0, "");
    expect("mkdir", sys_mkdir(OUTER) == 0 && sys_mkdir(INNER) == 0);
    expect("no file is made", sys_mkdir(OUTER "/memory.max") < 0);
    expect("max at first", number_in(OUTER "/memory.events", "max") == 0);
    expect("a limit", write_text(OUTER "/memory.max", "1M") == 2);
    expect("is told", number_in(OUTER "/memory.max", "") == MIB);
    expect("nonsense is refused", write_text(OUTER "/memory.max", "much") == -EINVAL);

    struct member one = start(OUTER "/cgroup.procs", 2 * MIB);
    use_and_wait(&one);
    u64 current = number_in(OUTER "/memory.current", "");
    expect("charge", current > 0 && current <= MIB);
    expect("anon", number_in(OUTER "/memory.stat", "anon") <= current);
    expect("faults", number_in(OUTER "/memory.stat", "pgmajfault") > 0);
    expect("events", number_in(OUTER "/memory.events", "max") > 0);
    expect("swapped", number_in(OUTER "/memory.swap.current", "") >= MIB);
    expect("member", number_in(OUTER "/cgroup.procs", "") == (u64)one.process);
    expect("busy", sys_rmdir(INNER) == 0 && sys_rmdir(OUTER) < 0);
    expect("its memory was right", finish(&one) == 0);

    sys_mkdir(INNER);
    struct member two = start(INNER "/cgroup.procs", 2 * MIB);
    use_and_wait(&two);
    expect("the limit above holds", number_in(INNER "/memory.current", "") <= MIB);
    expect("populated", number_in(OUTER "/cgroup.events", "populated") == 1);
    write_text(INNER "/memory.high", "512K");
    expect("high", number_in(INNER "/memory.current", "") <= 512 * KIB);
    expect("its memory was right too", finish(&two) == 0);

    write_text(INNER "/memory.high", "max");
    write_text(INNER "/memory.swap.max", "0");
    struct member three = start(INNER "/cgroup.procs", 2 * MIB);
    send_token(three.go.writer);
    expect("killed without swap", wait_for(three.process) == 128 + 9);
    expect("and told", number_in(INNER "/memory.events", "oom_kill") == 1);
    expect("above as well", number_in(OUTER "/memory.events", "oom_kill") == 1);
    expect("rmdir", sys_rmdir(INNER) == 0 && sys_rmdir(OUTER) == 0);
    print("%lu failures\n", failures);
    return failures != 0;
}
