/* A descriptor through a unix socket, with a number. */
#ifndef RIGHTS_H
#define RIGHTS_H

/* Gives 1 when it was sent. */
int rights_send(int pair, int fd, long long number);

/* The descriptor; -1 at the end of the pair. */
int rights_receive(int pair, long long *number);

#endif
