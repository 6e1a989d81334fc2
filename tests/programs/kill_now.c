/* `kill_now PID`: SIGKILL, and the time of it (CLOCK_MONOTONIC, nanoseconds) on standard output. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv)
{
    struct timespec t;
    if (argc != 2)
        return 2;
    clock_gettime(CLOCK_MONOTONIC, &t);
    if (kill(atoi(argv[1]), SIGKILL) < 0) {
        perror("kill");
        return 1;
    }
    printf("%lld\n", t.tv_sec * 1000000000LL + t.tv_nsec);
    return 0;
}
