/*
 * Many connections that do nothing.
 *
 * `idle serve ADDRESS PORT`: takes all, gives each byte back. `idle connect ADDRESS PORT COUNT`: makes COUNT, says "connected",
 * then does what standard input says: `ask` (a new connection, one byte there and back, the time it took), `close`.
 */
#include "side/address.h"
#include "side/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

static void serve(const union address *own)
{
    struct epoll_event events[256];
    int one = 1, listener = MUST(socket(own->any.sa_family, SOCK_STREAM, 0)), all = MUST(epoll_create1(0));
    MUST(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
    MUST(bind(listener, &own->any, address_len(own)));
    MUST(listen(listener, 4096));
    struct epoll_event event = { .events = EPOLLIN, .data.fd = listener };
    MUST(epoll_ctl(all, EPOLL_CTL_ADD, listener, &event));
    puts("listening");
    fflush(stdout);
    for (;;) {
        int n = MUST(epoll_wait(all, events, 256, -1));
        for (int i = 0; i < n; i++) {
            char byte;
            int fd = events[i].data.fd;
            if (fd == listener) {
                event.data.fd = MUST(accept(listener, NULL, NULL));
                MUST(epoll_ctl(all, EPOLL_CTL_ADD, event.data.fd, &event));
            } else if (read(fd, &byte, 1) != 1 || write(fd, &byte, 1) != 1) {
                close(fd);
            }
        }
    }
}

static int connected(const union address *to)
{
    int fd = MUST(socket(to->any.sa_family, SOCK_STREAM, 0));
    MUST(connect(fd, &to->any, address_len(to)));
    return fd;
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    char word[16], byte = 'x';
    if (argc < 4)
        return 2;
    MUST(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = limit.rlim_max;
    MUST(setrlimit(RLIMIT_NOFILE, &limit));
    union address there = address(argv[2], atoi(argv[3]));
    if (strcmp(argv[1], "serve") == 0)
        serve(&there);
    int count = atoi(argv[4]), *fds = calloc(count, sizeof(*fds));
    for (int i = 0; i < count; i++)
        fds[i] = connected(&there);
    printf("connected %d\n", count);
    fflush(stdout);
    while (scanf("%15s", word) == 1) {
        if (strcmp(word, "close") == 0) {
            while (count > 0)
                close(fds[--count]);
            puts("closed");
        } else {
            long long begin = now_ms();
            int fd = connected(&there);
            MUST(write(fd, &byte, 1));
            MUST(read(fd, &byte, 1));
            close(fd);
            printf("answered in %lld ms\n", now_ms() - begin);
        }
        fflush(stdout);
    }
    return 0;
}
