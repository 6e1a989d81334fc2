/*
 * Checks of a program: each prints one line, `ok NAME` or `not ok NAME: reason`.
 *
 * A check looks at one thing that a program can observe of a socket; what it expects is what Linux does.
 */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <string.h>

/* Prints the line. The reason is printed only when `good` is 0. */
void check(int good, const char *name, const char *reason, ...) __attribute__((format(printf, 3, 4)));

/* What stands before the names from now on ("" for nothing). */
void check_group(const char *group);

/* 0 when every check was good so far, else 1: what `main` returns. */
int check_result(void);

/* Ends the program: something the checks stand on is missing. */
void check_broken(const char *what, const char *file, int line) __attribute__((noreturn));

/* Ends the program with a line about the last check when it runs longer than this. */
void check_deadline(unsigned seconds);

/* Milliseconds on the monotonic clock. */
long long now_ms(void);

/* Waits a millisecond; 0 when `end` (of now_ms) has passed. For EVENTUALLY only. */
int again_until(long long end);

#define CHECK(condition, name) \
    do { \
        errno = 0; \
        int good_ = (condition) ? 1 : 0; \
        check(good_, name, "%s (errno: %s)", #condition, strerror(errno)); \
    } while (0)

#define EQUAL(value, expected, name) \
    do { \
        errno = 0; \
        long long value_ = (value), expected_ = (expected); \
        check(value_ == expected_, name, "%s is %lld, not %lld (errno: %s)", #value, value_, expected_, strerror(errno)); \
    } while (0)

/* The call gives -1 and this errno. */
#define FAILS(call, error, name) \
    do { \
        errno = 0; \
        long long value_ = (call); \
        int errno_ = errno; \
        check(value_ == -1 && errno_ == (error), name, "%s gave %lld (%s), not %s", #call, value_, strerror(errno_), \
              strerror(error)); \
    } while (0)

/* What the checks stand on: a value below 0 ends the program. Gives the value. */
#define MUST(call) \
    ({ \
        __typeof__(call) must_ = (call); \
        if (must_ < 0) \
            check_broken(#call, __FILE__, __LINE__); \
        must_; \
    })

/* True as soon as the condition holds, false after ten seconds without. */
#define EVENTUALLY(condition) \
    ({ \
        long long end_ = now_ms() + 10000; \
        int holds_; \
        while (!(holds_ = (condition) ? 1 : 0) && again_until(end_)) \
            ; \
        holds_; \
    })

#endif
