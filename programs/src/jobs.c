// jobs [PROCESSES] [KIB] [ROUNDS] [WAIT_US]: the load of a time-sharing system: PROCESSES jobs, each of
// which works ROUNDS times on all of its KIB of memory and then waits WAIT_US microseconds, as for a
// terminal.
//
// One job leaves the processor idle while it waits, so that more of them make better use of it:
// as long as the memory that all of them work on, their working sets, fits. Beyond that each job that
// runs takes the pages of those that wait, and all of them wait for their pages: thrashing.
//
// What is computed depends on none of it. Each word is checked when it is read, and each round changes
// every word.

#include "rt/process.h"

enum { MAX_PROCESSES = 256 };

static u64 expected(u64 job, u64 place, u64 round)
{
    return (job << 48 | place << 16) + round;
}

static u64 run_job(u64 job, u64 *memory, u64 words, u64 rounds, u64 wait)
{
    u64 wrong = 0;
    for (u64 place = 0; place < words; place++)
        memory[place] = expected(job, place, 0);
    for (u64 round = 0; round < rounds; round++) {
        for (u64 place = 0; place < words; place++)
            wrong += memory[place]++ != expected(job, place, round);
        if (wait > 0)
            sleep_microseconds(wait);
    }
    return wrong;
}

int main(int argc, char **argv)
{
    expect_arguments(argc, 0, 4, "[PROCESSES] [KIB] [ROUNDS] [WAIT_US]");
    u64 processes = number_argument(argc, argv, 1, "PROCESSES", 4, 1, MAX_PROCESSES);
    u64 kibibytes = number_argument(argc, argv, 2, "KIB", 256, 4, 1 << 20);
    u64 rounds = number_argument(argc, argv, 3, "ROUNDS", 8, 1, 60000);
    u64 wait = number_argument(argc, argv, 4, "WAIT_US", 2000, 0, 1000000);
    u64 words = kibibytes * 1024 / sizeof(u64);

    int numbers[MAX_PROCESSES];
    for (u64 job = 0; job < processes; job++) {
        numbers[job] = fork_process();
        if (numbers[job] == 0)
            exit(run_job(job, map_anonymous(words * sizeof(u64)), words, rounds, wait) != 0);
    }
    u64 failed = 0;
    for (u64 job = 0; job < processes; job++)
        failed += wait_for(numbers[job]) != 0;
    print("%lu jobs of %lu rounds over %lu KiB each: %lu failed\n", processes, rounds, kibibytes,
          failed);
    return failed != 0;
}
