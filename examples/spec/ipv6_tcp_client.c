/* The IPv6 TCP client of the text: a connection to 2001:db8::1, port 443. */
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

    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 addr6 = {
        .sin6_family = AF_INET6,
        .sin6_port   = htons(443),
    };
    inet_pton(AF_INET6, "2001:db8::1", &addr6.sin6_addr);
    connect(fd, (struct sockaddr *)&addr6, sizeof(addr6));

    if (errno != 0) {
        perror("ipv6_tcp_client");
        return 1;
    }
    printf("connected\n");
    return 0;
}
