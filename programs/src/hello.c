// hello [ARGUMENT...]: the smallest program. Shows what exec() puts on the new stack.

#include "rt/rt.h"

int main(int argc, char **argv)
{
    print("Hello from a page near you.\n");
    print("argc = %d\n", argc);
    for (int i = 0; i < argc; i++)
        print("argv[%d] = %s\n", i, argv[i]);
    return 0;
}
