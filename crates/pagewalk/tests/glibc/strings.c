// string.h, ctype.h, wchar.h and regex.h. The functions of string.h read by words, so they run at
// every alignment and right up to a page that must not be touched.

#define _GNU_SOURCE
#include <ctype.h>
#include <fnmatch.h>
#include <locale.h>
#include <regex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

// The end of a readable page with an unreadable one behind it.
static char *guarded(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(two + page, page, PROT_NONE);
    return two + page;
}

static int sign(int x)
{
    return (x > 0) - (x < 0);
}

static void at_the_edge(void)
{
    char *end = guarded(), *other = guarded();
    unsigned long sum = 0;
    for (int length = 0; length < 80; length++) {
        char *text = end - length - 1;
        memset(text, 'a' + length % 26, (size_t)length);
        text[length] = 0;
        char *copy = other - length - 1;
        memcpy(copy, text, (size_t)length + 1);
        sum = sum * 7 + strlen(text) + strnlen(text, 40) + (unsigned)sign(strcmp(text, copy)) +
              (unsigned)(strchrnul(text, 'z') - text) + (unsigned)!!memchr(text, 'c', (size_t)length) +
              (unsigned)!!rawmemchr(text, 0) + (unsigned)!!strrchr(text, 'b');
        for (int offset = 0; offset < 9 && offset <= length; offset++) {
            memmove(copy, copy + offset, (size_t)(length - offset));
            memmove(copy + offset, copy, (size_t)(length - offset));
            sum = sum * 31 + (unsigned)(sign(memcmp(copy, text, (size_t)length)) + 1);
            strcpy(copy, text + offset);
            sum = sum * 31 + (unsigned)(sign(strncmp(copy, text, (size_t)length)) + 1);
            copy = other - length - 1;
            memcpy(copy, text, (size_t)length + 1);
        }
    }
    printf("at the edge: %lu\n", sum);
}

static void functions(void)
{
    char buffer[64] = "one";
    const char *volatile three = " three"; // volatile: the compiler would see that it is cut
    printf("%s ", strcat(buffer, " two"));
    printf("%s ", strncat(buffer, three, 4));
    printf("%s ", stpcpy(buffer + 10, "!") - 11);
    printf("%d %d %d\n", sign(strcmp("a", "b")), sign(strcasecmp("ABC", "abd")),
           sign(strncasecmp("ABCx", "abcy", 3)));
    printf("%zu %zu %s %s %s\n", strspn("aabbc", "ab"), strcspn("hello, world", " ,"),
           strpbrk("key=value", "=:"), strstr("finding a needle here", "needle"),
           strcasestr("finding a NEEDLE here", "needle"));
    printf("%s %d\n", (char *)memmem("binary\0data", 11, "da", 2), strverscmp("file9", "file10") < 0);
    char list[] = "a,b;;c,,d", *rest = list, *token;
    while ((token = strsep(&rest, ",;")))
        printf("[%s]", token);
    char words[] = "  split   these words ";
    for (token = strtok_r(words, " ", &rest); token; token = strtok_r(NULL, " ", &rest))
        printf("<%s>", token);
    printf("\n%s %s %s\n", basename("/usr/lib/x.so"), strerror(2), strsignal(11));
    unsigned char bytes[33];
    memset(bytes, 0xa5, sizeof bytes);
    bzero(bytes + 3, 20);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        sum = sum * 3 + bytes[i];
    char *found = memccpy(buffer, "up to: colon", ':', 20);
    printf("%u %td %d %d\n", sum, found - buffer, ffs(0x50), ffsll(1ll << 40));
    char mixed[] = "MiXed 123 cAsE!";
    int classes = 0;
    for (char *c = mixed; *c; c++) {
        classes = classes * 5 + !!isalpha(*c) + 2 * !!isdigit(*c) + 3 * !!ispunct(*c);
        *c = (char)(isupper(*c) ? tolower(*c) : toupper(*c));
    }
    printf("%s %d\n", mixed, classes);
}

static void wide(void)
{
    // The C locale alone: all others are files of the system.
    printf("locale %s, decimal point '%s', longest character %zu\n", setlocale(LC_ALL, ""),
           localeconv()->decimal_point, MB_CUR_MAX);
    wchar_t text[32];
    char back[32] = "";
    printf("%zd %ls", (ssize_t)mbstowcs(text, "plain", 32), text);
    printf(" %zd %s", (ssize_t)wcstombs(back, text, 32), back);
    printf(" %zd %d\n", (ssize_t)mbstowcs(text, "gr\xc3\xb6\xc3\x9f" "er", 32), wctob(L'x'));
    wchar_t wide[40] = L"wide characters";
    wcscat(wide, L" here");
    printf("%ls %zu %d %ls %ls\n", wide, wcslen(wide), sign(wcscmp(wide, L"wider")),
           wcschr(wide, L'c'), wcsstr(wide, L"act"));
    for (wchar_t *c = wide; *c; c++)
        *c = (wchar_t)towupper((wint_t)*c);
    wmemmove(wide + 2, wide, 5);
    printf("%ls %d\n", wide, iswalpha(L'x') != 0);
}

static void patterns(void)
{
    regex_t expression;
    regmatch_t match[4];
    const char *line = "2024-02-29 error: page 0x1f00 of 77 lost (code 14)";
    int made = regcomp(&expression, "([a-z]+) 0x([0-9a-f]+).*code ([[:digit:]]{2})", REG_EXTENDED);
    int result = regexec(&expression, line, 4, match, 0);
    printf("%d %d", made, result);
    for (int i = 0; !result && i < 4; i++)
        printf(" [%.*s]", (int)(match[i].rm_eo - match[i].rm_so), line + match[i].rm_so);
    regfree(&expression);
    printf("\n%d %d %d\n", regcomp(&expression, "a(b", REG_EXTENDED) != 0,
           fnmatch("*.[ch]", "file.c", 0), fnmatch("a?c", "abbc", 0) != 0);
}

int main(void)
{
    at_the_edge();
    functions();
    wide();
    patterns();
    return 0;
}
