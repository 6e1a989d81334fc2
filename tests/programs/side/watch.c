#include "watch.h"
#include "check.h"

int watch_new(void)
{
    return MUST(epoll_create1(EPOLL_CLOEXEC));
}

static int control(int epoll, int what, int fd, uint32_t events)
{
    struct epoll_event e = { .events = events, .data.fd = fd };
    return epoll_ctl(epoll, what, fd, &e);
}

int watch_add(int epoll, int fd, uint32_t events)
{
    return control(epoll, EPOLL_CTL_ADD, fd, events);
}

int watch_change(int epoll, int fd, uint32_t events)
{
    return control(epoll, EPOLL_CTL_MOD, fd, events);
}

int watch_remove(int epoll, int fd)
{
    return control(epoll, EPOLL_CTL_DEL, fd, 0);
}

int watch_sees(int epoll, int fd, int timeout_ms)
{
    struct epoll_event e[4];
    int n = epoll_wait(epoll, e, 4, timeout_ms);
    if (n == 0)
        return 0;
    return n == 1 && e[0].data.fd == fd ? (int)e[0].events : -1;
}
