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

/*
 * Sends `count` bytes from one offset on and receives as many from another, at the same time, in calls of any length from a byte
 * to a piece. Gives the bytes received in order, or -1 when sending failed.
 */
long long pattern_trade(int fd, long long count, long long out, long long in, unsigned seed);

/* The next number of a sequence that follows from its state, at least 0 and less than `below`. */
unsigned draw(unsigned *state, unsigned below);

/* A length for a call: often a few bytes, sometimes a few thousand, sometimes a whole piece. */
size_t draw_length(unsigned *state);

#endif
