/* The TCP server of the text: one connection on port 8080, an answer, the end. */
#include <sys/types.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <unistd.h>

#include <errno.h>
#include <stdio.h>

int main(void)
{
    errno = 0;

    int server_fd = socket(AF_INET, SOCK_STREAM, 0);

    int opt = 1;
    setsockopt(server_fd, SOL_SOCKET, SO_REUSEADDR, &opt, sizeof(opt));

    struct sockaddr_in addr = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = INADDR_ANY,
        .sin_port = htons(8080),
    };
    bind(server_fd, (struct sockaddr *)&addr, sizeof(addr));
    listen(server_fd, 5);

    struct sockaddr_in client_addr;
    socklen_t client_len = sizeof(client_addr);
    int client_fd = accept(server_fd, (struct sockaddr *)&client_addr, &client_len);
    char buf[1024];
    recv(client_fd, buf, sizeof(buf), 0);
    send(client_fd, "OK\n", 3, 0);
    close(client_fd);
    close(server_fd);

    if (errno != 0) {
        perror("tcp_server");
        return 1;
    }
    printf("answered %s\n", inet_ntoa(client_addr.sin_addr));
    return 0;
}
