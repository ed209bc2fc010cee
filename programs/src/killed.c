// killed MICROSECONDS PROGRAM [ARGUMENT...]: runs a program twice: first in a child whose output nobody
// sees, and that is killed after so long wherever it is; then in its own place.
//
// The second run must find nothing of the first: no page, no slot, no file's page that was half written.

#include "rt/process.h"

int main(int argc, char **argv)
{
    expect_arguments(argc, 2, 64, "MICROSECONDS PROGRAM [ARGUMENT...]");
    u64 microseconds = number_argument(argc, argv, 1, "MICROSECONDS", 0, 0, 60000000);
    const char *environment[] = {NULL};
    int child = fork_process();
    if (child == 0) {
        long nowhere = sys_openat("/dev/null", O_RDWR, 0);
        sys_dup3((int)nowhere, STDOUT, 0);
        sys_dup3((int)nowhere, STDERR, 0);
        sys_execve(argv[2], (const char *const *)argv + 2, environment);
        exit(1);
    }
    sleep_microseconds(microseconds);
    sys_kill(child, SIGKILL);
    wait_for(child);
    long result = sys_execve(argv[2], (const char *const *)argv + 2, environment);
    die("cannot run %s: %s", argv[2], error_name(result));
}
