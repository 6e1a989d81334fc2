/*
 * `ends connect|listen ADDRESS PORT COUNT`: so many connections, watched until each has ended. Says "watching", then "all ended:
 * E ends, R resets", and exits 0.
 */
#include "side/check.h"
#include "side/gather.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    int count, *fds = gather(argc, argv, &count), ends = 0, resets = 0;
    struct pollfd *p = calloc(count, sizeof(*p));
    for (int i = 0; i < count; i++)
        p[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
    printf("watching %d\n", count);
    fflush(stdout);
    while (ends + resets < count) {
        MUST(poll(p, count, -1));
        for (int i = 0; i < count; i++) {
            char bytes[4096];
            ssize_t n = p[i].fd < 0 || !p[i].revents ? 1 : recv(p[i].fd, bytes, sizeof(bytes), 0);
            if (n > 0)
                continue;
            ends += n == 0;
            resets += n < 0;
            p[i].fd = -1;
        }
    }
    printf("all ended: %d ends, %d resets\n", ends, resets);
    return 0;
}
