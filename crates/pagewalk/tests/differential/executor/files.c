/*
 * Files: read and written with buffers in the window, cut and grown under their mappings.
 *
 * What is stored to a file's last page behind its end is for the system to keep or to lose. So
 * either files end with pages (odd_ends is false), or they end in the upper half of a page and
 * nothing is stored to the upper halves of pages.
 */
#include "executor.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "system_call.h"

#define FILE_PAGES 24
#define HALF (PAGE / 2)

int files[FILES];
bool odd_ends;

static void fill(int file, unsigned pages, uint64_t tag) {
    static uint64_t page[PAGE / 8];
    for (unsigned index = 0; index < pages; index++) {
        for (unsigned word = 0; word < PAGE / 8; word++) page[word] = tag << 32 | index << 12 | word;
        if (pwrite(file, page, PAGE, (off_t)(index * PAGE)) != (ssize_t)PAGE) _exit(98);
    }
    if (odd_ends && ftruncate(file, (off_t)(pages * PAGE - 96)) != 0) _exit(98);
}

void open_files(bool with_memory_file) {
    files[READ_WRITE] = open(file_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    files[READ_ONLY] = open(file_path, O_RDONLY);
    files[WRITE_ONLY] = open(file_path, O_WRONLY);
    files[MEMORY_FILE] = with_memory_file ? memfd_create("pages", 0) : -1;
    files[DIRECTORY] = open("/", O_RDONLY | O_DIRECTORY);
    files[NO_FILE] = -1;
    if (files[READ_WRITE] < 0) {
        print("no file\n", 8);
        _exit(98);
    }
    fill(files[READ_WRITE], 2 + below(12), 0xf11e);
    if (files[MEMORY_FILE] >= 0) fill(files[MEMORY_FILE], 2 + below(12), 0x3e3);
}

const char *file_name(unsigned file) {
    static const char *const names[] = {"rw", "ro", "wo", "mem", "dir", "none"};
    return names[file];
}

unsigned pick_file(void) {
    static const unsigned char often[] = {
        READ_WRITE, READ_WRITE, READ_WRITE, READ_WRITE, READ_WRITE, READ_ONLY, READ_ONLY,
        MEMORY_FILE, MEMORY_FILE, MEMORY_FILE, MEMORY_FILE, WRITE_ONLY,
    };
    if (one_in(40)) return one_in(2) ? DIRECTORY : NO_FILE;
    return often[below(sizeof often)];
}

static long size_of(int file) {
    struct stat stat;
    return fstat(file, &stat) == 0 ? (long)stat.st_size : -1;
}

/* Makes a file end where files may end, as the head of this file says. */
static void mend_end(unsigned which) {
    int file = files[which == READ_ONLY || which == WRITE_ONLY ? READ_WRITE : which];
    long size = size_of(file);
    unsigned long within = (unsigned long)size % PAGE;
    if (which >= DIRECTORY || size < 0) return;
    say(" size %lx", (unsigned long)size);
    if (within == 0 || (odd_ends && within >= HALF)) return;
    unsigned long to = (unsigned long)size - within + (odd_ends ? HALF + 64 : PAGE);
    say(" made %lx: %d", to, ftruncate(file, (off_t)to));
}

/* A buffer in the window that may be stored to. */
static struct range pick_buffer(void) {
    struct range range = {window + pick_page() * PAGE, 1 + below(3 * PAGE)};
    if (one_in(2)) range.at += below(PAGE);
    if (odd_ends) {
        range.at = (range.at & -PAGE) + below(HALF / 2);
        range.len = 1 + below(HALF / 2);
    }
    if (one_in(30)) range.at = PICK(0ul, 8ul, -PAGE, -1ul);
    return range;
}

/*
 * A mapping may be one of the very bytes that are read or written: then what is moved stays within a
 * page, and keeps its place in it, so that the two are the same bytes or do not overlap.
 */
static void keep_apart(struct range *buffer, unsigned long *offset) {
    unsigned long within = buffer->at % PAGE;
    if (buffer->len > SPAN * PAGE || !may_be_file(buffer->at, buffer->len)) return;
    *offset = (*offset & -PAGE) + within;
    if (buffer->len > PAGE - within) buffer->len = PAGE - within;
}

static unsigned long pick_offset(void) {
    unsigned long offset = below(FILE_PAGES) * PAGE;
    return one_in(2) ? offset : offset + below(PAGE);
}

/*
 * Where to write: at the end or before. Since Linux 6.16 a write behind the end that fails because
 * of its buffer leaves the file longer.
 */
static unsigned long not_behind_end(unsigned file, unsigned long offset) {
    long size = size_of(files[file]);
    return size >= 0 && (unsigned long)size < offset ? (unsigned long)size : offset;
}

void op_read(void) {
    unsigned file = pick_file();
    struct range to = pick_buffer();
    unsigned long offset = pick_offset();
    keep_apart(&to, &offset);
    say("pread(%s, +%lx, %lx, %lx) = ", file_name(file), to.at - window, to.len, offset);
    say_result(system_call(SYS_pread64, files[file], to.at, to.len, offset, 0, 0));
}

void op_write(void) {
    unsigned file = pick_file();
    struct range from = pick_buffer();
    unsigned long offset = pick_offset();
    keep_apart(&from, &offset);
    offset = not_behind_end(file, offset);
    if (may_be_file(from.at, from.len) && offset % PAGE != from.at % PAGE) {
        say("no write");
        return;
    }
    say("pwrite(%s, +%lx, %lx, %lx) = ", file_name(file), from.at - window, from.len, offset);
    say_result(system_call(SYS_pwrite64, files[file], from.at, from.len, offset, 0, 0));
    mend_end(file);
}

/* readv and writev at the file's offset, which is moved first. */
void op_vector(void) {
    unsigned file = pick_file();
    struct iovec parts[3];
    unsigned count = 1 + below(3);
    bool reads = one_in(2);
    unsigned long offset = pick_offset();
    if (!reads) offset = not_behind_end(file, offset);
    for (unsigned part = 0; part < count; part++) {
        struct range range = pick_buffer();
        while (may_be_file(range.at, range.len)) range.at += PAGE;
        parts[part].iov_base = (void *)range.at;
        parts[part].iov_len = one_in(20) ? 0 : one_in(60) ? -1ul : range.len;
    }
    say("%s(%s at %lx", reads ? "readv" : "writev", file_name(file), offset);
    for (unsigned part = 0; part < count; part++)
        say(", +%lx %lx", (unsigned long)parts[part].iov_base - window, parts[part].iov_len);
    say(") = ");
    lseek(files[file], (off_t)offset, SEEK_SET);
    long number = reads ? SYS_readv : SYS_writev;
    say_result(system_call(number, files[file], (long)parts, count, 0, 0, 0));
    if (!reads) mend_end(file);
}

static unsigned long pick_end(void) {
    unsigned long pages = one_in(3) ? below(3) : below(FILE_PAGES);
    return pages * PAGE + (odd_ends && one_in(2) ? HALF + below(HALF) : 0);
}

void op_truncate(void) {
    unsigned file = pick_file();
    unsigned long to = one_in(50) ? PICK(-1ul, 1ul << 63) : pick_end();
    say("ftruncate(%s, %lx) = ", file_name(file), to);
    say_result(system_call(SYS_ftruncate, files[file], to, 0, 0, 0, 0));
    mend_end(file);
}

/* Growing within and without the size, and punching holes. */
void op_fallocate(void) {
    unsigned file = pick_file();
    unsigned long mode = PICK(0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
                              FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, FALLOC_FL_PUNCH_HOLE);
    unsigned long offset = below(FILE_PAGES) * PAGE, len = (1 + below(6)) * PAGE;
    if (one_in(3)) {
        offset += below(PAGE);
        len -= below(PAGE);
    }
    if (one_in(30)) len = PICK(0ul, -1ul);
    say("fallocate(%s, %lx, %lx, %lx) = ", file_name(file), mode, offset, len);
    say_result(system_call(SYS_fallocate, files[file], mode, offset, len, 0, 0));
    mend_end(file);
}

/* Calls that write a little somewhere. */
void op_copy_out(void) {
    unsigned long to = pick_address();
    if (!odd_ends && one_in(4)) to = (to | (PAGE - 1)) - 3;     /* crosses pages */
    if (one_in(2)) {
        say("clock_getres(+%lx) = ", to - window);
        say_result(system_call(SYS_clock_getres, 1, to, 0, 0, 0, 0));
    } else {
        say("sigprocmask(+%lx) = ", to - window);
        say_result(system_call(SYS_rt_sigprocmask, 0, 0, to, 8, 0, 0));
    }
}

/* A path in the window: whatever bytes are there. */
void op_path(void) {
    unsigned long at = pick_address();
    if (one_in(2)) at = (at | (PAGE - 1)) - below(16);
    say("faccessat(+%lx) = ", at - window);
    say_result(system_call(SYS_faccessat, -100, at, 0, 0, 0, 0));
}
