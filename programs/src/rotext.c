// rotext: stores into its own code and dies of it. The page is present and readable, so this is a
// protection fault (SEGV_ACCERR), not a missing page. It is what lets all processes that run a
// program share one copy of its code.

#include "rt/rt.h"

int main(int argc, char **argv)
{
    (void)argv;
    expect_arguments(argc, 0, 0, "");

    volatile u8 *code = (volatile u8 *)&main;
    LAUNDER(code);
    u8 first_byte = *code;
    print("read my own code: ok\nabout to write it\n");
    flush(); // the fault below leaves no time for it

    *code = first_byte; // harmless if it worked: the same byte again

    print("the store worked: the code is writable\n");
    return 1;
}
