/* The UDP client of the text: one datagram to 192.168.1.200, port 9000. */
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

    int sock = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in dest = {
        .sin_family = AF_INET,
        .sin_port   = htons(9000),
    };
    inet_pton(AF_INET, "192.168.1.200", &dest.sin_addr);

    sendto(sock, "ping", 4, 0, (struct sockaddr *)&dest, sizeof(dest));
    close(sock);

    if (errno != 0) {
        perror("udp_client");
        return 1;
    }
    return 0;
}
