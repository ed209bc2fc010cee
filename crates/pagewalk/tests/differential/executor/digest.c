/*
 * Everything there is to see: what each page may do, by /proc/self/maps, and what it holds.
 *
 * Mappings are compared page by page, because systems join neighbours differently.
 */
#include "executor.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* One word of each 64 bytes: touch.c stores to these. Of the last 64 it is the last. */
#define SAMPLE 64

static char text[1 << 16];

static const char *number(const char *at, unsigned base, unsigned long *value) {
    *value = 0;
    for (;; at++) {
        unsigned digit;
        if (*at >= '0' && *at <= '9') digit = (unsigned)(*at - '0');
        else if (base == 16 && *at >= 'a' && *at <= 'f') digit = (unsigned)(*at - 'a') + 10;
        else return at;
        *value = *value * base + digit;
    }
}

/* What stands behind a line's inode: nothing, or one letter for the kind of file. */
static char kind_of(const char *name) {
    while (*name == ' ') name++;
    if (*name != '/') return '-';
    if (strncmp(name, "/dev/zero", 9) == 0) return 'a';
    if (strncmp(name, "/memfd:", 7) == 0) return 'm';
    if (strncmp(name, "/SYSV", 5) == 0) return 's';
    return 'f';
}

static void look_at_line(const char *line) {
    unsigned long start, end, offset, ignored;
    line = number(line, 16, &start) + 1;
    line = number(line, 16, &end) + 1;
    if (end <= window || start >= window + SPAN * PAGE) return;
    const char *rights = line;
    line = number(rights + 5, 16, &offset) + 1;
    line = number(line, 16, &ignored) + 1;
    line = number(line, 16, &ignored) + 1;
    line = number(line, 10, &ignored);
    char kind = kind_of(line);
    for (unsigned long at = start; at < end; at += PAGE) {
        if (at < window || at >= window + SPAN * PAGE) continue;
        unsigned page = (unsigned)((at - window) / PAGE);
        unsigned long place = kind == '-' ? 0 : offset + (at - start);
        uint32_t bits;
        memcpy(&bits, rights, 4);
        fold(page);
        fold(bits);
        fold(place);
        fold((uint64_t)kind);
        note("  page %u %.4s %c %lx\n", page, rights, kind, place);
    }
}

static void look_at_maps(void) {
    int maps = open("/proc/self/maps", O_RDONLY);
    if (maps < 0) {
        say("  no maps\n");
        return;
    }
    size_t len = 0;
    for (;;) {
        ssize_t got = read(maps, text + len, sizeof text - 1 - len);
        if (got <= 0) break;
        len += (size_t)got;
    }
    close(maps);
    text[len] = 0;
    for (char *line = text; *line;) {
        char *end = strchr(line, '\n');
        if (!end) break;
        *end = 0;
        look_at_line(line);
        line = end + 1;
    }
}

static void look_at_page(unsigned page) {
    unsigned long at = window + page * PAGE;
    uint64_t sum = 0;
    for (unsigned offset = 0; offset < PAGE; offset += SAMPLE) {
        uint64_t word;
        unsigned place = offset == PAGE - SAMPLE ? PAGE - 8 : offset;
        struct fault fault = load_bytes(at + place, 8, &word);
        if (fault.signal) {
            fold((uint64_t)fault.signal << 8 | (uint64_t)fault.code);
            if (fault.code != 1) note("  page %u: signal %d code %d\n", page, fault.signal, fault.code);
            return;
        }
        sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
        sum ^= sum >> 31;
    }
    fold(sum);
    note("  page %u: %016lx\n", page, (unsigned long)sum);
}

void digest(void) {
    note(" digest\n");
    if (reads_maps) look_at_maps();
    for (unsigned page = 0; page < SPAN; page++) look_at_page(page);
}

void say_contents(unsigned long at, unsigned long len) {
    uint64_t sum = 0;
    for (unsigned long end = at + len; at < end; at += SAMPLE) {
        uint64_t word;
        struct fault fault = load_bytes(at, 8, &word);
        if (fault.signal) {
            sum += (uint64_t)fault.signal << 8 | (uint64_t)fault.code;
            at = (at | (PAGE - 1)) + 1 - SAMPLE;
            continue;
        }
        sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
    }
    say(" holding %lx", (unsigned long)sum);
}
