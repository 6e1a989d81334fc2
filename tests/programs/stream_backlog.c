/* Connections that wait to be accepted. */
#include "side/far.h"

#include <fcntl.h>
#include <unistd.h>

#define CLIENTS 5

static void five_wait(void)
{
    int listener = own_listener(CLIENTS), there[CLIENTS], here[CLIENTS], right = 0, ports = 0;
    union address at = name_of(listener), from[CLIENTS];
    check_group("five clients");
    for (int i = 0; i < CLIENTS; i++) {
        struct answer a = far((struct order){ .kind = CONNECT, .address = at });
        there[i] = MUST(a.value);
        from[i] = a.address;
        MUST(far_send(there[i], 1000, i * 1000));
    }
    for (int i = 0; i < CLIENTS; i++) {
        union address peer;
        socklen_t len = sizeof(peer);
        here[i] = MUST(accept(listener, &peer.any, &len));
        ports += same_address(&peer, &from[i]);
    }
    EQUAL(ports, CLIENTS, "accepted in the order of their coming");
    for (int i = 0; i < CLIENTS; i++)
        right += pattern_receive(here[i], 1000, i * 1000) == 1000;
    EQUAL(right, CLIENTS, "each with what it sent before");
    MUST(fcntl(listener, F_SETFL, O_NONBLOCK));
    FAILS(accept(listener, NULL, NULL), EAGAIN, "no sixth");
    EQUAL(polled(listener, POLLIN, 0), 0, "poll sees no sixth");
    for (int i = 0; i < CLIENTS; i++)
        finish((struct connection){ here[i], there[i] });
    close(listener);
}

static void one_that_ended_before(void)
{
    int listener = own_listener(CLIENTS), there;
    union address at = name_of(listener);
    check_group("ended before accept");
    there = MUST(far_connect(&at));
    far_send(there, 100, 0);
    far_close(there);
    int fd = MUST(accept(listener, NULL, NULL));
    EQUAL(pattern_receive(fd, 200, 0), 100, "what it sent is there, and the end");
    close(fd);
    close(listener);
}

static void listener_goes(void)
{
    int listener = own_listener(CLIENTS), there;
    union address at = name_of(listener);
    check_group("listener closed");
    there = MUST(far_connect(&at));
    EQUAL(polled(listener, POLLIN, 10000), POLLIN, "one waits");
    close(listener);
    EQUAL(far_failure(there), ECONNRESET, "who waits sees a reset");
    far_close(there);
    CHECK(far_connect(&at) < 0 && errno == ECONNREFUSED, "who comes later is refused");
}

static void listener_shut_down(void)
{
    int listener = own_listener(CLIENTS);
    union address at = name_of(listener);
    check_group("listener shut down");
    EQUAL(shutdown(listener, SHUT_RDWR), 0, "shutdown");
    FAILS(accept(listener, NULL, NULL), EINVAL, "accept");
    CHECK(far_connect(&at) < 0 && errno == ECONNREFUSED, "nobody gets in");
    EQUAL(listen(listener, 3), 0, "listens again");
    at = name_of(listener); /* the port was the system's choice: it may be another one now */
    int there = far_connect(&at);
    CHECK(there >= 0, "somebody gets in again");
    finish((struct connection){ accept(listener, NULL, NULL), there });
    close(listener);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    five_wait();
    one_that_ended_before();
    listener_goes();
    listener_shut_down();
    return check_result();
}
