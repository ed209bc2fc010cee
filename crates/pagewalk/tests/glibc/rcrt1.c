// The start of a static position-independent program. Debian's cross compiler knows no `-static-pie`
// and its glibc has no rcrt1.o; this one does the same: relocates the program to where it was loaded,
// before anything else looks at a pointer.

#include <elf.h>
#include <link.h>

// Addresses by the program counter only: the table that -fPIC code looks them up in is not relocated yet.
__asm__(".text\n"
        ".globl _start\n"
        ".type _start, @function\n"
        "_start:\n"
        "    .cfi_startproc\n"
        "    .cfi_undefined ra\n"
        "    .option push\n"
        "    .option norelax\n"
        "    lla gp, __global_pointer$\n"
        "    .option pop\n"
        "    mv s0, a0\n"        // a function to run at exit: none from the kernel
        "    call relocate\n"
        "    mv a5, s0\n"
        "    lla a0, call_main\n"
        "    ld a1, 0(sp)\n"     // argc
        "    addi a2, sp, 8\n"   // argv
        "    andi sp, sp, -16\n"
        "    li a3, 0\n"
        "    li a4, 0\n"
        "    mv a6, sp\n"
        "    call __libc_start_main\n"
        "    ebreak\n"
        "    .cfi_endproc\n");

int main(int argc, char **argv, char **envp);

__attribute__((used)) static int call_main(int argc, char **argv, char **envp)
{
    return main(argc, argv, envp);
}

// What tells the functions at exit of one loaded object from another's; there is one object.
__attribute__((visibility("hidden"))) void *__dso_handle = 0;

extern ElfW(Dyn) _DYNAMIC[] __attribute__((visibility("hidden")));
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

// glibc's list of loaded objects; the first field of the first object is where it was loaded, which
// thread-local data is found by.
extern ElfW(Addr) *_dl_ns[] __attribute__((visibility("hidden")));

static ElfW(Addr) value(const ElfW(Rela) *rela, const ElfW(Sym) *symbols, ElfW(Addr) base)
{
    const ElfW(Sym) *symbol = &symbols[ELF64_R_SYM(rela->r_info)];
    ElfW(Addr) addend = (ElfW(Addr))rela->r_addend;
    switch (ELF64_R_TYPE(rela->r_info)) {
    case R_RISCV_RELATIVE: return base + addend;
    case R_RISCV_64: return (symbol->st_shndx == SHN_UNDEF ? 0 : base + symbol->st_value) + addend;
    case R_RISCV_TLS_TPREL64: return symbol->st_value + addend;
    default: __builtin_trap();
    }
}

__attribute__((used)) static void relocate(void)
{
    ElfW(Addr) base = (ElfW(Addr))&__ehdr_start, size = 0;
    const ElfW(Rela) *rela = 0;
    const ElfW(Sym) *symbols = 0;
    for (const ElfW(Dyn) *d = _DYNAMIC; d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_RELA)
            rela = (const ElfW(Rela) *)(base + d->d_un.d_ptr);
        if (d->d_tag == DT_SYMTAB)
            symbols = (const ElfW(Sym) *)(base + d->d_un.d_ptr);
        if (d->d_tag == DT_RELASZ)
            size = d->d_un.d_val;
    }
    for (const ElfW(Rela) *end = rela + size / sizeof *rela; rela < end; rela++)
        if (ELF64_R_TYPE(rela->r_info) != R_RISCV_NONE)
            *(ElfW(Addr) *)(base + rela->r_offset) = value(rela, symbols, base);
    *_dl_ns[0] = base;
}
