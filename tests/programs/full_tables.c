/* `full_tables`: on `io-pkt-v6`, whose tables hold 1,024 of a kind; fills each, looks at what the next one gets, and empties it. */
#include "side/address.h"
#include "side/check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/icmp6.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ROOM = 1024 };

static int fds[ROOM + 100];

static void close_all(int n)
{
    for (int i = 0; i < n; i++)
        close(fds[i]);
}

static int has_room(int domain, int type, int protocol)
{
    int fd = socket(domain, type, protocol);
    return fd >= 0 && close(fd) == 0;
}

static void sockets_of(const char *name, int domain, int type, int protocol)
{
    check_group(name);
    for (int round = 0; round < 3; round++) {
        int n = 0;
        while (n < ROOM + 50 && (fds[n] = socket(domain, type, protocol)) >= 0)
            n++;
        int error = errno;
        check(n > ROOM * 3 / 4 && n <= ROOM, "the table has its size", "%d sockets", n);
        EQUAL(error, ENFILE, "one more is ENFILE");
        close(fds[--n]);
        CHECK(EVENTUALLY(has_room(domain, type, protocol)), "the place of one that was closed is free");
        close_all(n);
    }
    CHECK(EVENTUALLY(has_room(domain, type, protocol)), "all is free again");
}

/* Each ends in TIME_WAIT, on either side. */
static void connections_that_come_and_go(void)
{
    check_group("connections that come and go");
    union address own = address("127.0.0.1", 0);
    int listener = MUST(socket(AF_INET, SOCK_STREAM, 0)), made = 0;
    MUST(bind(listener, &own.any, address_len(&own)));
    MUST(listen(listener, 10));
    own = name_of(listener);
    for (int i = 0; i < ROOM * 3 / 2; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int ok = fd >= 0 && connect(fd, &own.any, address_len(&own)) == 0;
        int other = ok ? accept(listener, NULL, NULL) : -1;
        made += ok && other >= 0;
        close(i % 2 ? fd : other);
        close(i % 2 ? other : fd);
        if (!ok)
            break;
    }
    EQUAL(made, ROOM * 3 / 2, "what is over makes room for what comes");
    close(listener);
}

static void connections_that_fail(void)
{
    check_group("connections that fail");
    union address nobody = address("127.0.0.1", 1);
    int refused = 0;
    for (int i = 0; i < ROOM * 3 / 2; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        refused += connect(fd, &nobody.any, address_len(&nobody)) < 0 && errno == ECONNREFUSED;
        close(fd);
    }
    EQUAL(refused, ROOM * 3 / 2, "each is refused");
    CHECK(has_room(AF_INET, SOCK_STREAM, 0), "and leaves nothing that is in the way");
    int n = 0;
    while (n < ROOM && (fds[n] = socket(AF_INET, SOCK_STREAM, 0)) >= 0)
        n++;
    check(n > ROOM * 3 / 4, "most of the table is free", "%d sockets", n);
    close_all(n);
}

/* More than the cache holds, none of which answers. */
static void neighbours(void)
{
    int v4 = MUST(socket(AF_INET, SOCK_DGRAM, 0)), v6 = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
    for (int i = 2; i < 2000; i++) {
        char text[64];
        union address a;
        if (i < 250 && i != 100) {
            snprintf(text, sizeof(text), "192.168.1.%d", i);
            a = address(text, 9);
            sendto(v4, "x", 1, MSG_DONTWAIT, &a.any, address_len(&a));
        }
        snprintf(text, sizeof(text), "2001:db8:1::%x", i + 0x1000);
        a = address(text, 9);
        sendto(v6, "x", 1, MSG_DONTWAIT, &a.any, address_len(&a));
    }
    close(v4);
    close(v6);
}

int main(void)
{
    struct rlimit limit;
    check_deadline(100);
    MUST(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = limit.rlim_max;
    MUST(setrlimit(RLIMIT_NOFILE, &limit));
    sockets_of("stream", AF_INET, SOCK_STREAM, 0);
    sockets_of("stream6", AF_INET6, SOCK_STREAM, 0);
    sockets_of("datagram", AF_INET, SOCK_DGRAM, 0);
    sockets_of("raw", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
    connections_that_come_and_go();
    connections_that_fail();
    neighbours();
    return check_result();
}
