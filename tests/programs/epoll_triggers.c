/* epoll on one socket: level, edge, once, nested, and changes of what is watched. */
#include "side/far.h"
#include "side/watch.h"

#include <fcntl.h>
#include <unistd.h>

static char bytes[4096];

#define SOON 10000

static void level(struct connection c)
{
    int e = watch_new();
    check_group("level");
    EQUAL(watch_add(e, c.here, EPOLLIN), 0, "added");
    FAILS(watch_add(e, c.here, EPOLLIN), EEXIST, "added twice");
    EQUAL(watch_sees(e, c.here, 0), 0, "nothing yet");
    far_send(c.there, 10, 0);
    EQUAL(watch_sees(e, c.here, SOON), EPOLLIN, "bytes");
    EQUAL(watch_sees(e, c.here, 0), EPOLLIN, "still bytes");
    CHECK(arrived(c.here, 10), "all are there");
    EQUAL(read(c.here, bytes, 4), 4, "read a part");
    EQUAL(watch_sees(e, c.here, 0), EPOLLIN, "bytes are left");
    EQUAL(read(c.here, bytes, 100), 6, "read the rest");
    EQUAL(watch_sees(e, c.here, 0), 0, "nothing again");
    EQUAL(watch_change(e, c.here, EPOLLIN | EPOLLOUT), 0, "changed");
    EQUAL(watch_sees(e, c.here, 0), EPOLLOUT, "can be written");
    EQUAL(watch_remove(e, c.here), 0, "removed");
    FAILS(watch_remove(e, c.here), ENOENT, "removed twice");
    EQUAL(watch_sees(e, c.here, 0), 0, "sees nothing when removed");
    close(e);
    finish(c);
}

static void edge(struct connection c)
{
    int e = watch_new();
    check_group("edge");
    MUST(fcntl(c.here, F_SETFL, O_NONBLOCK));
    MUST(watch_add(e, c.here, EPOLLIN | EPOLLET));
    EQUAL(watch_sees(e, c.here, 0), 0, "nothing yet");
    far_send(c.there, 10, 0);
    EQUAL(watch_sees(e, c.here, SOON), EPOLLIN, "bytes");
    CHECK(arrived(c.here, 10), "all are there");
    EQUAL(watch_sees(e, c.here, 0), 0, "told once");
    far_send(c.there, 10, 10);
    EQUAL(watch_sees(e, c.here, SOON), EPOLLIN, "more bytes on unread ones");
    CHECK(arrived(c.here, 20), "all of these too");
    EQUAL(watch_sees(e, c.here, 0), 0, "told once again");
    EQUAL(read(c.here, bytes, 5), 5, "read a part");
    EQUAL(watch_sees(e, c.here, 0), 0, "reading a part is no edge");
    EQUAL(pattern_receive(c.here, 15, 5), 15, "read the rest");
    FAILS(read(c.here, bytes, 1), EAGAIN, "until EAGAIN");
    far_send(c.there, 10, 0);
    EQUAL(watch_sees(e, c.here, SOON), EPOLLIN, "bytes after all was read");
    MUST(watch_change(e, c.here, EPOLLIN | EPOLLET));
    EQUAL(watch_sees(e, c.here, 0), EPOLLIN, "a change tells again what is there");
    close(e);
    e = watch_new();
    MUST(watch_add(e, c.here, EPOLLIN | EPOLLOUT | EPOLLET));
    EQUAL(watch_sees(e, c.here, 0), EPOLLIN | EPOLLOUT, "a new watcher is told what is there");
    EQUAL(watch_sees(e, c.here, 0), 0, "once");
    close(e);
    finish(c);
}

/* The writer's edge: full, then room. */
static void edge_of_room(struct connection c)
{
    int e = watch_new();
    long long sent;
    check_group("edge, out");
    MUST(fcntl(c.here, F_SETFL, O_NONBLOCK));
    MUST(watch_add(e, c.here, EPOLLOUT | EPOLLET));
    EQUAL(watch_sees(e, c.here, 0), EPOLLOUT, "room at first");
    EQUAL(watch_sees(e, c.here, 0), 0, "told once");
    sent = fill_up(c.here);
    watch_sees(e, c.here, 0);
    far_tell((struct order){ .kind = RECEIVE, .fd = c.there, .count = sent });
    EQUAL(watch_sees(e, c.here, SOON), EPOLLOUT, "room again");
    EQUAL(far_answer().value, sent, "all arrives");
    close(e);
    finish(c);
}

static void once(struct connection c)
{
    int e = watch_new();
    check_group("one-shot");
    MUST(watch_add(e, c.here, EPOLLIN | EPOLLONESHOT));
    far_send(c.there, 10, 0);
    EQUAL(watch_sees(e, c.here, SOON), EPOLLIN, "bytes");
    CHECK(arrived(c.here, 10), "all are there");
    EQUAL(watch_sees(e, c.here, 0), 0, "told once");
    far_send(c.there, 10, 10);
    CHECK(arrived(c.here, 20), "more are there");
    EQUAL(watch_sees(e, c.here, 0), 0, "not told of more");
    MUST(watch_change(e, c.here, EPOLLIN | EPOLLONESHOT));
    EQUAL(watch_sees(e, c.here, 0), EPOLLIN, "armed again: told");
    EQUAL(watch_sees(e, c.here, 0), 0, "once again");
    EQUAL(pattern_receive(c.here, 20, 0), 20, "all is read");
    MUST(watch_change(e, c.here, EPOLLIN | EPOLLONESHOT));
    EQUAL(watch_sees(e, c.here, 0), 0, "armed with nothing there");
    far_send(c.there, 10, 0);
    EQUAL(watch_sees(e, c.here, SOON), EPOLLIN, "bytes come");
    MUST(watch_change(e, c.here, EPOLLIN | EPOLLET | EPOLLONESHOT));
    EQUAL(watch_sees(e, c.here, 0), EPOLLIN, "edge and one-shot together");
    EQUAL(watch_sees(e, c.here, 0), 0, "once as well");
    close(e);
    finish(c);
}

static void nested(struct connection c)
{
    int inner = watch_new(), outer = watch_new();
    check_group("nested");
    MUST(watch_add(inner, c.here, EPOLLIN));
    MUST(watch_add(outer, inner, EPOLLIN));
    EQUAL(watch_sees(outer, inner, 0), 0, "nothing yet");
    far_send(c.there, 10, 0);
    EQUAL(watch_sees(outer, inner, SOON), EPOLLIN, "the inner one is ready");
    EQUAL(polled(inner, POLLIN, 0), POLLIN, "as poll sees it");
    EQUAL(watch_sees(inner, c.here, 0), EPOLLIN, "and tells of the socket");
    EQUAL(pattern_receive(c.here, 10, 0), 10, "all is read");
    EQUAL(watch_sees(outer, inner, 0), 0, "nothing again");
    close(inner);
    close(outer);
    finish(c);
}

static void several_watchers(struct connection c)
{
    int one = watch_new(), two = watch_new(), copy = MUST(dup(c.here));
    check_group("several");
    MUST(watch_add(one, c.here, EPOLLIN | EPOLLET));
    MUST(watch_add(two, c.here, EPOLLIN | EPOLLET));
    EQUAL(watch_add(one, copy, EPOLLOUT), 0, "a copy is another entry");
    far_send(c.there, 10, 0);
    EQUAL(watch_sees(two, c.here, SOON), EPOLLIN, "one is told");
    struct epoll_event events[4];
    EQUAL(epoll_wait(one, events, 4, SOON), 2, "the other too, of both entries");
    close(copy);
    EQUAL(watch_sees(one, copy, 0), EPOLLOUT, "a closed copy's entry stays until the last copy is closed");
    close(c.here);
    EQUAL(epoll_wait(one, events, 4, 0), 0, "closed: nothing is left");
    EQUAL(epoll_wait(two, events, 4, 0), 0, "closed: nor in the other");
    far_close(c.there);
    close(one);
    close(two);
}

static void exclusive(void)
{
    int listener = own_listener(3), one = watch_new(), two = watch_new();
    union address at = name_of(listener);
    check_group("EPOLLEXCLUSIVE");
    EQUAL(watch_add(one, listener, EPOLLIN | EPOLLEXCLUSIVE), 0, "added");
    EQUAL(watch_add(two, listener, EPOLLIN | EPOLLEXCLUSIVE), 0, "added to another");
    FAILS(watch_change(one, listener, EPOLLIN), EINVAL, "cannot be changed");
    int there = MUST(far_connect(&at));
    CHECK(EVENTUALLY(watch_sees(one, listener, 0) == EPOLLIN || watch_sees(two, listener, 0) == EPOLLIN), "at least one is told");
    int here = MUST(accept(listener, NULL, NULL));
    EQUAL(watch_sees(one, listener, 0), 0, "accepted: nothing more");
    EQUAL(watch_sees(two, listener, 0), 0, "accepted: nor for the other");
    finish((struct connection){ here, there });
    close(one);
    close(two);
    close(listener);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    level(active());
    edge(passive());
    edge(active());
    edge_of_room(with_small_buffers(active()));
    once(active());
    nested(passive());
    several_watchers(active());
    exclusive();
    return check_result();
}
