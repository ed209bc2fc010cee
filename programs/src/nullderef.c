// nullderef: loads from address 0 and dies of it. Nothing is mapped there, on purpose: leaving page
// 0 empty is how an MMU turns the most common bug of all into a clean fault.

#include "rt/rt.h"

int main(int argc, char **argv)
{
    (void)argv;
    expect_arguments(argc, 0, 0, "");
    print("about to dereference null\n");
    flush(); // the fault below leaves no time for it

    volatile u8 *null = NULL;
    LAUNDER(null);
    u8 value = *null;

    print("the load worked and gave %u: page 0 is mapped\n", value);
    return 1;
}
