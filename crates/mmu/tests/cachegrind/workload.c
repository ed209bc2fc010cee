/*
 * A program whose memory references are the same wherever and whenever it runs: no library, no
 * input, no environment, a stack of its own, every object at a fixed address, every access aligned
 * (so that none lies in two pages). Its phases are those that tell replacement apart: loops over
 * fewer and over more pages than a TLB holds, random pages, a hot set among cold pages, linked
 * lists, recursion, functions spread over many code pages.
 */
typedef unsigned long word;

enum { PAGE = 4096, WORDS = PAGE / sizeof(word), PAGES = 2048, CODE_PAGES = 96 };

static word heap[PAGES][WORDS] __attribute__((aligned(4096)));
word own_stack[32 * WORDS] __attribute__((aligned(4096)));
static volatile word sink;

/* All code but the functions below fits one page: no instruction lies in two. */
#define IN_ONE_PAGE __attribute__((section(".text.one_page"), aligned(16)))

static word random_state = 1;

IN_ONE_PAGE static word random_below(word bound) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % bound;
}

/* Goes over `pages` pages `rounds` times, several words of each. */
IN_ONE_PAGE static void loop(word pages, word rounds) {
    for (word round = 0; round < rounds; round++)
        for (word page = 0; page < pages; page++)
            for (word i = 0; i < 4; i++)
                heap[page][(round * 8 + i) % WORDS] += page;
}

/* One word in each page of every `stride`th, which fall into few sets. */
IN_ONE_PAGE static void stride(word stride, word rounds) {
    for (word round = 0; round < rounds; round++)
        for (word page = 0; page < PAGES; page += stride)
            sink = heap[page][round % WORDS];
}

IN_ONE_PAGE static void random_pages(word pages, word accesses) {
    for (word i = 0; i < accesses; i++) {
        word *at = &heap[random_below(pages)][random_below(WORDS)];
        if (random_below(3) == 0)
            *at = i;
        else
            sink = *at;
    }
}

/* Three accesses of four to `hot` pages, the others anywhere. */
IN_ONE_PAGE static void hot_set(word hot, word accesses) {
    for (word i = 0; i < accesses; i++)
        sink = heap[random_below(4) != 0 ? random_below(hot) : random_below(PAGES)][i % WORDS];
}

/* A list through all pages in random order, followed `rounds` times. */
IN_ONE_PAGE static void list(word rounds) {
    for (word page = 0; page < PAGES; page++)
        heap[page][0] = page;
    for (word page = PAGES - 1; page > 0; page--) { /* Sattolo: one cycle */
        word other = random_below(page), next = heap[page][0];
        heap[page][0] = heap[other][0];
        heap[other][0] = next;
    }
    for (word i = 0, page = 0; i < rounds * PAGES; i++)
        page = heap[page][0];
}

IN_ONE_PAGE static word recurse(word depth) {
    volatile word frame[64];
    frame[depth % 64] = depth;
    return depth == 0 ? 0 : recurse(depth - 1) + frame[depth % 64];
}

/* One function per code page. */
#define FUNCTION(n) \
    __attribute__((noinline, aligned(4096))) static word function_##n(word x) { return x * n + 1; }
#define EIGHT(m, n) m(n##0) m(n##1) m(n##2) m(n##3) m(n##4) m(n##5) m(n##6) m(n##7)
#define ALL(m) EIGHT(m, 1) EIGHT(m, 2) EIGHT(m, 3) EIGHT(m, 4) EIGHT(m, 5) EIGHT(m, 6) \
    EIGHT(m, 7) EIGHT(m, 8) EIGHT(m, 9) EIGHT(m, 10) EIGHT(m, 11) EIGHT(m, 12)
ALL(FUNCTION)
#define NAME(n) function_##n,
static word (*const functions[CODE_PAGES])(word) = { ALL(NAME) };

IN_ONE_PAGE static void calls(word pages, word count) {
    word value = 0;
    for (word i = 0; i < count; i++)
        value = functions[random_below(pages)](value);
    sink = value;
}

__attribute__((section(".text.one_page"), aligned(4096))) void run(void) {
    loop(48, 12);
    loop(64, 12);
    loop(65, 12);
    loop(200, 4);
    stride(1, 2);
    stride(16, 12);
    stride(128, 60);
    random_pages(80, 6000);
    random_pages(PAGES, 6000);
    hot_set(40, 6000);
    list(3);
    sink = recurse(200);
    calls(12, 1500);
    calls(CODE_PAGES, 4000);
    random_pages(1500, 6000);
}

/* Nothing is taken from the stack that the system gives: its depth differs from run to run. */
#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n"
        "lea own_stack+131072(%rip), %rsp\n"
        "call run\n"
        "xor %edi, %edi\n"
        "mov $231, %eax\n" /* exit_group(0) */
        "syscall\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n"
        "adrp x0, own_stack+131072\n"
        "add x0, x0, :lo12:own_stack+131072\n"
        "mov sp, x0\n"
        "bl run\n"
        "mov x0, #0\n"
        "mov x8, #94\n" /* exit_group(0) */
        "svc #0\n");
#endif
