/*
 * Sockets across exec(2): the program runs itself again as `descriptors_exec --after WHAT FD`, which goes on with
 * the descriptor and exits 0 when all is well.
 */
#include "side/far.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int after(const char *what, int fd)
{
    unsigned char bytes[100];
    if (!strcmp(what, "stream"))
        return pattern_send(fd, 100, 100) != 100 || pattern_receive(fd, 100, 0) != 100;
    if (!strcmp(what, "unblocked"))
        return !(fcntl(fd, F_GETFL) & O_NONBLOCK) || recv(fd, bytes, 1, 0) != -1 || errno != EAGAIN;
    if (!strcmp(what, "options"))
        return option(fd, SOL_SOCKET, SO_KEEPALIVE) != 1 || set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 0) != 0;
    if (!strcmp(what, "listener")) {
        int accepted = accept(fd, NULL, NULL);
        return accepted < 0 || pattern_send(accepted, 100, 0) != 100;
    }
    if (!strcmp(what, "datagram")) {
        union address from;
        socklen_t len = sizeof(from);
        ssize_t n = recvfrom(fd, bytes, sizeof(bytes), 0, &from.any, &len);
        return n != 40 || sendto(fd, bytes, n, 0, &from.any, len) != 40;
    }
    if (!strcmp(what, "connect")) {
        /* The address comes on standard input. */
        union address at;
        return read(0, &at, sizeof(at)) != sizeof(at) || connect(fd, &at.any, address_len(&at)) != 0 ||
               pattern_send(fd, 100, 0) != 100;
    }
    return !(!strcmp(what, "closed") && fcntl(fd, F_GETFD) == -1 && errno == EBADF);
}

static void words(char **argv, char *number, const char *what, int fd)
{
    sprintf(number, "%d", fd);
    argv[0] = "/proc/self/exe";
    argv[1] = "--after";
    argv[2] = (char *)what;
    argv[3] = number;
    argv[4] = NULL;
}

/* The program again, in a child; its status. The parent's copy of the descriptor stays open. */
static pid_t again(const char *what, int fd)
{
    char *argv[5], number[12];
    words(argv, number, what, fd);
    pid_t child = MUST(fork());
    if (child == 0) {
        execv(argv[0], argv);
        _exit(9);
    }
    return child;
}

static int status_of(pid_t child)
{
    int status = -1;
    MUST(waitpid(child, &status, 0));
    return status;
}

static void a_connection(const char *group, struct connection c)
{
    check_group(group);
    EQUAL(pattern_send(c.here, 100, 0), 100, "sends before");
    pid_t child = again("stream", c.here);
    EQUAL(far_receive(c.there, 200, 0), 200, "the program after exec sends");
    far_send(c.there, 100, 0);
    EQUAL(status_of(child), 0, "and receives");
    EQUAL(pattern_send(c.here, 100, 0), 100, "the parent still sends");
    EQUAL(far_receive(c.there, 100, 0), 100, "it arrives");
    MUST(set_option(c.here, SOL_SOCKET, SO_KEEPALIVE, 1));
    EQUAL(status_of(again("options", c.here)), 0, "the program after exec reads and sets options");
    EQUAL(option(c.here, SOL_SOCKET, SO_KEEPALIVE), 0, "which the parent sees");
    MUST(fcntl(c.here, F_SETFL, O_NONBLOCK));
    EQUAL(status_of(again("unblocked", c.here)), 0, "O_NONBLOCK is kept");
    MUST(fcntl(c.here, F_SETFL, 0));

    child = again("stream", c.here);
    close(c.here);
    EQUAL(far_receive(c.there, 100, 100), 100, "it goes on when the parent has closed");
    far_send(c.there, 100, 0);
    EQUAL(status_of(child), 0, "to its end");
    CHECK(far_ended(c.there), "which is the connection's");
    far_close(c.there);
}

static void by_posix_spawn(struct connection c)
{
    char *argv[5], number[12];
    pid_t child;
    check_group("posix_spawn");
    words(argv, number, "stream", c.here);
    EQUAL(posix_spawn(&child, argv[0], NULL, NULL, argv, environ), 0, "starts");
    EQUAL(far_receive(c.there, 100, 100), 100, "sends");
    far_send(c.there, 100, 0);
    EQUAL(status_of(child), 0, "and receives");
    finish(c);
}

static void closed_on_exec(struct connection c)
{
    check_group("FD_CLOEXEC");
    MUST(fcntl(c.here, F_SETFD, FD_CLOEXEC));
    EQUAL(status_of(again("closed", c.here)), 0, "is closed after exec");
    EQUAL(pattern_send(c.here, 100, 0), 100, "the parent still sends");
    EQUAL(far_receive(c.there, 100, 0), 100, "it arrives");

    /* A program that has nothing of it holds the connection's only copy until its exec. */
    int wait[2];
    char *sleeper[] = { "cat", NULL };
    MUST(pipe(wait));
    pid_t child = MUST(fork());
    if (child == 0) {
        dup2(wait[0], 0);
        close(wait[0]);
        close(wait[1]);
        execvp(sleeper[0], sleeper);
        _exit(9);
    }
    close(c.here);
    CHECK(far_ended(c.there), "exec is the end of the last copy");
    close(wait[0]);
    close(wait[1]);
    EQUAL(status_of(child), 0, "while the program runs");
    far_close(c.there);
}

static void a_listener(void)
{
    int fd = own_listener(3);
    union address at = name_of(fd);
    check_group("listener");
    int there = MUST(far_connect(&at));
    EQUAL(status_of(again("listener", fd)), 0, "accepts who waits already");
    EQUAL(far_receive(there, 200, 0), 100, "and serves him");
    far_close(there);
    pid_t child = again("listener", fd);
    close(fd);
    there = MUST(far_connect(&at));
    EQUAL(status_of(child), 0, "accepts who comes later");
    EQUAL(far_receive(there, 200, 0), 100, "and serves him too");
    far_close(there);
    CHECK(far_connect(&at) < 0 && errno == ECONNREFUSED, "its end is the listener's");
}

static void a_datagram_socket(void)
{
    int fd = own_datagram();
    union address mine = name_of(fd), at;
    int there = MUST(far_datagram(&at));
    check_group("datagram");
    pid_t child = again("datagram", fd);
    far_sendto(there, &mine, 40, 0);
    EQUAL(status_of(child), 0, "receives and sends");
    struct answer a = far((struct order){ .kind = RECVFROM, .fd = there });
    CHECK(a.value == 40 && same_address(&a.address, &mine), "it arrives");
    close(fd);
    far_close(there);
}

static void a_fresh_socket(void)
{
    int fd = MUST(socket(side.family, SOCK_STREAM, 0)), stdin_pipe[2], saved = MUST(dup(0));
    union address at;
    int listener = MUST(far_listen(1, &at));
    check_group("fresh");
    MUST(pipe(stdin_pipe));
    MUST(dup2(stdin_pipe[0], 0));
    pid_t child = again("connect", fd);
    MUST(dup2(saved, 0));
    MUST(write(stdin_pipe[1], &at, sizeof(at)));
    EQUAL(status_of(child), 0, "connects after exec");
    int there = MUST(far_accept(listener));
    EQUAL(far_receive(there, 100, 0), 100, "and sends");
    EQUAL(pattern_send(fd, 100, 100), 100, "the parent has the connection too");
    EQUAL(far_receive(there, 100, 100), 100, "it arrives");
    finish((struct connection){ fd, there });
    far_close(listener);
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "--after"))
        return after(argv[2], atoi(argv[3]));
    begin(argc, argv);
    a_connection("made", active());
    a_connection("accepted", passive());
    by_posix_spawn(active());
    closed_on_exec(active());
    a_listener();
    a_datagram_socket();
    a_fresh_socket();
    return check_result();
}
