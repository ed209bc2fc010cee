// growsegv [KIB]: memory that grows by its own page faults: a SIGSEGV handler on an alternate stack
// makes what was touched accessible and returns, and the access is done again.
//
// Three kinds of memory grow, 64 KiB at a time: an array that is reserved without any right
// (SEGV_ACCERR, mprotect), an array with nothing behind its end at all (SEGV_MAPERR, mmap), and the
// very stack that the program runs on, downwards: there the kernel can put the handler's frame on
// the alternate stack only. Loads, stores, atomic and floating-point accesses fault; each must have
// happened exactly once, with every register as it was. Collectors and emulators live by that.

#include "rt/rt.h"
#include "rt/thread.h"
#include "rt/syscall.h"

enum { STEP = 64 * 1024, KINDS = 3, HANDLER_STACK = 64 * 1024 };
enum { SYS_SIGALTSTACK = 132 };

struct signal_stack {
    void *base;
    int flags;
    size_t bytes;
};

// A piece of memory that grows when it is touched.
struct growing {
    u8 *start, *end;
    int code; // how a touch shows: SEGV_ACCERR or SEGV_MAPERR
    u64 faults;
};

static struct growing areas[KINDS];
static u8 *handler_stack;
static u64 strange; // faults elsewhere, of the wrong kind, or handled on the wrong stack

static long allow(const struct growing *area, u8 *step)
{
    const int read_write = PROT_READ | PROT_WRITE;
    if (area->code == SEGV_ACCERR)
        return sys_mprotect(step, STEP, read_write);
    return sys_mmap(step, STEP, read_write, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void grow(int signal, struct signal_info *info, void *context)
{
    (void)context;
    u8 here;
    u8 *address = info->address;
    bool on_handler_stack = &here >= handler_stack && &here < handler_stack + HANDLER_STACK;
    for (u32 i = 0; i < KINDS; i++) {
        struct growing *area = &areas[i];
        if (address < area->start || address >= area->end)
            continue;
        if (signal != SIGSEGV || info->code != area->code || !on_handler_stack)
            strange++;
        area->faults++;
        long result = allow(area, area->start + (u64)(address - area->start) / STEP * STEP);
        if (result < 0)
            die("cannot grow: %s", error_name(result));
        return;
    }
    die("a fault where nothing grows");
}

static void install_handler(void)
{
    handler_stack = map_anonymous(HANDLER_STACK);
    struct signal_stack stack = {handler_stack, 0, HANDLER_STACK};
    long result = syscall3(SYS_SIGALTSTACK, (u64)&stack, 0, 0);
    struct signal_action action = {grow, SA_SIGINFO | SA_ONSTACK, 0};
    if (result >= 0)
        result = sys_rt_sigaction(SIGSEGV, &action);
    if (result < 0)
        die("cannot install a handler: %s", error_name(result));
}

// Addresses without any right, and a step more on either side, which stays.
static struct growing reserve(size_t bytes, int code)
{
    long start = sys_mmap(NULL, bytes + 2 * STEP, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start < 0)
        die("cannot reserve addresses: %s", error_name(start));
    u8 *first = (u8 *)start + STEP;
    return (struct growing){first, first + bytes, code, 0};
}

// Every way to touch a word for the first time, in turn; `words` are fresh and hold zeroes.
static u64 touch_all(volatile u64 *words, u64 count)
{
    u64 sum = 0;
    for (u64 i = 0; i < count; i++) {
        switch (i * sizeof(u64) / STEP % 4) {
        case 0:
            words[i] = i;
            break;
        case 1:
            sum += words[i]; // a load finds zero
            words[i] = i;
            break;
        case 2:
            __atomic_fetch_add(&words[i], i, __ATOMIC_RELAXED);
            break;
        default:
            ((volatile double *)words)[i] = (double)i;
            words[i] = (u64)((volatile double *)words)[i];
        }
    }
    for (u64 i = 0; i < count; i++)
        sum += words[i];
    return sum;
}

static bool grow_array(const char *how, struct growing *area)
{
    u64 count = (u64)(area->end - area->start) / sizeof(u64);
    u64 sum = touch_all((volatile u64 *)area->start, count);
    bool right = sum == count * (count - 1) / 2 && area->faults == count * sizeof(u64) / STEP;
    print("array grown by %s: %lu faults, sum %lu\n", how, area->faults, sum);
    return right;
}

struct descent {
    u64 depth, result;
};

static __attribute__((noinline)) u64 descend(u64 depth)
{
    volatile u64 frame[32]; // 256 bytes: no step of the stack is skipped
    for (u32 i = 0; i < 32; i++)
        frame[i] = depth + i;
    u64 deeper = depth == 0 ? 0 : descend(depth - 1);
    u64 sum = deeper;
    for (u32 i = 0; i < 32; i++)
        sum += frame[i]; // still what it was before the stack grew below it
    return sum;
}

static void run_descent(void *argument)
{
    struct descent *descent = argument;
    descent->result = descend(descent->depth);
}

static bool grow_stack(struct growing *area)
{
    // Frames of 256 bytes and what the compiler adds: down to between half and three quarters.
    u64 bytes = (u64)(area->end - area->start);
    struct descent descent = {bytes / 512, 0};
    call_on_stack(run_descent, &descent, area->end);
    u64 frames = descent.depth + 1;
    u64 wanted = 32 * (descent.depth * frames / 2) + frames * (31 * 32 / 2);
    print("stack grown by mprotect: %lu calls, %s\n", frames,
          area->faults >= bytes / 2 / STEP && area->faults < bytes / STEP ? "step by step"
                                                                          : "in odd steps");
    return descent.result == wanted && area->faults >= bytes / 2 / STEP;
}

// The kernel does not raise the signal for its own accesses: it says EFAULT.
static bool kernel_refuses(void)
{
    struct growing area = reserve(STEP, SEGV_ACCERR);
    long result = sys_fstat(STDOUT, (struct file_status *)area.start);
    print("the kernel stores where nothing has grown: %s\n", error_name(result));
    return result == -EFAULT;
}

int main(int argc, char **argv)
{
    expect_arguments(argc, 0, 1, "[KIB]");
    u64 kibibytes = number_argument(argc, argv, 1, "KIB", 1024, 256, 64 * 1024);
    size_t bytes = kibibytes * 1024 / STEP * STEP;
    for (u32 i = 0; i < KINDS; i++)
        areas[i] = reserve(bytes, i == 1 ? SEGV_MAPERR : SEGV_ACCERR);
    install_handler();

    bool right = kernel_refuses();
    right &= grow_array("mprotect", &areas[0]);
    unmap(areas[1].start, bytes); // not before: the kernel would place other mappings there
    right &= grow_array("mmap", &areas[1]);
    right &= grow_stack(&areas[2]);
    print("strange faults: %lu\n", strange);
    return right && strange == 0 ? 0 : 1;
}
