/*
 * Interfaces as a program sees them: `interfaces NAME V4 NETMASK V6 MTU`, an interface that is up and what it has. MTU 0 is any.
 */
#include "side/address.h"
#include "side/check.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *name;
static union address v4, netmask, v6;
static int mtu;

static int same_host(const struct sockaddr *a, union address b)
{
    union address c;
    if (!a)
        return 0;
    memcpy(&c, a, a->sa_family == AF_INET6 ? sizeof(c.v6) : sizeof(c.v4));
    c.v4.sin_port = b.v4.sin_port = 0;
    return same_address(&c, &b);
}

static void addresses(void)
{
    struct ifaddrs *list = NULL;
    int found4 = 0, found6 = 0, mask4 = 0, loopback = 0;
    unsigned flags = 0;
    check_group("getifaddrs");
    EQUAL(getifaddrs(&list), 0, "call");
    for (struct ifaddrs *i = list; i; i = i->ifa_next) {
        loopback |= same_host(i->ifa_addr, address("127.0.0.1", 0)) && i->ifa_flags & IFF_LOOPBACK;
        if (strcmp(i->ifa_name, name))
            continue;
        flags |= i->ifa_flags;
        found6 |= same_host(i->ifa_addr, v6);
        if (same_host(i->ifa_addr, v4)) {
            found4 = 1;
            mask4 = same_host(i->ifa_netmask, netmask);
        }
    }
    CHECK(found4, "IPv4 address");
    CHECK(mask4, "IPv4 netmask");
    CHECK(found6, "IPv6 address");
    CHECK(flags & IFF_UP && flags & IFF_RUNNING, "flags");
    CHECK(loopback, "loopback");
    freeifaddrs(list);
}

static void indices(void)
{
    char back[IF_NAMESIZE] = "";
    int listed = 0;
    check_group("index");
    unsigned index = if_nametoindex(name);
    CHECK(index > 0, "if_nametoindex");
    CHECK(if_indextoname(index, back) && !strcmp(back, name), "if_indextoname");
    CHECK(if_nametoindex("nonesuch0") == 0 && errno == ENODEV, "an unknown name");
    CHECK(if_indextoname(99999, back) == NULL && errno == ENXIO, "an unknown index");
    struct if_nameindex *all = if_nameindex();
    for (struct if_nameindex *i = all; i && i->if_index; i++)
        listed |= i->if_index == index && !strcmp(i->if_name, name);
    CHECK(listed, "if_nameindex");
    if (all)
        if_freenameindex(all);
}

static struct ifreq request(const char *interface)
{
    struct ifreq r;
    memset(&r, 0, sizeof(r));
    strncpy(r.ifr_name, interface, IFNAMSIZ - 1);
    return r;
}

static void controls(int type)
{
    int fd = MUST(socket(AF_INET, type, 0));
    struct ifreq r = request(name);
    CHECK(ioctl(fd, SIOCGIFADDR, &r) == 0 && same_host(&r.ifr_addr, v4), "SIOCGIFADDR");
    r = request(name);
    CHECK(ioctl(fd, SIOCGIFNETMASK, &r) == 0 && same_host(&r.ifr_netmask, netmask), "SIOCGIFNETMASK");
    r = request(name);
    CHECK(ioctl(fd, SIOCGIFFLAGS, &r) == 0 && r.ifr_flags & IFF_UP && r.ifr_flags & IFF_RUNNING, "SIOCGIFFLAGS");
    int loopback = r.ifr_flags & IFF_LOOPBACK;
    r = request(name);
    CHECK(ioctl(fd, SIOCGIFMTU, &r) == 0 && (mtu ? r.ifr_mtu == mtu : r.ifr_mtu >= 1280), "SIOCGIFMTU");
    r = request(name);
    CHECK(ioctl(fd, SIOCGIFINDEX, &r) == 0 && (unsigned)r.ifr_ifindex == if_nametoindex(name), "SIOCGIFINDEX");
    CHECK(ioctl(fd, SIOCGIFNAME, &r) == 0 && !strcmp(r.ifr_name, name), "SIOCGIFNAME");
    r = request(name);
    CHECK(ioctl(fd, SIOCGIFHWADDR, &r) == 0 && r.ifr_hwaddr.sa_family == (loopback ? 772 : 1), "SIOCGIFHWADDR");
    if (!loopback) {
        union address last = v4;
        last.v4.sin_addr.s_addr |= ~netmask.v4.sin_addr.s_addr;
        r = request(name);
        CHECK(ioctl(fd, SIOCGIFBRDADDR, &r) == 0 && same_host(&r.ifr_broadaddr, last), "SIOCGIFBRDADDR");
    }
    r = request("nonesuch0");
    FAILS(ioctl(fd, SIOCGIFADDR, &r), ENODEV, "an unknown name");
    close(fd);
}

static void list(void)
{
    int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0)), found = 0;
    struct ifreq all[64];
    struct ifconf c = { .ifc_len = 0, .ifc_req = NULL };
    check_group("SIOCGIFCONF");
    CHECK(ioctl(fd, SIOCGIFCONF, &c) == 0 && c.ifc_len >= (int)sizeof(struct ifreq), "how much room");
    int wanted = c.ifc_len;
    c = (struct ifconf){ .ifc_len = sizeof(all), .ifc_req = all };
    CHECK(ioctl(fd, SIOCGIFCONF, &c) == 0 && c.ifc_len == wanted && wanted % sizeof(struct ifreq) == 0, "list");
    for (int i = 0; i < c.ifc_len / (int)sizeof(struct ifreq); i++)
        found |= !strcmp(all[i].ifr_name, name) && same_host(&all[i].ifr_addr, v4);
    CHECK(found, "has name and address");
    c.ifc_len = sizeof(struct ifreq) - 1;
    CHECK(ioctl(fd, SIOCGIFCONF, &c) == 0 && c.ifc_len == 0, "too little room gives nothing");
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: %s NAME V4 NETMASK V6 MTU\n", argv[0]);
        return 2;
    }
    name = argv[1];
    v4 = address(argv[2], 0);
    netmask = address(argv[3], 0);
    v6 = address(argv[4], 0);
    mtu = atoi(argv[5]);
    check_deadline(60);
    addresses();
    indices();
    check_group("ioctl, datagram");
    controls(SOCK_DGRAM);
    check_group("ioctl, stream");
    controls(SOCK_STREAM);
    list();
    return check_result();
}
