// Text to numbers and back: printf, scanf, strtol, strtod and their wide and bounded relatives.

#define _GNU_SOURCE
#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static void integers(void)
{
    static const long long values[] = {0, 1, -1, 42, INT_MAX, INT_MIN, LLONG_MAX, LLONG_MIN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        long long v = values[i];
        printf("%lld|%20lld|%-20lld|%+lld|% lld|%020lld|%'lld\n", v, v, v, v, v, v, v);
        printf("%llu|%llx|%llX|%#llx|%llo|%#llo|%.15lld\n", v, v, v, v, v, v, v);
        printf("%d|%hd|%hhd|%u|%ld|%jd|%zd|%td\n", (int)v, (short)v, (signed char)v, (unsigned)v,
               (long)v, (intmax_t)v, (size_t)v, (ptrdiff_t)v);
    }
    printf("%3$d %1$d %2$*4$d\n", 1, 2, 3, 6);
    printf("[%*d] [%-*d] [%.*d] [%c] [%5c] [%%]\n", 8, 17, 8, 17, 5, 17, 'x', 'y');
    printf("[%s] [%10s] [%-10s] [%.3s] [%10.2s]\n", "string", "string", "string", "string", "string");
    printf("%" PRId8 " %" PRIu16 " %" PRIx32 " %" PRIo64 "\n", (int8_t)-128, (uint16_t)65535,
           UINT32_MAX, UINT64_MAX);
    int so_far;
    int total = printf("counted%n and more\n", &so_far);
    printf("%d %d %p\n", so_far, total, (void *)0);
}

static void floats(void)
{
    static const double values[] = {
        0.0, -0.0, 1.0, -1.5, 0.1, 1.0 / 3, 123456789.125, 1e100, -1e-100, 2.5, 3.5, 0.5,
        DBL_MAX, DBL_MIN, DBL_EPSILON, 4.9406564584124654e-324, INFINITY, -INFINITY, 9.995, 99999.5,
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        double v = values[i];
        printf("%f|%e|%g|%a|%F|%E|%G|%A\n", v, v, v, v, v, v, v, v);
        printf("%.0f|%.1f|%.20f|%.17g|%+.3e|%#.0f|%#g\n", v, v, v, v, v, v, v);
        printf("%20.5f|%-20.5f|%020.5f|%.0a|%.5a|%20.3a\n", v, v, v, v, v, v);
        printf("%Lf|%.25Lg|%La\n", (long double)v, (long double)v, (long double)v);
    }
    printf("%f %F %a %Lf\n", NAN, -NAN, NAN, (long double)NAN);
    printf("%.36Lg %La %.4Le\n", 1.0L / 3, 2.0L / 3, LDBL_MAX);
    printf("%.*f %.60f\n", 10, 3.14159265358979, 0.1);
}

static void show_strtod(const char *text)
{
    char *end;
    errno = 0;
    double d = strtod(text, &end);
    int error = errno;
    errno = 0;
    float f = strtof(text, NULL);
    long double l = strtold(text, NULL);
    printf("'%s': %a %a %La, rest '%s', %s\n", text, d, f, l, end, strerror(error));
}

static void show_strtol(const char *text, int base)
{
    char *end;
    errno = 0;
    long l = strtol(text, &end, base);
    int error = errno;
    printf("'%s' in base %d: %ld %lu, rest '%s', %s\n", text, base, l, strtoul(text, NULL, base),
           end, strerror(error));
}

static void conversions(void)
{
    static const char *const numbers[] = {
        "0",       "1.5",     "-1e10",    "  +.5e-3x", "0x1.8p3",  "0x.8p-1074", "1e400",
        "-1e400",  "1e-400",  "inf",      "-Infinity", "nan",      "nan(123)",   "abc",
        "0.1e1.5", "2.2250738585072011e-308", "9007199254740993", "179769313486231580793e289",
        "4.35",    "1e23",    "8.5e-324", "123456789012345678901234567890.5",
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        show_strtod(numbers[i]);
    show_strtol("123abc", 10);
    show_strtol("0x7fg", 0);
    show_strtol("0777", 0);
    show_strtol("zz", 36);
    show_strtol("9223372036854775808", 10);
    show_strtol("-9223372036854775809", 10);
    show_strtol("", 10);
    show_strtol("  -12", 10);
    printf("%d %ld %lld %g\n", atoi("77x"), atol("-5"), atoll("123456789012"), atof("2.75"));
}

static void scanning(void)
{
    int i = 0, x = 0, o = 0, at = 0;
    unsigned u = 0;
    double d = 0;
    float f = 0;
    long double l = 0;
    char word[16] = "", letters[16] = "", rest[16] = "", c = 0;
    int fields = sscanf("-12 0x1f 017 99 2.5e3 0x1p-2 1.25 word abcXYZ", "%d %x %o %u %lf %f %Lf %s %[a-z]%c%n",
                        &i, (unsigned *)&x, (unsigned *)&o, &u, &d, &f, &l, word, letters, &c, &at);
    printf("%d: %d %d %d %u %g %g %Lg %s %s %c %d\n", fields, i, x, o, u, d, f, l, word, letters, c, at);
    fields = sscanf("12,34;hello world", "%2d,%*d;%5[^\n]", &i, rest);
    printf("%d: %d '%s'\n", fields, i, rest);
    printf("%d %d %d\n", sscanf("x", "%d", &i), sscanf("", "%d", &i), sscanf("7 up", "%d down", &i));
    char *made = NULL;
    fields = sscanf("allocated text", "%ms", &made);
    printf("%d: %s\n", fields, made);
    free(made);

    double sum = 0;
    int lines = 0;
    char name[32];
    while (scanf("%31s %lf", name, &d) == 2) {
        sum += d;
        printf("read %s = %.3f\n", name, d);
        lines++;
    }
    printf("%d lines, sum %.6f, end of file %d\n", lines, sum, feof(stdin) != 0);
}

static int bounded(char *to, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(to, size, format, arguments);
    va_end(arguments);
    return length;
}

static void buffers(void)
{
    char small[8];
    int length = bounded(small, sizeof small, "%s-%d-%g", "abcdef", 12345, 0.25);
    printf("%d '%s'\n", length, small);
    printf("%d\n", bounded(NULL, 0, "%1000d", 1));
    char *made;
    length = asprintf(&made, "%s %08.3f", "made", 3.14159);
    printf("%d '%s'\n", length, made);
    free(made);

    wchar_t wide[32];
    length = swprintf(wide, 32, L"%ls|%d|%.2f", L"wide", 42, 2.718);
    printf("%d '%ls' %zu %ld %g\n", length, wide, wcslen(wide), wcstol(L"-99z", NULL, 10),
           wcstod(L"0x1.4p2", NULL));

    char stream_bytes[64] = "";
    FILE *stream = fmemopen(stream_bytes, sizeof stream_bytes, "w");
    fprintf(stream, "%5.1f%%", 99.44);
    fclose(stream);
    size_t grown_size;
    char *grown;
    stream = open_memstream(&grown, &grown_size);
    for (int i = 0; i < 1000; i++)
        fprintf(stream, "%d,", i * i);
    fclose(stream);
    printf("'%s' %zu %s\n", stream_bytes, grown_size, grown + grown_size - 7);
    free(grown);
}

int main(void)
{
    integers();
    floats();
    conversions();
    scanning();
    buffers();
    fprintf(stderr, "formats: %s\n", "this goes to standard error");
    return 0;
}
