// matmul-naive [N]: matmul's twin with the schoolbook's loops; everything is explained there.

#define NAIVE
#include "matmul.c"
