/*
 * The executor: random sequences of operations on memory, and what comes of them, as text.
 *
 * The same source is compiled for the host and for the machine, and run with the same seeds. Every
 * choice comes from the seed and from results that both must give alike, so that outputs differ
 * only where the two systems do.
 *
 *   window                        + PAGES                     + SPAN
 *     ├─────────────────────────────┼───────────────────────────┤
 *     │ operations begin here       │ they may reach into this   │
 *     └──────────── looked at after the operations ─────────────┘
 *
 * What systems may do as they like is kept out, each exception where it is made:
 *   - addresses that the system chooses: said to be "outside", and given back at once;
 *   - what MADV_FREE leaves: overwritten at once (advice.c);
 *   - bytes behind a file's end in its last page: never stored to (files.c);
 *   - the size of a file after a failed write behind its end: not tried (files.c);
 *   - moving bytes between overlapping parts of a file and its mapping: not tried (files.c);
 *   - which neighbours are one mapping: mremap is given parts of what one call made (places.c);
 *   - large pages and the right to execute, on machines that have none (advice.c, touch.c);
 *   - lengths that wrap, where Linux moves a mapping: versions differ (mappings.c);
 *   - locks of a mapping whose part is moved and stays: Linux unlocks the whole (mappings.c);
 *   - a segment replaced by itself, which may be its end (mappings.c);
 *   - residency: asked for only where mlock has made it certain (locks.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PAGE 4096ul
#define PAGES 32
#define SPAN 56

/* What the command line gives. */
extern unsigned long window;      /* address of the first page */
extern const char *file_path;     /* the file that sequences use */
extern unsigned ops_max;          /* operations of a sequence */
extern unsigned digest_interval;  /* operations between two looks at everything */
extern bool reads_maps;           /* look at /proc/self/maps */
extern bool has_large_pages;      /* madvise(MADV_HUGEPAGE) is known */
extern bool forbids_execution;    /* the MMU tells fetches from loads */
extern bool verbose;              /* print every operation */

/* random.c: the generator, SplitMix64. */
extern uint64_t seed_state;
uint64_t random_bits(void);
unsigned below(unsigned bound);             /* 0 ≤ result < bound */
bool one_in(unsigned n);
unsigned long pick(const unsigned long *from, size_t count);
#define PICK(...)                                                                     \
    pick((const unsigned long[]){__VA_ARGS__},                                        \
         sizeof((const unsigned long[]){__VA_ARGS__}) / sizeof(unsigned long))

/* trace.c: what is said, hashed, and printed if wanted. */
extern uint64_t trace_hash;
extern unsigned depth;                      /* how many forks deep this process is */
void fold(uint64_t value);                  /* into the hash alone */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_address(long result);              /* relative to the window, or an error */
void say_result(long result);               /* as the kernel gives it: -errno */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));   /* not hashed */
void print(const char *text, size_t len);

/* access.c: loads and stores that may fail. */
struct fault {
    int signal;                             /* 0: none */
    int code;
    unsigned long address;
};
void catch_faults(void);
struct fault load_bytes(unsigned long at, unsigned size, uint64_t *value);
struct fault store_bytes(unsigned long at, unsigned size, uint64_t value);
struct fault add_atomically(unsigned long at, uint64_t value);
struct fault execute(unsigned long at);
void say_fault(struct fault fault);
#define RETURNS_CODE 0x000000c300008082ul   /* ret: RISC-V at 0, x86 at 4 */

/* places.c: which addresses are worth trying. */
struct range {
    unsigned long at;
    unsigned long len;
};
unsigned pick_page(void);
struct range pick_range(void);              /* mostly pages, sometimes not */
struct range pick_pages(unsigned max);      /* whole pages within the window */
unsigned long pick_address(void);           /* any byte */
void remember(unsigned long at, unsigned long len);
void claim(unsigned long at, unsigned long len);     /* one call made this */
void shatter(unsigned long at, unsigned long len);   /* who knows what this is now */
enum kind { ANONYMOUS, A_FILE, SEGMENT };
void mark(unsigned long at, unsigned long len, enum kind kind);     /* what may be there */
bool may_be_file(unsigned long at, unsigned long len);
bool may_be_segment(unsigned long at, unsigned long len);
bool is_uniform(unsigned long at, unsigned long len);

/* digest.c: everything there is to see. */
void digest(void);
void say_contents(unsigned long at, unsigned long len);

/* files.c */
enum { READ_WRITE, READ_ONLY, WRITE_ONLY, MEMORY_FILE, DIRECTORY, NO_FILE, FILES };
extern int files[FILES];
extern bool odd_ends;                       /* files end within pages */
void open_files(bool with_memory_file);
unsigned pick_file(void);
const char *file_name(unsigned file);
void op_read(void);
void op_write(void);
void op_truncate(void);
void op_fallocate(void);
void op_copy_out(void);
void op_path(void);
void op_vector(void);

/* mappings.c */
void op_mmap(void);
void op_munmap(void);
void op_mprotect(void);
void op_mremap(void);
void op_remap_file_pages(void);
void op_brk(void);
void start_heap(void);

/* advice.c, locks.c */
void op_madvise(void);
void op_mincore(void);
void op_msync(void);
void op_mlock(void);
void op_mlockall(void);

/* touch.c */
void op_load(void);
void op_store(void);
void op_fill(void);
void op_atomic(void);
void op_execute(void);
void op_futex(void);

/* shared.c */
void op_shm(void);
void forget_segments(void);

/* turns.c: processes that take turns. */
void op_fork(void);
void give_turn(void);
void await_child(void);
void run_operations(unsigned count);

/* main.c */
void operate(void);
