/* Starts itself, and waits: both are in memory with the same libraries. */
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
    if (argc > 1) {
        printf("the second, number %d\n", argc);
        return 0;
    }
    char *again[] = {argv[0], "again", 0};
    pid_t child;
    int status = 0;
    fflush(stdout);
    if (posix_spawn(&child, "/proc/self/exe", 0, 0, again, environ)) return 1;
    waitpid(child, &status, 0);
    printf("the first, after %d\n", status);
    return 0;
}
