/*
 * Sockets passed to another process with SCM_RIGHTS. The other process is forked before any socket is made, so that what it
 * has came through the pair.
 */
#include "side/far.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 3

static int send_descriptors(int pair, char what, const int *fds, int count)
{
    char control[CMSG_SPACE(MOST * sizeof(int))] __attribute__((aligned(8)));
    struct iovec part = { &what, 1 };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                        .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
    memset(control, 0, sizeof(control));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    return sendmsg(pair, &m, 0);
}

static char receive_descriptors(int pair, int *fds, int *count)
{
    char control[CMSG_SPACE(MOST * sizeof(int))] __attribute__((aligned(8))), what = 0;
    struct iovec part = { &what, 1 };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
    *count = 0;
    if (recvmsg(pair, &m, MSG_CMSG_CLOEXEC) != 1)
        return 0;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        *count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(c), *count * sizeof(int));
    }
    return what;
}

static int use_stream(int fd)
{
    return pattern_send(fd, 100, 0) == 100 && pattern_receive(fd, 100, 0) == 100;
}

static int use_listener(int fd)
{
    int accepted = accept(fd, NULL, NULL);
    int good = accepted >= 0 && use_stream(accepted);
    close(accepted);
    return good;
}

static int use_datagram(int fd)
{
    unsigned char bytes[100];
    union address from;
    socklen_t len = sizeof(from);
    ssize_t n = recvfrom(fd, bytes, sizeof(bytes), 0, &from.any, &len);
    return n == 40 && sendto(fd, bytes, n, 0, &from.any, len) == 40;
}

/* The other process: one byte back for each message, 'y' when all went well with its descriptors. */
static void receiver(int pair)
{
    int fds[MOST], count;
    char what, good;
    while ((what = receive_descriptors(pair, fds, &count)) != 0) {
        good = count > 0;
        for (int i = 0; i < count; i++)
            good = good && (fcntl(fds[i], F_GETFD) & FD_CLOEXEC) &&
                   (what == 's' ? use_stream : what == 'l' ? use_listener : use_datagram)(fds[i]);
        for (int i = 0; i < count; i++)
            close(fds[i]);
        if (write(pair, good ? "y" : "n", 1) != 1)
            break;
    }
    _exit(0);
}

static int went_well(int pair)
{
    char answer = 0;
    return read(pair, &answer, 1) == 1 && answer == 'y';
}

static int far_half(int there)
{
    return far_receive(there, 100, 0) == 100 && far_send(there, 100, 0) == 100;
}

static void a_stream(const char *group, int pair, struct connection c)
{
    check_group(group);
    MUST(send_descriptors(pair, 's', &c.here, 1));
    CHECK(far_half(c.there), "serves the far end");
    CHECK(went_well(pair), "works in the other process");
    EQUAL(pattern_send(c.here, 100, 0), 100, "the sender still sends");
    EQUAL(far_receive(c.there, 100, 0), 100, "it arrives");
    MUST(send_descriptors(pair, 's', &c.here, 1));
    close(c.here);
    CHECK(far_half(c.there), "serves the far end when the sender has closed");
    CHECK(went_well(pair), "works alone in the other process");
    CHECK(far_ended(c.there), "the last close is the connection's end");
    far_close(c.there);
}

/* Closed by the sender while it is under way: it lives in the message. */
static void under_way(struct connection c)
{
    int ends[2], got, count;
    check_group("under way");
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
    MUST(send_descriptors(ends[0], 's', &c.here, 1));
    close(c.here);
    far_send(c.there, 100, 0);
    EQUAL(receive_descriptors(ends[1], &got, &count), 's', "comes out");
    EQUAL(count, 1, "with its descriptor");
    EQUAL(pattern_receive(got, 100, 0), 100, "receives what came meanwhile");
    EQUAL(pattern_send(got, 100, 0), 100, "sends");
    EQUAL(far_receive(c.there, 100, 0), 100, "it arrives");
    MUST(send_descriptors(ends[0], 's', &got, 1));
    close(got);
    close(ends[0]);
    close(ends[1]);
    CHECK(far_ended(c.there), "a message thrown away is a close");
    far_close(c.there);
}

static void several(int pair)
{
    struct connection c[MOST] = { active(), passive(), active() };
    int fds[MOST], right = 0;
    check_group("three in one message");
    for (int i = 0; i < MOST; i++)
        fds[i] = c[i].here;
    MUST(send_descriptors(pair, 's', fds, MOST));
    for (int i = 0; i < MOST; i++)
        right += far_half(c[i].there);
    EQUAL(right, MOST, "serve the far end");
    CHECK(went_well(pair), "work in the other process");
    for (int i = 0; i < MOST; i++)
        finish(c[i]);
}

static void a_listener(int pair)
{
    int fd = own_listener(3);
    union address at = name_of(fd);
    check_group("listener");
    MUST(send_descriptors(pair, 'l', &fd, 1));
    int there = MUST(far_connect(&at));
    CHECK(far_half(there), "serves the far end");
    CHECK(went_well(pair), "works in the other process");
    far_close(there);
    there = MUST(far_connect(&at));
    int here = accept(fd, NULL, NULL);
    CHECK(here >= 0 && pattern_send(here, 100, 0) == 100, "the sender still accepts");
    EQUAL(far_receive(there, 100, 0), 100, "and serves");
    finish((struct connection){ here, there });
    close(fd);
    CHECK(far_connect(&at) < 0 && errno == ECONNREFUSED, "closed by both: refused");
}

static void a_datagram_socket(int pair)
{
    int fd = own_datagram();
    union address mine = name_of(fd), at;
    int there = MUST(far_datagram(&at));
    check_group("datagram");
    MUST(send_descriptors(pair, 'd', &fd, 1));
    close(fd);
    far_sendto(there, &mine, 40, 0);
    CHECK(went_well(pair), "works in the other process");
    struct answer a = far((struct order){ .kind = RECVFROM, .fd = there });
    CHECK(a.value == 40 && same_address(&a.address, &mine), "its answer arrives");
    far_close(there);
}

int main(int argc, char **argv)
{
    int pair[2];
    begin(argc, argv);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    if (MUST(fork()) == 0) {
        close(pair[0]);
        close(far_control());
        receiver(pair[1]);
    }
    close(pair[1]);
    a_stream("made", pair[0], active());
    a_stream("accepted", pair[0], passive());
    under_way(active());
    several(pair[0]);
    a_listener(pair[0]);
    a_datagram_socket(pair[0]);
    close(pair[0]);
    wait(NULL);
    return check_result();
}
