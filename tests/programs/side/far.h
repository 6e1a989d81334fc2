/*
 * The two sides of a program: our own sockets, and those of the agent at the far end.
 *
 * Every program is called as `PROGRAM 4|6 OWN [FAR]`. Without FAR the agent is a child of the program and both sides
 * live at OWN (127.0.0.1, ::1); with FAR the agent is the program `agent` that runs there.
 */
#ifndef FAR_H
#define FAR_H

#include "address.h"
#include "agent.h"
#include "check.h"
#include "pattern.h"

#include <poll.h>

extern struct side {
    int family;
    const char *own, *far;
    int alone; /* both sides at the same address */
} side;

/* Reads the arguments and finds or makes the agent. */
void begin(int argc, char **argv);

/* One order, and its answer. */
struct answer far(struct order o);
/* The two halves apart: the order is given now, the answer is waited for later. */
void far_tell(struct order o);
struct answer far_answer(void);
/* The control descriptor, for a signal handler that gives an order by write(2). */
int far_control(void);

/* Orders by name. Values below 0 are the agent's failure, with errno set from it. */
int far_listen(int backlog, union address *at);
int far_accept(int listener);
int far_connect(const union address *to);
long long far_send(int fd, long long count, long long offset);
long long far_receive(int fd, long long count, long long offset);
/* True when the far end has read the end of the stream and nothing before it. */
int far_ended(int fd);
/* The errno that the far end's next receive fails with; 0 when it does not fail. */
int far_failure(int fd);
int far_shutdown(int fd, int how);
int far_set(int fd, int level, int option, int value);
int far_close(int fd);
/* Closes it with linger time 0: a reset. */
int far_reset(int fd);
int far_datagram(union address *at);
long long far_sendto(int fd, const union address *to, long long count, long long offset);

/* A connection: our descriptor, and the agent's number for the other end. */
struct connection {
    int here, there;
};

/* We connect to the agent. */
struct connection active(void);
/* The agent connects to us. */
struct connection passive(void);

/* Makes the way there hold little, so that it is soon full. */
struct connection with_small_buffers(struct connection c);

/* Sockets of ours at OWN, port chosen by the system. */
int own_socket(int type);
int own_listener(int backlog);
int own_datagram(void);

/* Ends both sides of a connection. */
void finish(struct connection c);

/* Waits until so many bytes can be read from our end; false when they do not come. */
int arrived(int fd, int count);
/* poll(2) of one descriptor: what happened within the time (-1: for ever). */
int polled(int fd, int events, int timeout_ms);
/* Reads an int option; -1 on failure. */
int option(int fd, int level, int name);
/* Sets an int option. */
int set_option(int fd, int level, int name, int value);
/*
 * Sends the pattern from its beginning until not a byte more goes in, and what is under way has found its place too. Gives how
 * much went.
 */
long long fill_up(int fd);
/* The same until there is no room for the moment: what is under way may make some more. */
long long fill_for_now(int fd);
/* SO_ERROR, read and thereby cleared. */
int pending_error(int fd);

#endif
