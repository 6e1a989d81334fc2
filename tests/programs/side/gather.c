#include "gather.h"
#include "address.h"
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

int *gather(int argc, char **argv, int *count)
{
    if (argc != 5 || (strcmp(argv[1], "connect") && strcmp(argv[1], "listen"))) {
        fprintf(stderr, "usage: %s connect|listen ADDRESS PORT COUNT\n", argv[0]);
        exit(2);
    }
    union address at = address(argv[2], atoi(argv[3]));
    int *fds = calloc(*count = atoi(argv[4]), sizeof(int)), listener = -1;
    if (argv[1][0] == 'l') {
        listener = MUST(socket(at.any.sa_family, SOCK_STREAM, 0));
        MUST(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)));
        MUST(bind(listener, &at.any, address_len(&at)));
        MUST(listen(listener, *count));
        puts("listening");
        fflush(stdout);
    }
    for (int i = 0; i < *count; i++) {
        if (listener >= 0) {
            fds[i] = MUST(accept(listener, NULL, NULL));
        } else {
            fds[i] = MUST(socket(at.any.sa_family, SOCK_STREAM, 0));
            MUST(connect(fds[i], &at.any, address_len(&at)));
        }
    }
    return fds;
}
