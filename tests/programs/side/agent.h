/*
 * The agent: a process at the far end of the network that makes and uses sockets as it is told, so that one program
 * holds both ends of what it checks. Orders and answers are structures on a stream, one answer for each order.
 */
#ifndef AGENT_H
#define AGENT_H

#include "address.h"

/* Where an agent in a process of its own listens for orders. */
#define AGENT_PORT 7007

enum order_kind {
    LISTEN,    /* on `address`, backlog `value`: gives descriptor and own address */
    ACCEPT,    /* from fd: gives descriptor and the peer's address */
    CONNECT,   /* to `address`: gives descriptor and own address */
    SEND,      /* count bytes of the pattern from offset */
    RECEIVE,   /* count bytes of the pattern from offset, or up to the end: gives how many were right */
    EXCHANGE,  /* count bytes both ways at once: gives how many were right */
    TRADE,     /* the same in calls of all sizes, drawn from `value`; what is sent is the pattern from offset on */
    ECHO,      /* gives back what comes, up to the end of the stream: gives how many came */
    CROWD,     /* accepts `count` connections from fd as they come, and gives back to each what it sends: gives how many bytes came */
    SAY,       /* sends `text` */
    HEAR,      /* receives up to a line's end or the end: gives `text` */
    SHUTDOWN,  /* fd, `value` as for shutdown(2) */
    SET,       /* an int option */
    CLOSE,     /* fd */
    RESET,     /* closes fd with linger time 0 */
    DATAGRAM,  /* a datagram socket on `address`: gives descriptor and own address */
    SENDTO,    /* one datagram of count bytes from offset, to `address` */
    RECVFROM,  /* one datagram: gives its length (-1 when its bytes are not the pattern's), origin, TTL and TOS */
};

/* The agent names its descriptors by their own numbers. */
struct order {
    int kind, fd;
    int level, option, value;
    long long count, offset;
    union address address;
    char text[64];
};

struct answer {
    long long value;
    int error;    /* errno when value is negative, or when RECEIVE came to an end by it; else 0 */
    int ttl, tos; /* of the datagram received */
    union address address;
    char text[64];
};

/* Obeys until the control stream ends. */
void agent_serve(int control);

/* The whole of `len` bytes; 0 when the stream has ended before. */
int read_whole(int fd, void *to, unsigned len);
int write_whole(int fd, const void *from, unsigned len);

#endif
