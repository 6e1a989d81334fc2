/* Much at once, both ways, in calls of all sizes: every byte arrives once and in order. */
#include "side/far.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define MUCH (8 << 20)

static void by_poll(const char *group, struct connection c, long long count, size_t piece)
{
    check_group(group);
    far_tell((struct order){ .kind = EXCHANGE, .fd = c.there, .count = count });
    EQUAL(pattern_exchange(c.here, count, piece), count, "arrives here");
    EQUAL(far_answer().value, count, "arrives there");
    MUST(shutdown(c.here, SHUT_WR));
    CHECK(far_ended(c.there), "then the end");
    finish(c);
}

static void *sending(void *fd)
{
    return (void *)(long)pattern_send(*(int *)fd, MUCH, 0);
}

static void by_threads(const char *group, struct connection c)
{
    pthread_t sender;
    void *sent;
    check_group(group);
    far_tell((struct order){ .kind = EXCHANGE, .fd = c.there, .count = MUCH });
    if (pthread_create(&sender, NULL, sending, &c.here))
        check_broken("pthread_create", __FILE__, __LINE__);
    EQUAL(pattern_receive(c.here, MUCH, 0), MUCH, "arrives here");
    pthread_join(sender, &sent);
    EQUAL((long)sent, MUCH, "all was sent");
    EQUAL(far_answer().value, MUCH, "arrives there");
    finish(c);
}

static struct connection with_tiny_buffers(struct connection c)
{
    MUST(set_option(c.here, SOL_SOCKET, SO_SNDBUF, 4096));
    MUST(set_option(c.here, SOL_SOCKET, SO_RCVBUF, 4096));
    return c;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    by_poll("made, poll", active(), MUCH, PIECE);
    by_poll("accepted, poll", passive(), MUCH, PIECE);
    by_poll("small pieces", active(), 1 << 20, 97);
    by_poll("small buffers", with_tiny_buffers(active()), 1 << 18, 3000);
    by_threads("made, two threads", active());
    by_threads("accepted, two threads", passive());
    return check_result();
}
