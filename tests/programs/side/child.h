/* Children and threads: what became of them, and whether they sleep. */
#ifndef CHILD_H
#define CHILD_H

#include <sys/types.h>

/* Waits for its end: the exit code, or 256 and the signal that ended it. */
int child_status(pid_t child);

/* Starts a program in a child, with `fd` as its standard input and output. */
pid_t child_on(int fd, char *const words[]);

/* True as soon as this thread or process (by its number) sleeps in a call, false when it does not in ten seconds. */
int falls_asleep(pid_t id);

/* A thread that ends the program when it cannot be made. */
unsigned long thread_of(void *(*work)(void *), void *with);

/* Waits for its end; gives what it returned. */
long thread_result(unsigned long thread);

#endif
