#include "address.h"
#include "check.h"

#include <arpa/inet.h>
#include <stdio.h>

union address address(const char *text, unsigned port)
{
    union address a;
    memset(&a, 0, sizeof(a));
    if (strchr(text, ':')) {
        a.v6.sin6_family = AF_INET6;
        a.v6.sin6_port = htons(port);
        if (inet_pton(AF_INET6, text, &a.v6.sin6_addr) != 1)
            check_broken(text, __FILE__, __LINE__);
    } else {
        a.v4.sin_family = AF_INET;
        a.v4.sin_port = htons(port);
        if (inet_pton(AF_INET, text, &a.v4.sin_addr) != 1)
            check_broken(text, __FILE__, __LINE__);
    }
    return a;
}

union address any_address(int family, unsigned port)
{
    return address(family == AF_INET6 ? "::" : "0.0.0.0", port);
}

union address mapped(union address a)
{
    char text[64] = "::ffff:";
    if (a.any.sa_family == AF_INET6)
        return a;
    inet_ntop(AF_INET, &a.v4.sin_addr, text + 7, sizeof(text) - 7);
    return address(text, port_of(&a));
}

socklen_t address_len(const union address *a)
{
    return a->any.sa_family == AF_INET6 ? sizeof(a->v6) : sizeof(a->v4);
}

unsigned port_of(const union address *a)
{
    return ntohs(a->any.sa_family == AF_INET6 ? a->v6.sin6_port : a->v4.sin_port);
}

int same_address(const union address *a, const union address *b)
{
    if (a->any.sa_family != b->any.sa_family || port_of(a) != port_of(b))
        return 0;
    if (a->any.sa_family == AF_INET6)
        return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, 16) == 0;
    return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
}

const char *address_text(const union address *a)
{
    static char texts[4][80];
    static unsigned next;
    char *text = texts[next++ % 4], host[64] = "nothing";
    const void *bytes = a->any.sa_family == AF_INET6 ? (const void *)&a->v6.sin6_addr : &a->v4.sin_addr;
    if (a->any.sa_family)
        inet_ntop(a->any.sa_family, bytes, host, sizeof(host));
    snprintf(text, sizeof(texts[0]), "%s port %u", host, port_of(a));
    return text;
}

union address name_of(int fd)
{
    union address a;
    socklen_t len = sizeof(a);
    memset(&a, 0, sizeof(a));
    if (getsockname(fd, &a.any, &len) < 0)
        a.any.sa_family = 0;
    return a;
}

union address peer_of(int fd)
{
    union address a;
    socklen_t len = sizeof(a);
    memset(&a, 0, sizeof(a));
    if (getpeername(fd, &a.any, &len) < 0)
        a.any.sa_family = 0;
    return a;
}
