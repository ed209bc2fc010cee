// The runtime's body; rt.h says what each function promises.

#include "syscall.h"

#include <stdarg.h>

// ---- System calls -------------------------------------------------------------------------------

// The generic Linux numbering that RISC-V uses.
enum {
    SYS_FTRUNCATE = 46,
    SYS_OPENAT = 56,
    SYS_CLOSE = 57,
    SYS_LSEEK = 62,
    SYS_READ = 63,
    SYS_WRITE = 64,
    SYS_PREAD64 = 67,
    SYS_FSTAT = 80,
    SYS_EXIT_GROUP = 94,
    SYS_CLOCK_GETTIME = 113,
    SYS_RT_SIGACTION = 134,
    SYS_BRK = 214,
    SYS_MUNMAP = 215,
    SYS_MMAP = 222,
    SYS_MPROTECT = 226,
};

#define AT_FDCWD -100

long sys_openat(const char *path, int flags, int mode)
{
    return syscall6(SYS_OPENAT, (u64)AT_FDCWD, (u64)path, (u64)flags, (u64)mode, 0, 0);
}

long sys_close(int fd)
{
    return syscall3(SYS_CLOSE, (u64)fd, 0, 0);
}

long sys_read(int fd, void *buffer, size_t bytes)
{
    return syscall3(SYS_READ, (u64)fd, (u64)buffer, bytes);
}

long sys_pread(int fd, void *buffer, size_t bytes, i64 offset)
{
    return syscall6(SYS_PREAD64, (u64)fd, (u64)buffer, bytes, (u64)offset, 0, 0);
}

long sys_write(int fd, const void *buffer, size_t bytes)
{
    return syscall3(SYS_WRITE, (u64)fd, (u64)buffer, bytes);
}

long sys_lseek(int fd, i64 offset, int whence)
{
    return syscall3(SYS_LSEEK, (u64)fd, (u64)offset, (u64)whence);
}

long sys_ftruncate(int fd, i64 bytes)
{
    return syscall3(SYS_FTRUNCATE, (u64)fd, (u64)bytes, 0);
}

long sys_fstat(int fd, struct file_status *status)
{
    return syscall3(SYS_FSTAT, (u64)fd, (u64)status, 0);
}

long sys_mmap(void *address, size_t bytes, int protection, int flags, int fd, i64 offset)
{
    return syscall6(SYS_MMAP, (u64)address, bytes, (u64)protection, (u64)flags, (u64)fd,
                    (u64)offset);
}

long sys_munmap(void *address, size_t bytes)
{
    return syscall3(SYS_MUNMAP, (u64)address, bytes, 0);
}

long sys_mprotect(void *address, size_t bytes, int protection)
{
    return syscall3(SYS_MPROTECT, (u64)address, bytes, (u64)protection);
}

long sys_brk(u64 end)
{
    return syscall3(SYS_BRK, end, 0, 0);
}

long sys_clock_gettime(int clock, struct timespec *time)
{
    return syscall3(SYS_CLOCK_GETTIME, (u64)clock, (u64)time, 0);
}

long sys_rt_sigaction(int signal, const struct signal_action *action)
{
    return syscall6(SYS_RT_SIGACTION, (u64)signal, (u64)action, 0, sizeof action->mask, 0, 0);
}

_Noreturn void sys_exit_group(int status)
{
    for (;;)
        syscall3(SYS_EXIT_GROUP, (u64)status, 0, 0);
}

const char *error_name(long result)
{
    static const struct {
        u32 number;
        const char *name;
    } names[] = {
        {1, "EPERM"},   {2, "ENOENT"},   {4, "EINTR"},   {5, "EIO"},     {9, "EBADF"},
        {11, "EAGAIN"}, {12, "ENOMEM"},  {13, "EACCES"}, {14, "EFAULT"}, {17, "EEXIST"},
        {19, "ENODEV"}, {20, "ENOTDIR"}, {21, "EISDIR"}, {22, "EINVAL"}, {24, "EMFILE"},
        {27, "EFBIG"},  {28, "ENOSPC"},  {29, "ESPIPE"}, {30, "EROFS"},  {32, "EPIPE"},
        {38, "ENOSYS"}, {40, "ELOOP"},
    };

    if (result >= 0)
        return "ok";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].number == (u64)-result)
            return names[i].name;
    return "error";
}

// ---- Strings of bytes ---------------------------------------------------------------------------

// Words that may overlay any other type: what lets memcpy move eight bytes at a time in plain C.
typedef u64 __attribute__((may_alias)) word;

static bool aligned(const void *address)
{
    return (u64)address % sizeof(word) == 0;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    u8 *target = to;
    const u8 *source = from;
    if (aligned(target) && aligned(source)) {
        for (; bytes >= sizeof(word); bytes -= sizeof(word)) {
            *(word *)target = *(const word *)source;
            target += sizeof(word);
            source += sizeof(word);
        }
    }
    while (bytes-- > 0)
        *target++ = *source++;
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    u8 *target = to;
    const u8 *source = from;
    if (target <= source) {
        for (size_t i = 0; i < bytes; i++)
            target[i] = source[i];
    } else {
        while (bytes-- > 0)
            target[bytes] = source[bytes];
    }
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    u8 *target = to;
    if (aligned(target)) {
        word pattern = (u8)value * 0x0101010101010101u;
        for (; bytes >= sizeof(word); bytes -= sizeof(word)) {
            *(word *)target = pattern;
            target += sizeof(word);
        }
    }
    while (bytes-- > 0)
        *target++ = (u8)value;
    return to;
}

int memcmp(const void *left, const void *right, size_t bytes)
{
    const u8 *a = left, *b = right;
    for (size_t i = 0; i < bytes; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

size_t strlen(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0')
        length++;
    return length;
}

bool strings_equal(const char *left, const char *right)
{
    size_t length = strlen(left);
    return length == strlen(right) && memcmp(left, right, length) == 0;
}

// ---- Output -------------------------------------------------------------------------------------

static const char *program_name = "program";

static u8 stdout_buffer[4096];
static u8 stderr_buffer[256];
static struct writer stdout_writer = {STDOUT, stdout_buffer, sizeof stdout_buffer, 0};
static struct writer stderr_writer = {STDERR, stderr_buffer, sizeof stderr_buffer, 0};

void writer_flush(struct writer *writer)
{
    size_t done = 0;
    size_t used = writer->used;
    // Emptied first: die() below comes back here with stdout, and must not find the same bytes
    // again.
    writer->used = 0;
    while (done < used) {
        long result = sys_write(writer->fd, writer->buffer + done, used - done);
        if (result < 0 && writer->fd == STDERR)
            sys_exit_group(1); // nobody is left to tell
        if (result < 0)
            die("cannot write: %s", error_name(result));
        done += (size_t)result;
    }
}

void writer_put(struct writer *writer, const void *bytes, size_t count)
{
    const u8 *source = bytes;
    while (count > 0) {
        if (writer->used == writer->capacity)
            writer_flush(writer);
        size_t part = smaller(count, writer->capacity - writer->used);
        memcpy(writer->buffer + writer->used, source, part);
        writer->used += part;
        source += part;
        count -= part;
    }
}

struct number_style {
    u32 base, width;
    char padding;
};

static void put_number(struct writer *writer, u64 value, bool negative, struct number_style style)
{
    char digits[24];
    u32 start = sizeof digits;
    do {
        digits[--start] = "0123456789abcdef"[value % style.base];
        value /= style.base;
    } while (value != 0);

    u32 length = (u32)sizeof digits - start + negative;
    if (negative && style.padding == '0')
        writer_put(writer, "-", 1);
    for (; length < style.width; length++)
        writer_put(writer, &style.padding, 1);
    if (negative && style.padding == ' ')
        writer_put(writer, "-", 1);
    writer_put(writer, digits + start, sizeof digits - start);
}

static void put_signed(struct writer *writer, i64 value, struct number_style style)
{
    // Negated as unsigned, so that the most negative number has a magnitude too.
    put_number(writer, value < 0 ? -(u64)value : (u64)value, value < 0, style);
}

static void put_formatted(struct writer *writer, const char *format, va_list arguments)
{
    for (; *format != '\0'; format++) {
        if (*format != '%') {
            writer_put(writer, format, 1);
            continue;
        }
        format++;
        struct number_style style = {10, 0, ' '};
        if (*format == '0')
            style.padding = *format++;
        while (*format >= '0' && *format <= '9')
            style.width = style.width * 10 + (u32)(*format++ - '0');
        bool is_long = *format == 'l';
        if (is_long)
            format++;

        if (*format == 's') {
            const char *text = va_arg(arguments, const char *);
            writer_put(writer, text, strlen(text));
        } else if (*format == 'c') {
            char character = (char)va_arg(arguments, int);
            writer_put(writer, &character, 1);
        } else if (*format == 'd') {
            put_signed(writer, is_long ? va_arg(arguments, i64) : va_arg(arguments, int), style);
        } else if (*format == 'u' || *format == 'x') {
            style.base = *format == 'x' ? 16 : 10;
            u64 value = is_long ? va_arg(arguments, u64) : va_arg(arguments, u32);
            put_number(writer, value, false, style);
        } else if (*format == '%') {
            writer_put(writer, "%", 1);
        } else {
            __builtin_trap(); // a format that rt.h does not promise: a bug in the program
        }
    }
}

void print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    put_formatted(&stdout_writer, format, arguments);
    va_end(arguments);
}

void flush(void)
{
    writer_flush(&stdout_writer);
}

_Noreturn void exit(int status)
{
    flush();
    sys_exit_group(status);
}

static void print_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    put_formatted(&stderr_writer, format, arguments);
    va_end(arguments);
}

_Noreturn void die(const char *format, ...)
{
    flush(); // what was said before comes first

    va_list arguments;
    va_start(arguments, format);
    print_error("%s: ", program_name);
    put_formatted(&stderr_writer, format, arguments);
    print_error("\n");
    va_end(arguments);
    writer_flush(&stderr_writer);
    sys_exit_group(1);
}

// ---- Arguments ----------------------------------------------------------------------------------

void expect_arguments(int argc, int at_least, int at_most, const char *synopsis)
{
    if (argc - 1 >= at_least && argc - 1 <= at_most)
        return;
    print_error("usage: %s%s%s\n", program_name, *synopsis == '\0' ? "" : " ", synopsis);
    writer_flush(&stderr_writer);
    sys_exit_group(1);
}

static bool parse_number(const char *text, u64 *number)
{
    *number = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        u64 digit = (u64)(*text - '0');
        if (__builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, digit, number))
            return false;
    }
    return true;
}

u64 number_argument(int argc, char **argv, int index, const char *name, u64 fallback, u64 at_least,
                    u64 at_most)
{
    if (index >= argc)
        return fallback;
    u64 number;
    if (!parse_number(argv[index], &number) || number < at_least || number > at_most)
        die("%s must be a whole number from %lu to %lu, not '%s'", name, at_least, at_most,
            argv[index]);
    return number;
}

// ---- Memory -------------------------------------------------------------------------------------

static size_t reported_page_size = 4096;

size_t page_size(void)
{
    return reported_page_size;
}

void *map_anonymous(size_t bytes)
{
    if (bytes == 0)
        return NULL;
    long address =
        sys_mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address < 0)
        die("cannot map %lu bytes of memory: %s", bytes, error_name(address));
    return (void *)address;
}

void unmap(void *address, size_t bytes)
{
    if (bytes == 0)
        return;
    long result = sys_munmap(address, bytes);
    if (result < 0)
        die("cannot unmap %lu bytes of memory: %s", bytes, error_name(result));
}

static bool is_regular(const struct file_status *status)
{
    return (status->mode & 0170000) == 0100000;
}

struct mapped_file map_file(const char *path)
{
    long fd = sys_openat(path, O_RDONLY, 0);
    if (fd < 0)
        die("cannot open %s: %s", path, error_name(fd));
    struct file_status status;
    long result = sys_fstat((int)fd, &status);
    if (result < 0)
        die("cannot examine %s: %s", path, error_name(result));
    if (!is_regular(&status))
        die("%s is not a regular file", path);

    struct mapped_file file = {NULL, (size_t)status.size, status.device, status.inode};
    if (file.size > 0) { // mmap refuses a length of 0
        long address = sys_mmap(NULL, file.size, PROT_READ, MAP_PRIVATE, (int)fd, 0);
        if (address < 0)
            die("cannot map %s: %s", path, error_name(address));
        file.bytes = (const u8 *)address;
    }
    sys_close((int)fd); // the mapping keeps the file
    return file;
}

// The heap: [heap_next, heap_end) is what brk() has granted and nobody has taken yet.
static u64 heap_next, heap_end;

static void grow_heap(u64 needed_end)
{
    // One system call in 64 KiB, not one in every few bytes. The pages still arrive on first touch.
    const u64 step = 64 * 1024;
    u64 new_end = (needed_end + step - 1) / step * step;
    if ((u64)sys_brk(new_end) < new_end)
        die("out of memory: the heap cannot grow by %lu bytes", new_end - heap_end);
    heap_end = new_end;
}

void *heap_allocate(size_t bytes)
{
    const u64 alignment = 16;
    if (heap_next == 0)
        heap_next = heap_end = ((u64)sys_brk(0) + alignment - 1) / alignment * alignment;
    u64 block = heap_next;
    heap_next += (bytes + alignment - 1) / alignment * alignment;
    if (heap_next > heap_end)
        grow_heap(heap_next);
    return (void *)block;
}

// ---- Start --------------------------------------------------------------------------------------

static const char *base_name(const char *path)
{
    const char *name = path;
    for (; *path != '\0'; path++)
        if (*path == '/')
            name = path + 1;
    return name;
}

static void read_auxiliary_vector(const u64 *entry)
{
    enum { AT_NULL = 0, AT_PAGESZ = 6 };
    for (; entry[0] != AT_NULL; entry += 2)
        if (entry[0] == AT_PAGESZ)
            reported_page_size = entry[1];
}

// Called by start.S with the initial stack, whose layout is drawn there.
_Noreturn void rt_start(u64 *stack);

_Noreturn void rt_start(u64 *stack)
{
    int argc = (int)stack[0];
    char **argv = (char **)(stack + 1);
    u64 *environment = stack + 1 + argc + 1;
    while (*environment != 0)
        environment++;
    read_auxiliary_vector(environment + 1);
    if (argc > 0)
        program_name = base_name(argv[0]);
    exit(main(argc, argv));
}
