/* Connections that do nothing, held until standard input ends. */
#include "lean.h"

#include <stdlib.h>
#include <unistd.h>

int idle(const struct options *o)
{
    int *fds = calloc((size_t)o->count, sizeof *fds);
    char byte;
    raise_nofile();
    connections(o, fds);
    say("held %d", o->count);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    /* The kernel closes them all. */
    return 0;
}
