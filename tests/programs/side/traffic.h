/*
 * A connection in the middle of its traffic: the agent sends and receives so many bytes at once, and here processes and threads take
 * turns at both ways, so that something can be done to the socket at any point of the stream and every byte is still looked at.
 *
 * The state lies in memory that children share. What goes is the pattern from 0 on, what comes is the pattern from FROM_THERE on, so
 * that a byte which comes back on the wrong way is seen too.
 */
#ifndef TRAFFIC_H
#define TRAFFIC_H

#include "far.h"

#include <pthread.h>

#define FROM_THERE 777777777LL

/* One way. `done` is what went well; once there is an `error` nothing moves any more (EILSEQ: wrong bytes, EPIPE: it ended). */
struct lane {
    pthread_mutex_t turn;
    long long done;
    int error;
    unsigned state;
};

struct traffic {
    struct connection c;
    long long count;
    struct lane out, in;
    unsigned long threads[2];
};

/* Memory for one, shared with children. */
struct traffic *traffic_new(void);

/* Both ends begin: the agent trades `count` bytes. Ends with traffic_end or traffic_settled. */
void traffic_begin(struct traffic *t, struct connection c, long long count);

/* The two halves of that apart: this side knows of it, and the agent begins. */
void traffic_prepare(struct traffic *t, struct connection c, long long count);
void traffic_tell(struct traffic *t);

/*
 * Moves one piece of some length by the descriptor `fd` of this process, in turn with others, waiting if need be, and not beyond
 * `limit` bytes of the stream. 0 when the limit is reached or there is an error.
 */
int traffic_out(struct traffic *t, int fd, long long limit);
int traffic_in(struct traffic *t, int fd, long long limit);

/* Moves both ways by turns up to the limit; true when there was no error. */
int traffic_move(struct traffic *t, int fd, long long limit);

/* Two threads that move everything, one for each way. */
void traffic_start(struct traffic *t);
void traffic_stop(struct traffic *t);

/* Waits until both ways have come so far. */
int traffic_reaches(struct traffic *t, long long point);

/* What both ends have at the end, as two checks; then the connection ends in good order, as a third. */
void traffic_settled(struct traffic *t);

/* Moves the rest here, and all that. */
void traffic_end(struct traffic *t);

#endif
