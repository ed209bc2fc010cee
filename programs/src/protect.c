// protect: a tour of mmap, munmap and mprotect: what each call returns, and what the memory holds
// after it.
//
// To try an access without dying of it, the program lets the kernel do it: a system call that is
// given a bad buffer returns EFAULT, where the program's own load or store would raise SIGSEGV.
// Addresses are not shown.

#include "rt/rt.h"

static void show(const char *what, long result)
{
    if (result >= 0)
        print("%s: ok\n", what);
    else
        print("%s: %s (%ld)\n", what, error_name(result), result);
}

// fstat() stores into the buffer it is given.
static void try_kernel_store(const char *what, u8 *page)
{
    show(what, sys_fstat(STDOUT, (struct file_status *)page));
}

// openat() loads a path from there. Where it can, it finds the empty path and answers ENOENT.
static void try_kernel_load(const char *what, const u8 *page)
{
    show(what, sys_openat((const char *)page, O_RDONLY, 0));
}

static void show_bytes(u8 *area, u32 pages)
{
    print("    first bytes:");
    for (u32 i = 0; i < pages; i++)
        print(" %u", area[i * page_size()]);
    print("\n");
}

static long map_at(void *address, size_t bytes, int protection, int flags)
{
    return sys_mmap(address, bytes, protection, flags | MAP_ANONYMOUS, -1, 0);
}

static void tour_protection(u8 *area, size_t page)
{
    print("-- mprotect\n");
    show("mprotect page 1 read-only", sys_mprotect(area + page, page, PROT_READ));
    try_kernel_load("  kernel loads from page 1", area + page + 1);
    try_kernel_store("  kernel stores into page 1", area + page);
    show("mprotect page 1 no access", sys_mprotect(area + page, page, PROT_NONE));
    try_kernel_load("  kernel loads from page 1", area + page + 1);
    show("mprotect page 1 read-write", sys_mprotect(area + page, page, PROT_READ | PROT_WRITE));
    try_kernel_store("  kernel stores into page 1", area + page + 64);
    show_bytes(area, 4);
    show("mprotect an odd address", sys_mprotect(area + 1, page, PROT_READ));
}

static void tour_unmapping(u8 *area, size_t page)
{
    print("-- munmap\n");
    show("munmap page 2", sys_munmap(area + 2 * page, page));
    try_kernel_load("  kernel loads from page 2", area + 2 * page);
    show("munmap page 2 again", sys_munmap(area + 2 * page, page));
    show("mprotect pages 1 to 3, across the hole",
         sys_mprotect(area + page, 3 * page, PROT_READ | PROT_WRITE));
    show("munmap an odd address", sys_munmap(area + 1, page));
    show("munmap 0 bytes", sys_munmap(area, 0));
    // A length is rounded up to whole pages: one byte is enough to take a page away.
    show("munmap 1 byte of page 3", sys_munmap(area + 3 * page, 1));
    try_kernel_load("  kernel loads from the end of page 3", area + 4 * page - 1);
}

static void tour_mapping(u8 *area, size_t page)
{
    const int read_write = PROT_READ | PROT_WRITE;
    print("-- mmap\n");
    show("mmap pages 2 and 3 again, at their place",
         map_at(area + 2 * page, 2 * page, read_write, MAP_PRIVATE | MAP_FIXED));
    show_bytes(area, 4);
    show("mmap over page 1", map_at(area + page, page, read_write, MAP_PRIVATE | MAP_FIXED));
    show_bytes(area, 4);
    show("mmap 0 bytes", map_at(NULL, 0, read_write, MAP_PRIVATE));
    show("mmap neither private nor shared", map_at(NULL, page, read_write, 0));
    show("mmap at a fixed odd address",
         map_at(area + 1, page, read_write, MAP_PRIVATE | MAP_FIXED));
    show("mmap of a file that is not open", sys_mmap(NULL, page, PROT_READ, MAP_PRIVATE, 99, 0));
    show("mmap more than any address space",
         map_at(NULL, (size_t)1 << 62, read_write, MAP_PRIVATE));
}

// brk() answers with the break that holds now; where that is not the wanted one, memory ran out.
static void show_brk(const char *what, u64 wanted)
{
    show(what, (u64)sys_brk(wanted) == wanted ? 0 : -ENOMEM);
}

static void tour_heap(size_t page)
{
    print("-- brk\n");
    u64 start = (u64)sys_brk(0);
    u64 first_page = (start + page - 1) / page * page;
    show_brk("brk up by 3 pages", first_page + 3 * page);
    *(u8 *)first_page = 7;
    try_kernel_store("  kernel stores into the new page 2", (u8 *)first_page + 2 * page);
    show_brk("brk down again", start);
    // What comes back is a new page, not the old one with its contents.
    show_brk("brk up once more", first_page + page);
    print("    first byte: %u\n", *(volatile u8 *)first_page);
}

int main(int argc, char **argv)
{
    (void)argv;
    expect_arguments(argc, 0, 0, "");
    size_t page = page_size();

    u8 *area = map_anonymous(4 * page);
    print("mmap 4 pages read-write: ok\n");
    show_bytes(area, 4);
    for (u32 i = 0; i < 4; i++)
        area[i * page] = (u8)(i + 1);
    show_bytes(area, 4);

    tour_protection(area, page);
    tour_unmapping(area, page);
    tour_mapping(area, page);
    tour_heap(page);
    show("munmap everything", sys_munmap(area, 4 * page));
    return 0;
}
