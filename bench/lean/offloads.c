/* What an interface leaves to its device, as ethtool(8) tells it, in one line. */
#include "lean.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct {
    const char *name;
    uint32_t command;
} features[] = {
    { "rx-checksum", ETHTOOL_GRXCSUM }, { "tx-checksum", ETHTOOL_GTXCSUM }, { "sg", ETHTOOL_GSG },
    { "tso", ETHTOOL_GTSO },            { "gso", ETHTOOL_GGSO },            { "gro", ETHTOOL_GGRO },
};

int offloads(const char *interface)
{
    char line[256] = "";
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        struct ethtool_value value = { .cmd = features[i].command };
        struct ifreq request;
        size_t end = strlen(line);
        memset(&request, 0, sizeof request);
        strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
        request.ifr_data = (char *)&value;
        const char *state = ioctl(fd, SIOCETHTOOL, &request) == 0 ? (value.data ? "on" : "off") : "?";
        snprintf(line + end, sizeof line - end, "%s%s=%s", i ? " " : "", features[i].name, state);
    }
    close(fd);
    say("%s", line);
    return 0;
}
