/* The C library and the mathematics library, found by the dynamic linker; one more by dlopen. */
#include <dlfcn.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b) {
    return *(const int *)a - *(const int *)b;
}

int main(int argc, char **argv) {
    int values[] = {5, 3, 9, 1};
    qsort(values, 4, sizeof *values, ascending);
    printf("%d arguments, %d %d %d %d\n", argc - 1, values[0], values[1], values[2], values[3]);
    printf("%.12f %.12f\n", sin(argc), cbrt(argc));
    char *large = malloc(1 << 22);
    memset(large, 7, 1 << 22);
    printf("%d\n", large[(1 << 22) - 1]);
    free(large);
    void *library = dlopen("libgcc_s.so.1", RTLD_NOW);
    printf("%s %s\n", library ? "opened" : dlerror(), dlsym(library, "_Unwind_Resume") ? "found" : "");
    printf("%s\n", dlopen("libnone.so.1", RTLD_NOW) ? "?" : dlerror());
    return argc;
}
