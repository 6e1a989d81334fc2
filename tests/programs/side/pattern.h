/*
 * What the programs send: a byte that follows from its offset in the stream, so that the receiver sees
 * every byte that is lost, doubled or out of place.
 */
#ifndef PATTERN_H
#define PATTERN_H

#include <stddef.h>

/* Longest piece moved by one call. */
#define PIECE 65536

void pattern_fill(void *to, size_t len, long long offset);

/* True when all `len` bytes are those of the stream from `offset` on. */
int pattern_holds(const void *bytes, size_t len, long long offset);

/* Sends or receives exactly this much unless the connection ends or fails: the count that went well. Wrong bytes are EILSEQ. */
long long pattern_send(int fd, long long count, long long offset);
long long pattern_receive(int fd, long long count, long long offset);

/*
 * Sends and receives `count` bytes at the same time, in calls of `piece` bytes at most, waiting with poll(2); makes the
 * descriptor non-blocking meanwhile. Gives the bytes received in order, or -1 when sending failed.
 */
long long pattern_exchange(int fd, long long count, size_t piece);

#endif
