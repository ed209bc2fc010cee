// What a program is given: its arguments and its environment; and getopt over them.

#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

extern char **environ;

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(int argc, char **argv)
{
    printf("%d arguments\n", argc);
    for (int i = 1; i < argc; i++)
        printf("[%s]\n", argv[i]);
    printf("ends in null: %d, name %s, stack aligned %d\n", argv[argc] == NULL,
           program_invocation_short_name, (uintptr_t)__builtin_frame_address(0) % 16 == 0);
    size_t count = 0;
    while (environ[count])
        count++;
    qsort(environ, count, sizeof *environ, by_text);
    for (size_t i = 0; i < count; i++)
        printf("{%s}\n", environ[i]);
    const char *given = getenv("GIVEN"), *absent = getenv("ABSENT");
    printf("%s %s\n", given ? given : "null", absent ? absent : "null");
    setenv("ABSENT", "here now", 1);
    setenv("GIVEN", "not this", 0);
    unsetenv("EMPTY");
    static char put[] = "PUT=a whole string";
    putenv(put);
    printf("%s, %s, %s, %s\n", getenv("ABSENT"), given ? getenv("GIVEN") : "", getenv("PUT"),
           getenv("EMPTY") ? "still" : "gone");
    printf("executable name known: %d\n", getauxval(AT_EXECFN) != 0);

    static const struct option options[] = {
        {"verbose", no_argument, NULL, 'v'}, {"output", required_argument, NULL, 'o'}, {0},
    };
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "vo:", options, NULL)) != -1;)
        printf("option %c %s\n", c, optarg ? optarg : "");
    for (; optind < argc; optind++)
        printf("operand %s\n", argv[optind]);
    return argc;
}
