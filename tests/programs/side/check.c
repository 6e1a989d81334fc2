#include "check.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int failures;
static const char *before = "";
static char last[200] = "the start";

void check(int good, const char *name, const char *reason, ...)
{
    snprintf(last, sizeof(last), "%s%s%s", before, *before ? ": " : "", name);
    if (good) {
        printf("ok %s\n", last);
    } else {
        va_list arguments;
        va_start(arguments, reason);
        printf("not ok %s: ", last);
        vprintf(reason, arguments);
        putchar('\n');
        va_end(arguments);
        failures++;
    }
    fflush(stdout);
}

void check_group(const char *group)
{
    before = group;
}

int check_result(void)
{
    return failures != 0;
}

void check_broken(const char *what, const char *file, int line)
{
    printf("not ok %s:%d: %s: %s (after: %s)\n", file, line, what, strerror(errno), last);
    fflush(stdout);
    _exit(1);
}

static void stuck(int signal)
{
    static const char text[] = "not ok in time: stuck after: ";
    (void)signal;
    if (write(1, text, sizeof(text) - 1) < 0 || write(1, last, strlen(last)) < 0 || write(1, "\n", 1) < 0)
        _exit(2);
    _exit(1);
}

void check_deadline(unsigned seconds)
{
    struct sigaction action = { .sa_handler = stuck };
    sigaction(SIGALRM, &action, NULL);
    alarm(seconds);
}

long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

int again_until(long long end)
{
    if (now_ms() >= end)
        return 0;
    poll(NULL, 0, 1);
    return 1;
}
