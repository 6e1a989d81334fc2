/* One socket in two processes: both use it, it lives as long as either holds it. */
#include "side/far.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child's exit status, 0 for good. */
static int status_of(pid_t child)
{
    int status = -1;
    MUST(waitpid(child, &status, 0));
    return status;
}

static void in_turn(const char *group, struct connection c)
{
    pid_t child = MUST(fork());
    if (child == 0)
        _exit(pattern_send(c.here, 100, 0) != 100 || pattern_receive(c.here, 50, 0) != 50);
    check_group(group);
    far_send(c.there, 100, 0);
    EQUAL(status_of(child), 0, "the child sends and receives");
    EQUAL(pattern_send(c.here, 100, 100), 100, "the parent sends after it");
    EQUAL(far_receive(c.there, 200, 0), 200, "both arrive in order");
    EQUAL(pattern_receive(c.here, 50, 50), 50, "the parent receives the rest");
    FAILS(recv(c.here, &child, 1, MSG_DONTWAIT), EAGAIN, "the child's end was not the connection's");
    finish(c);
}

/* A child that waits for the pipe's end before it goes on. */
static void the_child_outlives(struct connection c)
{
    int go[2];
    char byte;
    check_group("parent closes");
    MUST(pipe(go));
    pid_t child = MUST(fork());
    if (child == 0) {
        close(go[1]);
        if (read(go[0], &byte, 1) != 0)
            _exit(9);
        _exit(pattern_send(c.here, 100, 0) != 100 || pattern_receive(c.here, 100, 0) != 100);
    }
    close(go[0]);
    close(c.here);
    close(go[1]);
    EQUAL(far_receive(c.there, 100, 0), 100, "the child still sends");
    far_send(c.there, 100, 0);
    EQUAL(status_of(child), 0, "and receives");
    CHECK(far_ended(c.there), "its end is the connection's");
    far_close(c.there);
}

static void shut_by_one(struct connection c)
{
    check_group("child shuts down");
    pid_t child = MUST(fork());
    if (child == 0)
        _exit(shutdown(c.here, SHUT_WR) != 0);
    EQUAL(status_of(child), 0, "shutdown");
    CHECK(far_ended(c.there), "the far end sees the end");
    FAILS(send(c.here, "x", 1, MSG_NOSIGNAL), EPIPE, "the parent cannot send either");
    far_send(c.there, 10, 0);
    EQUAL(pattern_receive(c.here, 10, 0), 10, "but receive");
    finish(c);
}

static void killed_while_it_waits(struct connection c)
{
    int ready[2];
    char byte;
    check_group("child killed");
    MUST(pipe(ready));
    pid_t child = MUST(fork());
    if (child == 0) {
        if (write(ready[1], "", 1) != 1)
            _exit(9);
        recv(c.here, &byte, 1, 0);
        _exit(8);
    }
    MUST(read(ready[0], &byte, 1));
    MUST(kill(child, SIGKILL));
    EQUAL(status_of(child), SIGKILL, "it dies");
    far_send(c.there, 100, 0);
    EQUAL(pattern_receive(c.here, 100, 0), 100, "the parent receives all");
    EQUAL(pattern_send(c.here, 100, 0), 100, "and sends");
    EQUAL(far_receive(c.there, 100, 0), 100, "it arrives");
    finish(c);
    close(ready[0]);
    close(ready[1]);
}

/* The last holder is killed: the far end sees the connection end. */
static void killed_alone(struct connection c)
{
    int ready[2];
    char byte;
    check_group("last holder killed");
    MUST(pipe(ready));
    pid_t child = MUST(fork());
    if (child == 0) {
        if (write(ready[1], "", 1) != 1)
            _exit(9);
        pause();
    }
    MUST(read(ready[0], &byte, 1));
    close(c.here);
    MUST(kill(child, SIGKILL));
    CHECK(far_ended(c.there), "the far end sees the end");
    status_of(child);
    far_close(c.there);
    close(ready[0]);
    close(ready[1]);
}

#define WORKERS 2
#define CLIENTS 12

/* Serves for ever: one byte into `served` and 100 bytes to each client. */
static void work(int listener, int served, int waits_with_poll)
{
    for (;;) {
        if (waits_with_poll && poll(&(struct pollfd){ .fd = listener, .events = POLLIN }, 1, -1) < 0)
            _exit(9);
        int fd = accept(listener, NULL, NULL);
        if (fd < 0 && errno == EAGAIN)
            continue;
        if (fd < 0 || pattern_send(fd, 100, 0) != 100 || write(served, "", 1) != 1)
            _exit(8);
        close(fd);
    }
}

static void workers(const char *group, int waits_with_poll)
{
    int served[2], listener = own_listener(CLIENTS), right = 0, accepted = 0, alive = 0;
    union address at = name_of(listener);
    pid_t worker[WORKERS];
    char byte;
    check_group(group);
    MUST(pipe(served));
    if (waits_with_poll)
        MUST(fcntl(listener, F_SETFL, O_NONBLOCK));
    for (int i = 0; i < WORKERS; i++)
        if ((worker[i] = MUST(fork())) == 0)
            work(listener, served[1], waits_with_poll);
    close(listener);
    for (int i = 0; i < CLIENTS; i++) {
        int there = MUST(far_connect(&at));
        right += far_receive(there, 200, 0) == 100;
        accepted += read(served[0], &byte, 1) == 1;
        far_close(there);
    }
    EQUAL(right, CLIENTS, "each client is served");
    EQUAL(accepted, CLIENTS, "by one worker");
    for (int i = 0; i < WORKERS; i++)
        alive += waitpid(worker[i], NULL, WNOHANG) == 0;
    EQUAL(alive, WORKERS, "the workers go on");

    MUST(kill(worker[0], SIGKILL));
    status_of(worker[0]);
    int there = far_connect(&at);
    EQUAL(far_receive(there, 200, 0), 100, "one dies, the other serves");
    far_close(there);
    MUST(kill(worker[1], SIGKILL));
    status_of(worker[1]);
    CHECK(far_connect(&at) < 0 && errno == ECONNREFUSED, "both are dead: refused");
    close(served[0]);
    close(served[1]);
}

static void datagrams(void)
{
    int fd = own_datagram(), status;
    union address at, mine = name_of(fd);
    int there = MUST(far_datagram(&at));
    unsigned char bytes[100];
    check_group("datagrams");
    far_sendto(there, &mine, 40, 0);
    pid_t child = MUST(fork());
    if (child == 0)
        _exit(recv(fd, bytes, sizeof(bytes), 0) != 40 || sendto(fd, bytes, 40, 0, &at.any, address_len(&at)) != 40);
    status = status_of(child);
    EQUAL(status, 0, "the child receives and sends");
    EQUAL(far((struct order){ .kind = RECVFROM, .fd = there }).value, 40, "it arrives");
    far_sendto(there, &mine, 41, 0);
    EQUAL(recv(fd, bytes, sizeof(bytes), 0), 41, "the parent receives after it");
    close(fd);
    far_close(there);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    in_turn("made, in turn", active());
    in_turn("accepted, in turn", passive());
    the_child_outlives(active());
    the_child_outlives(passive());
    shut_by_one(active());
    killed_while_it_waits(active());
    killed_alone(passive());
    workers("two workers, accept", 0);
    workers("two workers, poll", 1);
    datagrams();
    return check_result();
}
