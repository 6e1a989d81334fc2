/* epoll(7) in few words, for the programs about it. */
#ifndef WATCH_H
#define WATCH_H

#include <stdint.h>
#include <sys/epoll.h>

int watch_new(void);
/* Adds or changes; the descriptor is its own data. */
int watch_add(int epoll, int fd, uint32_t events);
int watch_change(int epoll, int fd, uint32_t events);
int watch_remove(int epoll, int fd);

/* The events of `fd` if it is the only one ready within the time; 0 for nothing, -1 for anything else. */
int watch_sees(int epoll, int fd, int timeout_ms);

#endif
