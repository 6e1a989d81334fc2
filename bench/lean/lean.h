/* lean: the smallest programs that load a stack, with ordinary sockets and nothing else, so that the
 * same binary runs on the kernel's stack and, by LD_PRELOAD, on iopkt's.
 *
 * It talks to its harness in lines on stdout:
 *   ready            a server listens
 *   begin            the measured time starts
 *   result k=v ...   the measured time is over (printed at that moment, not at exit)
 */
#ifndef LEAN_H
#define LEAN_H

#include <stddef.h>
#include <stdint.h>

struct options {
    int listens;        /* -l: take connections; otherwise make them */
    const char *addr;   /* -a: the address to connect to */
    int port;           /* -p: the first port */
    int ports;          /* -P: how many ports in a row */
    int count;          /* -n: streams, clients or connections */
    size_t size;        /* -b: bytes in a call or a message */
    double warm;        /* -w: seconds before the measured time */
    double secs;        /* -t: measured seconds */
};

#define MAX_STREAMS 256
#define MAX_PORTS 64

/* Each ends the process with 0, or dies with a reason. */
int bulk_sink(const struct options *o);
int bulk_source(const struct options *o);
int echo_server(const struct options *o);
int echo_client(const struct options *o);
int rate_server(const struct options *o);
int rate_client(const struct options *o);
int udp_send(const struct options *o);
int udp_count(const struct options *o);
int idle(const struct options *o);
int offloads(const char *interface);

/* --- net.c --- */
int tcp_listen(const struct options *o, int nth);
int tcp_connect(const struct options *o, int nth);
/* Fills fds with o->count connections, made or taken; announces `ready` where it listens. */
void connections(const struct options *o, int *fds);
void nodelay(int fd);
void recv_all(int fd, void *to, size_t n);
/* 0 when the peer has closed before the first byte. */
int recv_message(int fd, void *to, size_t n);
void send_all(int fd, const void *from, size_t n);
void raise_nofile(void);

/* --- time.c --- */
uint64_t now_ns(void);
uint64_t cpu_us(void);       /* of this process, user and system */
void pause_for(double secs); /* the measured time itself passes in this */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void die(const char *what) __attribute__((noreturn));

#endif
