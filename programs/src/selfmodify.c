// selfmodify: writes a function into memory, runs it, changes it, and runs it again, as a
// just-in-time compiler does.
//
// Stores go through the data path and fetches through the instruction path, and RISC-V promises
// nothing about when the one sees the other: `fence.i` is the promise. An emulator that keeps
// decoded instructions must forget them there.

#include "rt/rt.h"

typedef u64 (*function)(void);

#define RET 0x00008067u // jalr zero, 0(ra)

// addi a0, zero, value:   imm[11:0] | rs1 = zero | funct3 = 000 | rd = a0 (x10) | OP-IMM
static u32 load_a0(u32 value)
{
    return value << 20 | 10 << 7 | 0x13;
}

static u64 write_and_run(volatile u32 *code, u32 value)
{
    code[0] = load_a0(value);
    code[1] = RET;
    __asm__ volatile("fence.i" : : : "memory");
    return ((function)code)();
}

static long map_writable_code(size_t bytes)
{
    int everything = PROT_READ | PROT_WRITE | PROT_EXEC;
    return sys_mmap(NULL, bytes, everything, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

int main(int argc, char **argv)
{
    (void)argv;
    expect_arguments(argc, 0, 0, "");
    long address = map_writable_code(page_size());
    if (address < 0)
        die("cannot map a writable and executable page: %s", error_name(address));

    volatile u32 *code = (volatile u32 *)address;
    u64 first = write_and_run(code, 42);
    u64 second = write_and_run(code, 1234);
    print("first version returned %lu\n", first);
    print("second version returned %lu\n", second);
    return first == 42 && second == 1234 ? 0 : 1;
}
