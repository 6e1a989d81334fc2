/* lean COMMAND [options]: which load, and its options. */
#include "lean.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whatever happens, nothing is left running after this. */
#define LIFE_SECONDS 300

static const struct {
    const char *name;
    int (*run)(const struct options *);
} commands[] = {
    { "sink", bulk_sink },           { "source", bulk_source },     { "echo", echo_server },
    { "ping-pong", echo_client },    { "rate-server", rate_server }, { "rate-client", rate_client },
    { "udp-send", udp_send },        { "udp-count", udp_count },     { "idle", idle },
};

static int usage(void)
{
    fprintf(stderr, "usage: lean COMMAND [-l] [-a ADDR] [-p PORT] [-P PORTS] [-n COUNT] [-b BYTES] [-w WARM] [-t SECS]\n"
                    "       lean offloads INTERFACE\ncommands:");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(stderr, " %s", commands[i].name);
    fprintf(stderr, "\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct options o = { .port = 5001, .ports = 1, .count = 1, .size = 64, .warm = 0.2, .secs = 2 };
    int option;
    if (argc == 3 && strcmp(argv[1], "offloads") == 0)
        return offloads(argv[2]);
    if (argc < 2)
        return usage();
    optind = 2;
    while ((option = getopt(argc, argv, "la:p:P:n:b:w:t:")) != -1) {
        switch (option) {
        case 'l': o.listens = 1; break;
        case 'a': o.addr = optarg; break;
        case 'p': o.port = atoi(optarg); break;
        case 'P': o.ports = atoi(optarg); break;
        case 'n': o.count = atoi(optarg); break;
        case 'b': o.size = (size_t)atol(optarg); break;
        case 'w': o.warm = atof(optarg); break;
        case 't': o.secs = atof(optarg); break;
        default: return usage();
        }
    }
    if (o.port <= 0 || o.ports <= 0 || o.ports > MAX_PORTS || o.count <= 0 || o.size == 0)
        return usage();
    alarm(LIFE_SECONDS);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, argv[1]) == 0) {
            int threads = commands[i].run != idle;
            return threads && o.count > MAX_STREAMS ? usage() : commands[i].run(&o);
        }
    return usage();
}
