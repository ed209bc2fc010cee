/*
 * executor [NAME=VALUE…] FROM TO: runs the sequences FROM up to TO, each in a process of its own,
 * and prints a line for each: its number and the hash of all that was seen.
 *
 *   window=ADDRESS   where the pages are (0x40000000)
 *   file=PATH        the file to work on (/file)
 *   ops=N            operations of a sequence (40)
 *   every=N          look at everything after so many operations (10)
 *   without=A,B      leave these kinds of operations out
 *   maps=0           do not read /proc/self/maps
 *   skip=A,B         leave out the operations with these numbers
 *   large=0          the machine has no large pages
 *   nx=0             the machine executes what it may load
 *   verbose=1        print every operation
 *   fork=0           run the sequences in one process, as far as that goes
 */
#include "executor.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

unsigned long window = 0x40000000;
const char *file_path = "/file";
unsigned ops_max = 40;
unsigned digest_interval = 10;
bool reads_maps = true;
bool has_large_pages = true;
bool forbids_execution = true;
bool verbose;

static const char *without = "", *skipped = "";
static bool forks = true;

static const struct {
    const char *name;
    unsigned weight;
    void (*run)(void);
} operations[] = {
    {"mmap", 16, op_mmap},
    {"munmap", 4, op_munmap},
    {"mprotect", 7, op_mprotect},
    {"mremap", 7, op_mremap},
    {"madvise", 9, op_madvise},
    {"mincore", 1, op_mincore},
    {"msync", 2, op_msync},
    {"mlock", 2, op_mlock},
    {"mlockall", 1, op_mlockall},
    {"remap_file_pages", 1, op_remap_file_pages},
    {"brk", 1, op_brk},
    {"load", 6, op_load},
    {"store", 10, op_store},
    {"fill", 6, op_fill},
    {"atomic", 2, op_atomic},
    {"execute", 1, op_execute},
    {"futex", 1, op_futex},
    {"read", 5, op_read},
    {"write", 5, op_write},
    {"vector", 2, op_vector},
    {"copy_out", 1, op_copy_out},
    {"path", 1, op_path},
    {"truncate", 3, op_truncate},
    {"fallocate", 2, op_fallocate},
    {"shm", 4, op_shm},
    {"fork", 4, op_fork},
};
/* Mappings that a sequence begins with, so that there is something to work on. */
#define FIRST_MAPPINGS 4
#define OPERATIONS (sizeof operations / sizeof operations[0])

/* Whether a comma-separated list has a word. */
static bool lists(const char *list, const char *word) {
    size_t len = strlen(word);
    while (*list) {
        size_t item = strcspn(list, ",");
        if (item == len && strncmp(list, word, len) == 0) return true;
        list += item + (list[item] == ',');
    }
    return false;
}

/* One operation, of all processes of the sequence in the order of their turns. */
void operate(void) {
    static unsigned number;
    char name[24];
    unsigned total = 0, choice, which = 0;
    for (unsigned each = 0; each < OPERATIONS; each++) total += operations[each].weight;
    choice = below(total);
    while (choice >= operations[which].weight) choice -= operations[which++].weight;
    uint64_t own_seed = random_bits();
    snprintf(name, sizeof name, "%u.%u", depth, number++);
    if (lists(skipped, name) || lists(without, operations[which].name)) return;
    /* What an operation draws does not change what follows. */
    uint64_t kept = seed_state;
    seed_state = own_seed;
    say("%s ", name);
    operations[which].run();
    say("\n");
    seed_state = kept;
}

void run_operations(unsigned count) {
    static unsigned done;
    for (unsigned each = 0; each < count; each++) {
        operate();
        if (++done % digest_interval == 0) digest();
        if (one_in(2)) give_turn();
    }
}

static void run_sequence(unsigned long number) {
    char line[64];
    seed_state = number * 0x2545f4914f6cdd1du + 1;
    trace_hash = 0;
    odd_ends = one_in(3);
    forget_segments();
    open_files(!lists(without, "memfd"));
    start_heap();
    for (unsigned each = 0; each < FIRST_MAPPINGS; each++) {
        op_mmap();
        say("\n");
    }
    run_operations(ops_max);
    digest();
    await_child();
    int len = snprintf(line, sizeof line, "%lu %016lx\n", number, (unsigned long)trace_hash);
    print(line, (size_t)len);
}

static void run_in_child(unsigned long number) {
    char line[64];
    int status = 0;
    pid_t process = fork();
    if (process == 0) {
        run_sequence(number);
        _exit(0);
    }
    waitpid(process, &status, 0);
    if (process < 0 || status != 0) {
        int len = snprintf(line, sizeof line, "%lu died %x\n", number, (unsigned)status);
        print(line, (size_t)len);
    }
}

static void set_option(const char *name, const char *value) {
    if (strcmp(name, "window") == 0) window = strtoul(value, NULL, 0);
    else if (strcmp(name, "file") == 0) file_path = value;
    else if (strcmp(name, "ops") == 0) ops_max = (unsigned)atoi(value);
    else if (strcmp(name, "every") == 0) digest_interval = (unsigned)atoi(value);
    else if (strcmp(name, "without") == 0) without = value;
    else if (strcmp(name, "maps") == 0) reads_maps = atoi(value) != 0;
    else if (strcmp(name, "skip") == 0) skipped = value;
    else if (strcmp(name, "large") == 0) has_large_pages = atoi(value) != 0;
    else if (strcmp(name, "nx") == 0) forbids_execution = atoi(value) != 0;
    else if (strcmp(name, "verbose") == 0) verbose = atoi(value) != 0;
    else if (strcmp(name, "fork") == 0) forks = atoi(value) != 0;
    else _exit(2);
}

int main(int argc, char **argv) {
    int at = 1;
    for (; at < argc && strchr(argv[at], '='); at++) {
        char *equals = strchr(argv[at], '=');
        *equals = 0;
        set_option(argv[at], equals + 1);
    }
    if (argc - at != 2) return 2;
    unsigned long from = strtoul(argv[at], NULL, 0), to = strtoul(argv[at + 1], NULL, 0);
    signal(SIGPIPE, SIG_IGN);
    catch_faults();
    for (unsigned long number = from; number < to; number++) {
        if (forks) {
            run_in_child(number);
        } else {
            run_sequence(number);
            munmap((void *)window, SPAN * PAGE);
            for (unsigned file = 0; file < FILES; file++) close(files[file]);
        }
    }
    return 0;
}
