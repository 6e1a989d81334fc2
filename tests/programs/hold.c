/* `hold connect|listen ADDRESS PORT COUNT`: so many connections, held until the program is killed. */
#include "side/gather.h"

#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int count;
    gather(argc, argv, &count);
    printf("holding %d as %d\n", count, (int)getpid());
    fflush(stdout);
    for (;;)
        pause();
}
