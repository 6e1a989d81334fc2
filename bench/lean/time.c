/* Clocks, the harness's lines, and the end of a program that cannot go on. */
#define _GNU_SOURCE
#include "lean.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t cpu_us(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0)
        die("getrusage");
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000u
         + (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

void pause_for(double secs)
{
    struct timespec t = { (time_t)secs, (long)((secs - (double)(time_t)secs) * 1e9) };
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
        ;
}

void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

void die(const char *what)
{
    fprintf(stderr, "lean: %s: %s\n", what, strerror(errno));
    fflush(stderr);
    _Exit(1);
}
