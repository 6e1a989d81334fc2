/*
 * poll() on a server socket and a pipe in one call, then select() on the server socket, as in the text.
 *
 * The pipe carries what arrives on standard input. The program polls until it has seen a connection
 * (port 8080) and a line through the pipe, in whichever order, then selects once.
 */
#include <sys/types.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <unistd.h>

#include <sys/select.h>
#include <poll.h>
#include <fcntl.h>

#include <stdio.h>

static int server_fd, pipe_read_end;
static int connections, lines;

static void say(const char *text)
{
    puts(text);
    fflush(stdout);
}

static void accept_connection(void)
{
    int client_fd = accept(server_fd, NULL, NULL);
    if (client_fd >= 0) {
        connections++;
        close(client_fd);
        say("connection");
    }
}

static void read_pipe_data(void)
{
    char buf[1024];
    if (read(pipe_read_end, buf, sizeof(buf)) > 0) {
        lines++;
        say("pipe");
    }
}

/* A child that hands standard input on to the pipe; the end to read from is given back. */
static int piped_stdin(void)
{
    int ends[2];
    if (pipe(ends) < 0)
        return -1;
    if (fork() == 0) {
        char buf[1024];
        ssize_t n;
        close(ends[0]);
        close(server_fd);
        while ((n = read(0, buf, sizeof(buf))) > 0)
            if (write(ends[1], buf, n) < 0)
                break;
        _exit(0);
    }
    close(ends[1]);
    return ends[0];
}

static int serve(void)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = INADDR_ANY,
        .sin_port = htons(8080),
    };
    int opt = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &opt, sizeof(opt));
    if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(listener, 5) < 0)
        return -1;
    return listener;
}

int main(void)
{
    server_fd = serve();
    pipe_read_end = piped_stdin();
    if (server_fd < 0 || pipe_read_end < 0) {
        perror("nonblocking_poll_select");
        return 1;
    }
    int fd = server_fd;
    say("polling");

    /* Set socket non-blocking */
    int flags = fcntl(fd, F_GETFL, 0);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);

    while (connections == 0 || lines == 0) {
        /* poll(): wait on multiple fds */
        struct pollfd fds[2];
        fds[0].fd     = server_fd;
        fds[0].events = POLLIN;
        fds[1].fd     = pipe_read_end;
        fds[1].events = POLLIN;

        int ret = poll(fds, 2, 5000);  /* 5 second timeout */
        if (ret > 0) {
            if (fds[0].revents & POLLIN) accept_connection();
            if (fds[1].revents & POLLIN) read_pipe_data();
        }
        if (ret < 0) {
            perror("poll");
            return 1;
        }
    }
    say("selecting");

    /* select() */
    fd_set readfds;
    FD_ZERO(&readfds);
    FD_SET(server_fd, &readfds);
    struct timeval tv = { .tv_sec = 1, .tv_usec = 0 };
    int ready =
    select(server_fd + 1, &readfds, NULL, NULL, &tv);

    say(ready == 1 && FD_ISSET(server_fd, &readfds) ? "select: connection" : "select: nothing");
    return ready < 0;
}
