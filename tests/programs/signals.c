/*
 * Signals that come while a call waits. A child sends SIGUSR1 again and again; without SA_RESTART the call ends with EINTR, with it
 * the call goes on, and the fifth signal's handler gives the agent an order that lets the call succeed.
 */
#include "side/far.h"
#include "side/watch.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t caught;
static struct order on_the_fifth;
static volatile sig_atomic_t ordered;

static void handle(int signal)
{
    int error = errno;
    (void)signal;
    if (++caught == 5 && ordered)
        write_whole(far_control(), &on_the_fifth, sizeof(on_the_fifth));
    errno = error;
}

/* Sends a signal every two milliseconds until it is killed. */
static pid_t disturber(void)
{
    pid_t parent = getpid(), child = MUST(fork());
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            poll(NULL, 0, 2);
            kill(parent, SIGUSR1);
        }
    }
    return child;
}

static void quiet(pid_t child)
{
    MUST(kill(child, SIGKILL));
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

static void disturbed(int flags)
{
    struct sigaction action = { .sa_handler = handle, .sa_flags = flags };
    MUST(sigaction(SIGUSR1, &action, NULL));
    caught = 0;
    ordered = 0;
}

/* The value of the call, signals coming meanwhile; errno is the call's. */
#define DISTURBED(call) \
    ({ \
        pid_t child_ = disturber(); \
        errno = 0; \
        long long value_of_ = (call); \
        int errno_of_ = errno; \
        quiet(child_); \
        errno = errno_of_; \
        value_of_; \
    })

static char bytes[4096];

static int full_listener(union address *at, int *inside)
{
    int listener = MUST(far_listen(0, at));
    *inside = MUST(socket(side.family, SOCK_STREAM, 0));
    MUST(connect(*inside, &at->any, address_len(at)));
    return listener;
}

static void without_restart(void)
{
    struct connection c = with_small_buffers(active());
    int listener = own_listener(1), udp = own_datagram(), inside, e = watch_new();
    struct pollfd p = { .fd = c.here, .events = POLLIN };
    union address at;
    MUST(watch_add(e, c.here, EPOLLIN));
    disturbed(0);
    check_group("without SA_RESTART");
    FAILS(DISTURBED(recv(c.here, bytes, 1, 0)), EINTR, "recv");
    FAILS(DISTURBED(read(c.here, bytes, 1)), EINTR, "read");
    FAILS(DISTURBED(recvfrom(udp, bytes, 1, 0, NULL, NULL)), EINTR, "recvfrom of a datagram");
    FAILS(DISTURBED(accept(listener, NULL, NULL)), EINTR, "accept");
    FAILS(DISTURBED(poll(&p, 1, -1)), EINTR, "poll");
    FAILS(DISTURBED(epoll_wait(e, &(struct epoll_event){ 0 }, 1, -1)), EINTR, "epoll_wait");
    int full = full_listener(&at, &inside), fd = MUST(socket(side.family, SOCK_STREAM, 0));
    FAILS(DISTURBED(connect(fd, &at.any, address_len(&at))), EINTR, "connect");
    MUST(far_accept(full));
    EQUAL(polled(fd, POLLOUT, 10000), POLLOUT, "connect goes on by itself");
    EQUAL(pending_error(fd), 0, "and succeeds");
    close(fd);
    close(inside);
    far_close(full);

    far_send(c.there, 10, 0);
    CHECK(arrived(c.here, 10), "ten bytes arrive");
    EQUAL(DISTURBED(recv(c.here, bytes, 100, MSG_WAITALL)), 10, "MSG_WAITALL gives what is there");
    long long sent = fill_up(c.here);
    FAILS(DISTURBED(send(c.here, bytes, 1, 0)), EINTR, "send when full");
    EQUAL(far_receive(c.there, sent, 0), sent, "nothing is lost by it");
    finish(c);
    close(listener);
    close(udp);
    close(e);
}

/* The order given on the fifth signal, and its answer fetched. */
static void then(struct order o)
{
    caught = 0;
    on_the_fifth = o;
    ordered = 1;
}

static struct answer answered(void)
{
    ordered = 0;
    if (caught < 5) /* the call has ended too soon */
        far_tell(on_the_fifth);
    return far_answer();
}

static void with_restart(void)
{
    struct connection c = with_small_buffers(passive());
    int listener = own_listener(1), udp = own_datagram(), inside;
    union address at = name_of(listener), mine = name_of(udp), far_at;
    disturbed(SA_RESTART);
    check_group("with SA_RESTART");

    then((struct order){ .kind = SEND, .fd = c.there, .count = 1 });
    EQUAL(DISTURBED(recv(c.here, bytes, 1, 0)), 1, "recv goes on");
    CHECK(caught >= 5, "recv: signals were handled");
    answered();
    then((struct order){ .kind = SEND, .fd = c.there, .count = 1 });
    EQUAL(DISTURBED(read(c.here, bytes, 1)), 1, "read goes on");
    answered();
    then((struct order){ .kind = CONNECT, .address = at });
    int fd = DISTURBED(accept(listener, NULL, NULL));
    CHECK(fd >= 0, "accept goes on");
    CHECK(caught >= 5, "accept: signals were handled");
    finish((struct connection){ fd, answered().value });

    int there = MUST(far_datagram(&far_at));
    then((struct order){ .kind = SENDTO, .fd = there, .address = mine, .count = 7 });
    EQUAL(DISTURBED(recvfrom(udp, bytes, 10, 0, NULL, NULL)), 7, "recvfrom of a datagram goes on");
    answered();
    far_close(there);

    int full = full_listener(&at, &inside);
    fd = MUST(socket(side.family, SOCK_STREAM, 0));
    then((struct order){ .kind = ACCEPT, .fd = full });
    EQUAL(DISTURBED(connect(fd, &at.any, address_len(&at))), 0, "connect goes on");
    CHECK(caught >= 5, "connect: signals were handled");
    finish((struct connection){ inside, answered().value });
    close(fd);
    far_close(full);

    long long sent = fill_up(c.here);
    then((struct order){ .kind = RECEIVE, .fd = c.there, .count = sent });
    EQUAL(DISTURBED(send(c.here, "", 1, 0)), 1, "send goes on");
    EQUAL(answered().value, sent, "nothing is lost by it");

    struct pollfd p = { .fd = udp, .events = POLLIN };
    FAILS(DISTURBED(poll(&p, 1, -1)), EINTR, "poll does not");
    struct timeval limit = { .tv_sec = 30 };
    MUST(setsockopt(udp, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
    FAILS(DISTURBED(recv(udp, bytes, 1, 0)), EINTR, "recv with SO_RCVTIMEO does not");
    finish(c);
    close(listener);
    close(udp);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    without_restart();
    with_restart();
    return check_result();
}
