/* Many connections: at once, each with bytes under way, and one after the other, which leaves nothing behind. */
#include "side/far.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define AT_ONCE 300
#define EACH 100000
#define CYCLES 10000
/* A cycle's bytes: at most this many. */
#define LENGTH 4000
/* What may be mapped more after the cycles than before: the C library's own. */
#define SLACK 8

static unsigned char bytes[PIECE];

static int lines_of(const char *path)
{
    int lines = 0, c;
    FILE *file = fopen(path, "re");
    while (file && (c = fgetc(file)) != EOF)
        lines += c == '\n';
    if (file)
        fclose(file);
    return lines;
}

static int descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count;
}

/* A connection to the far end's crowd. */
static int one_more(const union address *at)
{
    int fd = MUST(socket(side.family, SOCK_STREAM, 0));
    MUST(connect(fd, &at->any, address_len(at)));
    return fd;
}

/* Each connection's bytes begin at another place of the pattern. */
static long long first_of(int i)
{
    return i * 1000003LL;
}

struct one {
    long long sent, received;
};

/* Moves what can be moved; true when it went well. */
static int moved(int i, int fd, struct one *one, int events)
{
    size_t out = EACH - one->sent;
    ssize_t n;
    if (events & POLLIN) {
        n = recv(fd, bytes, PIECE, 0);
        if (n <= 0 || !pattern_holds(bytes, n, first_of(i) + one->received))
            return 0;
        one->received += n;
    }
    if (events & POLLOUT && out > 0) {
        out = out < 30000 ? out : 30000;
        pattern_fill(bytes, out, first_of(i) + one->sent);
        n = send(fd, bytes, out, MSG_NOSIGNAL);
        if (n <= 0)
            return 0;
        one->sent += n;
    }
    return 1;
}

static void at_once(void)
{
    static struct pollfd p[AT_ONCE];
    static struct one all[AT_ONCE];
    union address at;
    int listener = MUST(far_listen(AT_ONCE, &at)), wrong = 0, done = 0;
    check_group("three hundred at once");
    far_tell((struct order){ .kind = CROWD, .fd = listener, .count = AT_ONCE });
    for (int i = 0; i < AT_ONCE; i++) {
        p[i] = (struct pollfd){ .fd = one_more(&at), .events = POLLIN | POLLOUT };
        MUST(fcntl(p[i].fd, F_SETFL, O_NONBLOCK));
    }
    while (done < AT_ONCE && !wrong && MUST(poll(p, AT_ONCE, 10000)) > 0)
        for (int i = 0; i < AT_ONCE; i++) {
            if (p[i].fd < 0 || !p[i].revents)
                continue;
            wrong += !moved(i, p[i].fd, &all[i], p[i].revents);
            p[i].events = POLLIN | (all[i].sent < EACH ? POLLOUT : 0);
            if (all[i].received == EACH) {
                close(p[i].fd);
                p[i].fd = -1;
                done++;
            }
        }
    EQUAL(done, AT_ONCE, "each gets back what it has sent");
    for (int i = 0; i < AT_ONCE; i++)
        if (p[i].fd >= 0)
            close(p[i].fd);
    EQUAL(far_answer().value, (long long)AT_ONCE * EACH, "all went by the far end");
    far_close(listener);
}

static int cycle(const union address *at, int i)
{
    size_t len = 1 + i * 37 % LENGTH, got = 0;
    int fd = one_more(at);
    pattern_fill(bytes, len, first_of(i));
    if (send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
        return -1;
    while (got < len) {
        ssize_t n = recv(fd, bytes + got, len - got, 0);
        if (n <= 0)
            return -1;
        got += n;
    }
    close(fd);
    return pattern_holds(bytes, len, first_of(i)) ? (int)len : -1;
}

static void one_after_the_other(void)
{
    union address at;
    int listener = MUST(far_listen(16, &at)), good = 0, maps = 0, fds = 0;
    long long sum = 0;
    check_group("ten thousand one after the other");
    far_tell((struct order){ .kind = CROWD, .fd = listener, .count = CYCLES });
    for (int i = 0; i < CYCLES; i++) {
        if (i == CYCLES / 10) {
            maps = lines_of("/proc/self/maps");
            fds = descriptors();
        }
        int len = cycle(&at, i);
        if (len < 0)
            break;
        sum += len;
        good++;
    }
    EQUAL(good, CYCLES, "each gets back what it has sent");
    EQUAL(far_answer().value, sum, "all went by the far end");
    int more = lines_of("/proc/self/maps") - maps;
    check(more <= SLACK, "no more is mapped than before", "%d lines more in /proc/self/maps, which were %d", more, maps);
    EQUAL(descriptors(), fds, "and no more is open");
    far_close(listener);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    at_once();
    one_after_the_other();
    return check_result();
}
