/* The Unix domain sockets of the text: server and client in one program. They stay with the host's kernel. */
#include <sys/types.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <unistd.h>

#include <sys/un.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    /* Server */
    int srv = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un su;
    memset(&su, 0, sizeof(su));
    su.sun_family = AF_UNIX;
    strncpy(su.sun_path, "/tmp/myapp.sock", sizeof(su.sun_path) - 1);
    unlink(su.sun_path);
    bind(srv, (struct sockaddr *)&su, SUN_LEN(&su));
    listen(srv, 5);

    /* Client */
    int cli = socket(AF_UNIX, SOCK_STREAM, 0);
    connect(cli, (struct sockaddr *)&su, SUN_LEN(&su));
    send(cli, "hello", 5, 0);

    char heard[16] = "";
    int conn = accept(srv, NULL, NULL);
    ssize_t n = recv(conn, heard, sizeof(heard) - 1, 0);
    printf("heard %s\n", heard);
    unlink(su.sun_path);
    return n != 5;
}
