/*
 * `killed ADDRESS PORT ROUNDS SEED`: a busy program, started again and again and killed at any moment of its work.
 *
 * The work goes on in four threads: a server and its clients, connections to ADDRESS, PORT (somebody must echo there), handshakes
 * that nobody answers, datagrams. Says "killed ROUNDS" at the end.
 */
#include "side/address.h"
#include "side/check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static union address far, nobody;
static char bytes[60000];

static unsigned draw(unsigned *state, unsigned below)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % below;
}

static void *serve(void *seed)
{
    unsigned state = (unsigned)(size_t)seed;
    union address own = address("127.0.0.1", 5000);
    int one = 1;
    for (;;) {
        int listener = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(listener, &own.any, address_len(&own)) == 0 && listen(listener, 5) == 0)
            for (unsigned n = draw(&state, 20); n > 0; n--) {
                struct pollfd p = { .fd = listener, .events = POLLIN };
                int fd = poll(&p, 1, 2) == 1 ? accept(listener, NULL, NULL) : -1;
                if (fd < 0)
                    continue;
                recv(fd, bytes, 1 + draw(&state, sizeof(bytes)), draw(&state, 2) ? MSG_DONTWAIT : 0);
                send(fd, bytes, draw(&state, sizeof(bytes)), MSG_NOSIGNAL | MSG_DONTWAIT);
                close(fd);
            }
        close(listener);
    }
    return NULL;
}

static void *connects(void *seed)
{
    unsigned state = (unsigned)(size_t)seed;
    for (;;) {
        union address to = draw(&state, 2) ? far : address("127.0.0.1", 5000);
        int fd = socket(to.any.sa_family, SOCK_STREAM, 0);
        if (connect(fd, &to.any, address_len(&to)) == 0) {
            send(fd, bytes, 1 + draw(&state, sizeof(bytes)), MSG_NOSIGNAL);
            if (draw(&state, 2))
                shutdown(fd, SHUT_WR);
            recv(fd, bytes, sizeof(bytes), draw(&state, 2) ? MSG_DONTWAIT : 0);
        }
        close(fd);
    }
    return NULL;
}

static void *unanswered(void *seed)
{
    unsigned state = (unsigned)(size_t)seed;
    int held[16];
    for (int i = 0; i < 16; i++)
        held[i] = -1;
    for (;;) {
        int i = draw(&state, 16);
        if (held[i] >= 0)
            close(held[i]);
        held[i] = socket(nobody.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(held[i], &nobody.any, address_len(&nobody));
    }
    return NULL;
}

static void *datagrams(void *seed)
{
    unsigned state = (unsigned)(size_t)seed;
    for (;;) {
        union address own = any_address(AF_INET, 0);
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        bind(fd, &own.any, address_len(&own));
        for (unsigned n = draw(&state, 20); n > 0; n--) {
            union address to = draw(&state, 2) ? far : address("127.0.0.1", 5000);
            sendto(fd, bytes, draw(&state, 3000), 0, &to.any, address_len(&to));
            recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        }
        close(fd);
    }
    return NULL;
}

static void work(unsigned seed)
{
    void *(*const parts[])(void *) = { serve, connects, unanswered, datagrams };
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, parts[i], (void *)(size_t)(seed + i));
    }
    pause();
}

int main(int argc, char **argv)
{
    if (argc == 6) {
        far = address(argv[1], atoi(argv[2]));
        nobody = address(strchr(argv[1], ':') ? "2001:db8:1::dead" : "192.168.1.222", 9);
        work(atoi(argv[4]));
    }
    if (argc != 5)
        return 2;
    int rounds = atoi(argv[3]);
    unsigned state = atoi(argv[4]);
    for (int i = 0; i < rounds; i++) {
        char seed[16];
        snprintf(seed, sizeof(seed), "%u", draw(&state, 1000000));
        pid_t child = fork();
        if (child == 0) {
            execl("/proc/self/exe", argv[0], argv[1], argv[2], argv[3], seed, "work", (char *)NULL);
            _exit(127);
        }
        /* The moment is what is tried here, not something waited for. */
        struct timespec moment = { .tv_nsec = 1000L * draw(&state, 25000) };
        nanosleep(&moment, NULL);
        kill(child, SIGKILL);
        int status;
        MUST(waitpid(child, &status, 0));
        if (!WIFSIGNALED(status)) {
            printf("not killed: status %x\n", status);
            return 1;
        }
    }
    printf("killed %d\n", rounds);
    return 0;
}
