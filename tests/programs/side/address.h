/* Internet addresses of either family under one name. */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* Parses a numeric address; the family is seen from the colon. Ends the program on other text. */
union address address(const char *text, unsigned port);

/* The wildcard address of a family. */
union address any_address(int family, unsigned port);

/* ::ffff:a.b.c.d of an IPv4 address; an IPv6 address as it is. */
union address mapped(union address a);

socklen_t address_len(const union address *a);
unsigned port_of(const union address *a);

/* Family, address and port are equal. */
int same_address(const union address *a, const union address *b);

/* Address and port as text, in one of a few static buffers. */
const char *address_text(const union address *a);

/* getsockname(2) and getpeername(2); family 0 when they fail. */
union address name_of(int fd);
union address peer_of(int fd);

#endif
