// Every function of math.h over tables of ordinary and awkward arguments, with the bits of the
// results and the exceptions raised; the rounding modes; conversions at their limits.

#define _GNU_SOURCE
#include <fenv.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double TABLE[] = {
    0.0,  -0.0,   1.0,   -1.0,     0.5,   -0.5,     2.0,      10.0,     0.1,    -0.3,     1.0 / 3,
    3.14, -2.718, 1e-8,  -1e-8,    1e8,   -123.456, 709.5,    -745.0,   1e22,   1.5e300,  -1e300,
    5e-324, 2.2250738585072014e-308, DBL_MAX, DBL_MIN, INFINITY, -INFINITY, NAN, 170.0, 0.9999999,
};
enum { COUNT = sizeof TABLE / sizeof *TABLE };

static uint64_t bits(double d)
{
    uint64_t b;
    memcpy(&b, &d, sizeof b);
    return b;
}

static uint32_t bits_float(float f)
{
    uint32_t b;
    memcpy(&b, &f, sizeof b);
    return b;
}

// As letters: invalid, division by zero, overflow, underflow, inexact.
static const char *flags(void)
{
    static char text[6];
    int raised = fetestexcept(FE_ALL_EXCEPT);
    char *at = text;
    if (raised & FE_INVALID) *at++ = 'v';
    if (raised & FE_DIVBYZERO) *at++ = 'z';
    if (raised & FE_OVERFLOW) *at++ = 'o';
    if (raised & FE_UNDERFLOW) *at++ = 'u';
    if (raised & FE_INEXACT) *at++ = 'i';
    *at = 0;
    feclearexcept(FE_ALL_EXCEPT);
    return text;
}

#define UNARY(name) {#name, name, name##f}
static const struct {
    const char *name;
    double (*of_double)(double);
    float (*of_float)(float);
} UNARIES[] = {
    UNARY(sin), UNARY(cos), UNARY(tan), UNARY(asin), UNARY(acos), UNARY(atan), UNARY(sinh), UNARY(cosh),
    UNARY(tanh), UNARY(asinh), UNARY(acosh), UNARY(atanh), UNARY(exp), UNARY(exp2), UNARY(exp10),
    UNARY(expm1), UNARY(log), UNARY(log2), UNARY(log10), UNARY(log1p), UNARY(logb), UNARY(sqrt),
    UNARY(cbrt), UNARY(erf), UNARY(erfc), UNARY(tgamma), UNARY(lgamma), UNARY(ceil), UNARY(floor),
    UNARY(trunc), UNARY(round), UNARY(roundeven), UNARY(rint), UNARY(nearbyint), UNARY(fabs),
    UNARY(j0), UNARY(j1), UNARY(y0), UNARY(y1), UNARY(significand),
};

#define BINARY(name) {#name, name, name##f}
static const struct {
    const char *name;
    double (*of_double)(double, double);
    float (*of_float)(float, float);
} BINARIES[] = {
    BINARY(pow), BINARY(atan2), BINARY(hypot), BINARY(fmod), BINARY(remainder), BINARY(fdim),
    BINARY(fmax), BINARY(fmin), BINARY(copysign), BINARY(nextafter),
};

static void unary(void)
{
    for (size_t f = 0; f < sizeof UNARIES / sizeof *UNARIES; f++)
        for (int i = 0; i < COUNT; i++) {
            feclearexcept(FE_ALL_EXCEPT);
            double d = UNARIES[f].of_double(TABLE[i]);
            printf("%s(%a) = %016" PRIx64 " %s", UNARIES[f].name, TABLE[i], bits(d), flags());
            float narrow = (float)TABLE[i];
            feclearexcept(FE_ALL_EXCEPT);
            printf(" %08" PRIx32, bits_float(UNARIES[f].of_float(narrow)));
            printf(" %s\n", flags());
        }
}

static void binary(void)
{
    for (size_t f = 0; f < sizeof BINARIES / sizeof *BINARIES; f++)
        for (int i = 0; i < COUNT; i++)
            for (int k = 0; k < COUNT; k += 3) {
                feclearexcept(FE_ALL_EXCEPT);
                double d = BINARIES[f].of_double(TABLE[i], TABLE[k]);
                printf("%s(%a, %a) = %016" PRIx64 " %s", BINARIES[f].name, TABLE[i], TABLE[k],
                       bits(d), flags());
                float x = (float)TABLE[i], y = (float)TABLE[k];
                feclearexcept(FE_ALL_EXCEPT);
                printf(" %08" PRIx32, bits_float(BINARIES[f].of_float(x, y)));
                printf(" %s\n", flags());
            }
}

static void others(void)
{
    for (int i = 0; i < COUNT; i++) {
        double x = TABLE[i], whole, sine, cosine;
        int exponent, quotient;
        feclearexcept(FE_ALL_EXCEPT);
        double fraction = frexp(x, &exponent);
        printf("%a: frexp %a %d", x, fraction, isfinite(x) ? exponent : 0);
        fraction = modf(x, &whole);
        printf(", modf %a %a", fraction, whole);
        sincos(x, &sine, &cosine);
        printf(", sincos %a %a", sine, cosine);
        printf(", ldexp %a %a", ldexp(x, 40), scalbn(x, -2000));
        double rest = remquo(x, 3.0, &quotient);
        printf(", remquo %a %d", rest, isfinite(x) ? quotient & 7 : 0);
        printf(", fma %a %a", fma(x, x, 1.0), fma(x, 0.1, -x));
        printf(", ilogb %d, jn %a yn %a", ilogb(x), jn(3, x), yn(2, x));
        printf(", class %d%d%d%d%d", isnan(x) != 0, isinf(x) != 0, isnormal(x) != 0, signbit(x) != 0,
               x != x || x < 1);
        printf(", %s\n", flags());
    }
}

static void convert(double x)
{
    volatile double d = x;
    volatile float f = (float)x;
    feclearexcept(FE_ALL_EXCEPT);
    printf("%a: int %d", x, (int)d);
    printf(" %s, unsigned %u", flags(), (unsigned)d);
    printf(" %s, long %ld", flags(), (long)d);
    printf(" %s, unsigned long %lu", flags(), (unsigned long)d);
    printf(" %s, float %a", flags(), (float)d);
    printf(" %s, from float %d", flags(), (int)f);
    printf(" %lu", (unsigned long)f);
    printf(" %s, lrint %ld", flags(), lrint(d));
    printf(" %s, llround %lld", flags(), llround(d));
    printf(" %s\n", flags());
}

// What the rounding mode must change: sums, products, quotients, roots, conversions, decimal text.
static void rounding(int mode, const char *name)
{
    volatile double one = 1, three = 3, tiny = 1e-30, tenth = 0.1, large = DBL_MAX;
    volatile float third = 1.0f / 3, sevens = 7.77777f;
    volatile long odd = 0x7fffffffffffffff;
    volatile unsigned long all = ~0ul;
    fesetround(mode);
    feclearexcept(FE_ALL_EXCEPT);
    printf("%s (%d): %a %a %a %a", name, fegetround() == mode, one / three, -one / three, one + tiny,
           -one - tiny);
    printf(" %a %a %a %a", tenth * tenth, sqrt(three), large * three, -large * three);
    printf(" %a %a %a", (double)(third * sevens), (double)(third / sevens), (double)sqrtf(sevens));
    printf(" %a %a %a", (double)odd, (double)all, (double)(float)odd);
    printf(" %ld %ld %ld %ld", lrint(2.5), lrint(-2.5), lrint(0.7), lrint(-0.7));
    printf(" %a %a %s", rint(1.5), nearbyint(-0.5), flags());
    printf(" %.3f %.0f %.2e %a\n", 0.0625, 2.5, 1.005, strtod("0.1", NULL));
    fesetround(FE_TONEAREST);
}

static void environment(void)
{
    fenv_t saved;
    feholdexcept(&saved);
    fesetround(FE_UPWARD);
    feraiseexcept(FE_OVERFLOW | FE_INVALID);
    printf("raised %s", flags());
    fesetenv(&saved);
    printf(", restored mode %d\n", fegetround() == FE_TONEAREST);
    fexcept_t one;
    feraiseexcept(FE_DIVBYZERO);
    fegetexceptflag(&one, FE_ALL_EXCEPT);
    feclearexcept(FE_ALL_EXCEPT);
    fesetexceptflag(&one, FE_ALL_EXCEPT);
    printf("flag kept: %s\n", flags());
    volatile double zero = 0;
    printf("%f %s\n", 1 / zero, flags());
    volatile int nothing = 0, least = -2147483647 - 1, minus = -1;
    printf("integers: %d %d %d %d\n", 7 / nothing, 7 % nothing, least / minus, least % minus);
}

int main(void)
{
    unary();
    binary();
    others();
    static const double edges[] = {
        0.5, 1.5, 2.5, -0.5, -1.5, 2147483647.0, 2147483648.0, -2147483648.0, -2147483649.0, 4294967295.5,
        4294967296.0, 9.2233720368547758e18, -9.2233720368547758e18, 1.8446744073709552e19, -1.0, 1e300,
        INFINITY, -INFINITY, NAN, 16777217.0, 1e-320,
    };
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        convert(edges[i]);
    rounding(FE_TONEAREST, "nearest");
    rounding(FE_UPWARD, "upward");
    rounding(FE_DOWNWARD, "downward");
    rounding(FE_TOWARDZERO, "to zero");
    environment();
    return 0;
}
