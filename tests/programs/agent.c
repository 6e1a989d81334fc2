/* `agent ADDRESS`: obeys the programs that connect to ADDRESS, each in a process of its own. */
#include "side/agent.h"
#include "side/check.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s ADDRESS\n", argv[0]);
        return 2;
    }
    union address at = address(argv[1], AGENT_PORT);
    int on = 1, listener = MUST(socket(at.any.sa_family, SOCK_STREAM, 0));
    MUST(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
    MUST(bind(listener, &at.any, address_len(&at)));
    MUST(listen(listener, 16));
    signal(SIGCHLD, SIG_IGN);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int control = accept(listener, NULL, NULL);
        if (control < 0)
            continue;
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close(listener);
            agent_serve(control);
            _exit(0);
        }
        close(control);
    }
}
