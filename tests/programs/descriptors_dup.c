/* Descriptors of sockets are descriptors: numbers, copies, flags, and the last close. */
#include "side/far.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int null(void)
{
    return MUST(open("/dev/null", O_RDWR | O_CLOEXEC));
}

static void the_lowest_number(void)
{
    int first = null(), second = null();
    check_group("lowest number");
    close(first);
    int fd = MUST(socket(side.family, SOCK_STREAM, 0));
    EQUAL(fd, first, "socket takes the lowest free one");
    close(second);
    int other = null();
    EQUAL(other, second, "so does open after it");
    close(fd);
    int again = null();
    EQUAL(again, first, "a closed socket's number is free");
    EQUAL(write(again, "x", 1), 1, "and serves what has it now");
    close(again);
    close(other);

    int listener = own_listener(1);
    union address at = name_of(listener);
    int there = MUST(far_connect(&at)), hole = null(), above = null();
    close(hole);
    fd = MUST(accept(listener, NULL, NULL));
    EQUAL(fd, hole, "accept takes the lowest free one");
    close(above);
    close(listener);
    finish((struct connection){ fd, there });
}

/* The copy works, and goes on working when the original is closed. */
static void works(const char *name, int copy, int there)
{
    long long sent = copy < 0 ? -1 : pattern_send(copy, 100, 0);
    check(sent == 100 && far_receive(there, 100, 0) == 100, name, "descriptor %d sent %lld", copy, sent);
}

static void copies(struct connection c)
{
    int spare = null();
    check_group("copies");
    int one = dup(c.here), two = dup2(c.here, spare), three = dup3(c.here, spare + 10, O_CLOEXEC);
    int four = fcntl(c.here, F_DUPFD, 200), five = fcntl(c.here, F_DUPFD_CLOEXEC, 201);
    works("dup", one, c.there);
    works("dup2 over another", two, c.there);
    works("dup3", three, c.there);
    works("F_DUPFD", four, c.there);
    works("F_DUPFD_CLOEXEC", five, c.there);
    CHECK(two == spare && three == spare + 10 && four == 200 && five == 201, "numbers are those asked for");
    EQUAL(fcntl(one, F_GETFD), 0, "dup: no FD_CLOEXEC");
    EQUAL(fcntl(three, F_GETFD), FD_CLOEXEC, "dup3: FD_CLOEXEC");
    EQUAL(fcntl(four, F_GETFD), 0, "F_DUPFD: no FD_CLOEXEC");
    EQUAL(fcntl(five, F_GETFD), FD_CLOEXEC, "F_DUPFD_CLOEXEC: FD_CLOEXEC");
    EQUAL(dup2(one, one), one, "dup2 onto itself");
    FAILS(dup3(one, one, 0), EINVAL, "dup3 onto itself");
    MUST(fcntl(one, F_SETFL, O_NONBLOCK));
    EQUAL(fcntl(five, F_GETFL) & O_NONBLOCK, O_NONBLOCK, "O_NONBLOCK is shared");
    FAILS(recv(five, &spare, 1, 0), EAGAIN, "and has effect");
    MUST(fcntl(one, F_SETFL, 0));
    EQUAL(set_option(two, SOL_SOCKET, SO_KEEPALIVE, 1) == 0 && option(four, SOL_SOCKET, SO_KEEPALIVE) == 1, 1,
          "options are shared");

    close(c.here);
    close(one);
    close(two);
    close(three);
    close(four);
    works("the last copy", five, c.there);
    far_send(c.there, 100, 0);
    EQUAL(pattern_receive(five, 100, 0), 100, "the last copy receives");
    close(five);
    CHECK(far_ended(c.there), "the far end sees the last close");
    far_close(c.there);
}

static void something_else_in_its_place(struct connection c, struct connection other)
{
    int file = null();
    check_group("replaced");
    MUST(dup2(file, c.here));
    CHECK(far_ended(c.there), "by a file: the far end sees the end");
    EQUAL(write(c.here, "x", 1), 1, "the number is the file's");
    FAILS(recv(c.here, &file, 1, 0), ENOTSOCK, "and no socket");
    MUST(dup2(other.here, c.here));
    works("by a socket", c.here, other.there);
    close(other.here);
    works("by a socket, alone", c.here, other.there);
    far_close(c.there);
    finish((struct connection){ c.here, other.there });
    close(file);
}

static void closed_by_range(struct connection c)
{
    int high = MUST(fcntl(c.here, F_DUPFD, 500));
    check_group("close_range");
    close(c.here);
    EQUAL(close_range(500, 500, 0), 0, "closes");
    FAILS(send(high, "x", 1, MSG_NOSIGNAL), EBADF, "is closed");
    CHECK(far_ended(c.there), "the far end sees the end");
    far_close(c.there);
}

static void numbers_above_1023(struct connection c)
{
    struct rlimit limit;
    check_group("above 1023");
    MUST(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = limit.rlim_max;
    MUST(setrlimit(RLIMIT_NOFILE, &limit));
    if (limit.rlim_max < 2048) {
        check(1, "skipped: the hard limit does not allow it", " ");
        finish(c);
        return;
    }
    int high = MUST(fcntl(c.here, F_DUPFD, 1500));
    close(c.here);
    works("sends", high, c.there);
    EQUAL(polled(high, POLLIN | POLLOUT, 0), POLLOUT, "poll");
    far_send(c.there, 10, 0);
    EQUAL(polled(high, POLLIN, 10000), POLLIN, "poll sees bytes");
    EQUAL(pattern_receive(high, 10, 0), 10, "receives");

    union address at;
    int listener = MUST(far_listen(1, &at)), low = MUST(socket(side.family, SOCK_STREAM, 0));
    int fresh = MUST(fcntl(low, F_DUPFD, 1600));
    close(low);
    EQUAL(connect(fresh, &at.any, address_len(&at)), 0, "connects");
    int there = far_accept(listener);
    works("connected, sends", fresh, there);
    finish((struct connection){ fresh, there });
    far_close(listener);
    finish((struct connection){ high, c.there });
}

static void what_it_is(struct connection c)
{
    struct stat status;
    char path[64], target[64] = "";
    check_group("what it is");
    CHECK(fstat(c.here, &status) == 0 && S_ISSOCK(status.st_mode), "fstat: a socket");
    FAILS(lseek(c.here, 0, SEEK_SET), ESPIPE, "lseek");
    EQUAL(isatty(c.here), 0, "isatty");
    FAILS(pread(c.here, target, 1, 0), ESPIPE, "pread");
    FAILS(ftruncate(c.here, 0), EINVAL, "ftruncate");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", c.here);
    CHECK(readlink(path, target, sizeof(target) - 1) > 0 && !strncmp(target, "socket:[", 8), "/proc/self/fd");
    EQUAL(close(c.here), 0, "close");
    FAILS(close(c.here), EBADF, "close twice");
    far_close(c.there);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    the_lowest_number();
    copies(active());
    copies(passive());
    something_else_in_its_place(active(), passive());
    closed_by_range(active());
    numbers_above_1023(active());
    what_it_is(passive());
    return check_result();
}
