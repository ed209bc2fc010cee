// The calendar, and clocks as far as they can be compared: they advance, sleeping takes as long as was
// asked for, processor time is not slept away.

#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

static int64_t now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void clocks(void)
{
    static const clockid_t all[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID,
                                    CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int64_t before = now(all[i]), last = before;
        int backwards = 0;
        volatile unsigned work = 0;
        for (int k = 0; k < 1000; k++) {
            for (int spin = 0; spin < 200; spin++)
                work += (unsigned)spin;
            int64_t t = now(all[i]);
            backwards += t < last;
            last = t;
        }
        printf("clock %zu: advances %d, backwards %d\n", i, last > before, backwards);
    }
    int64_t before = now(CLOCK_MONOTONIC);
    int slept = nanosleep(&(struct timespec){0, 30000000}, NULL);
    int64_t elapsed = now(CLOCK_MONOTONIC) - before;
    printf("slept %d: %d\n", slept, elapsed >= 30000000);
    before = now(CLOCK_MONOTONIC);
    int64_t until = before + 20000000;
    struct timespec at = {until / 1000000000, until % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
    printf("until: %d\n", now(CLOCK_MONOTONIC) >= until);
    usleep(1000);
    printf("bad: %d %s\n", nanosleep(&(struct timespec){0, 2000000000}, NULL), strerror(errno));
    printf("bad clock: %d %s\n", clock_gettime(999, &at), strerror(errno));
    struct timeval day;
    gettimeofday(&day, NULL);
    time_t seconds = time(NULL);
    printf("time of day agrees: %d\n", llabs((long long)(seconds - day.tv_sec)) <= 1);
    printf("after 2000: %d\n", seconds > 946684800);
    struct tms parts;
    printf("times: %d, clock: %d\n", times(&parts) != (clock_t)-1, clock() != (clock_t)-1);
    printf("resolution: %d\n", clock_getres(CLOCK_MONOTONIC, &at));
}

static void calendar(time_t seconds)
{
    struct tm t;
    char text[128];
    gmtime_r(&seconds, &t);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %a %A %b %B %j %U %V %G %y %p %I %Z %%", &t);
    printf("%lld: %s %d\n", (long long)seconds, text, timegm(&t) == seconds);
    localtime_r(&seconds, &t);
    strftime(text, sizeof text, "%c | %x %X | %z %Z", &t);
    printf("  local %s, daylight saving %d, back %lld\n", text, t.tm_isdst, (long long)(mktime(&t) - seconds));
}

int main(void)
{
    clocks();
    static const char *const zones[] = {"UTC", "CET-1CEST,M3.5.0,M10.5.0/3", "<+0545>-5:45"};
    for (size_t z = 0; z < 3; z++) {
        setenv("TZ", zones[z], 1);
        tzset();
        calendar(0);
        calendar(951782400);
        calendar(1720000000);
        calendar(-2208988800);
        calendar(253402300799);
    }
    struct tm made = {.tm_year = 124, .tm_mon = 13, .tm_mday = 35, .tm_hour = -5, .tm_min = 200};
    time_t normal = mktime(&made);
    printf("normalised: %lld %d-%d-%d %g\n", (long long)normal, made.tm_year, made.tm_mon, made.tm_mday,
           difftime(normal, 0));
    memset(&made, 0, sizeof made);
    char *rest = strptime("29 Feb 2024 12:34:56 and", "%d %b %Y %H:%M:%S", &made);
    printf("parsed: %d %d %d%s\n", made.tm_yday, made.tm_wday, made.tm_sec, rest ? rest : "?");
    return 0;
}
