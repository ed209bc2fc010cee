/* What is said: hashed always, printed if wanted. No allocation: the heap is tested. */
#include "executor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

uint64_t trace_hash;
unsigned depth;

void print(const char *text, size_t len) {
    while (len > 0) {
        ssize_t done = write(1, text, len);
        if (done <= 0) _exit(99);
        text += done;
        len -= (size_t)done;
    }
}

void fold(uint64_t value) {
    trace_hash = (trace_hash ^ value) * 0x9e3779b97f4a7c15u;
    trace_hash ^= trace_hash >> 29;
}

static void fold_text(const char *text, size_t len) {
    while (len > 0) {
        uint64_t word = 0;
        size_t piece = len < 8 ? len : 8;
        memcpy(&word, text, piece);
        fold(word + (piece << 56));
        text += piece;
        len -= piece;
    }
}

void say(const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fold_text(text, (size_t)len);
    if (verbose) print(text, (size_t)len);
}

void note(const char *format, ...) {
    char text[256];
    if (!verbose) return;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print(text, (size_t)len);
}

void say_result(long result) {
    if (result < 0 && result > -4096)
        say("E%ld", -result);
    else
        say("%ld", result);
}

void say_address(long result) {
    unsigned long at = (unsigned long)result;
    if (result < 0 && result > -4096)
        say("E%ld", -result);
    else if (at >= window && at - window < SPAN * PAGE)
        say("+%lx", at - window);
    else
        say("outside");
}
