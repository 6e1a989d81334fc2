/*
 * Names and services: `names NAME ALIAS V4 V6`, where hosts(5) says
 *
 *     V4 NAME ALIAS
 *     V6 NAME
 */
#include "side/address.h"
#include "side/check.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>

static const char *name, *alias, *v4, *v6;

/* The answer as "ADDRESS:PORT/TYPE" words; errors as their number. */
static const char *lookup(const char *host, const char *service, struct addrinfo hints)
{
    static char text[600];
    char word[100], number[64];
    struct addrinfo *list;
    int error = getaddrinfo(host, service, &hints, &list);
    text[0] = 0;
    if (error) {
        snprintf(text, sizeof(text), "error %d", error);
        return text;
    }
    for (struct addrinfo *a = list; a; a = a->ai_next) {
        union address at;
        memcpy(&at, a->ai_addr, a->ai_addrlen);
        getnameinfo(a->ai_addr, a->ai_addrlen, number, sizeof(number), NULL, 0, NI_NUMERICHOST);
        snprintf(word, sizeof(word), "%s%s:%u/%d", *text ? " " : "", number, port_of(&at), a->ai_socktype);
        strncat(text, word, sizeof(text) - strlen(text) - 1);
    }
    freeaddrinfo(list);
    return text;
}

/* Any word may be first: the order is the resolver's. */
static void finds(const char *what, const char *got, const char *one, const char *two)
{
    char forth[200], back[200];
    snprintf(forth, sizeof(forth), "%s%s%s", one, *two ? " " : "", two);
    snprintf(back, sizeof(back), "%s%s%s", two, *two ? " " : "", one);
    check(!strcmp(got, forth) || !strcmp(got, back), what, "got \"%s\", not \"%s\"", got, forth);
}

static const char *at(const char *host, unsigned port)
{
    static char texts[4][100];
    static int next;
    char *text = texts[next++ % 4];
    snprintf(text, sizeof(texts[0]), "%s:%u/1", host, port);
    return text;
}

static void is_error(const char *what, const char *got, int error)
{
    char text[40];
    snprintf(text, sizeof(text), "error %d", error);
    check(!strcmp(got, text), what, "got \"%s\", not %s", got, gai_strerror(error));
}

#define STREAM .ai_socktype = SOCK_STREAM

static void numbers(void)
{
    check_group("numbers");
    finds("IPv4", lookup(v4, "80", (struct addrinfo){ STREAM }), at(v4, 80), "");
    finds("IPv6", lookup(v6, "80", (struct addrinfo){ STREAM }), at(v6, 80), "");
    finds("AI_NUMERICHOST", lookup(v4, NULL, (struct addrinfo){ STREAM, .ai_flags = AI_NUMERICHOST }), at(v4, 0), "");
    finds("short form", lookup("127.1", "1", (struct addrinfo){ STREAM }), at("127.0.0.1", 1), "");
    char three[300];
    snprintf(three, sizeof(three), "%s:9/1 %s:9/2 %s:9/3", v4, v4, v4);
    finds("every type", lookup(v4, "9", (struct addrinfo){ 0 }), three, "");
    is_error("AI_NUMERICHOST with a name", lookup(name, "1", (struct addrinfo){ STREAM, .ai_flags = AI_NUMERICHOST }), EAI_NONAME);
    is_error("the wrong family", lookup(v4, "1", (struct addrinfo){ STREAM, .ai_family = AF_INET6 }), EAI_ADDRFAMILY);
    char as_v6[100];
    snprintf(as_v6, sizeof(as_v6), "::ffff:%s:1/1", v4);
    finds("AI_V4MAPPED", lookup(v4, "1", (struct addrinfo){ STREAM, .ai_family = AF_INET6, .ai_flags = AI_V4MAPPED }), as_v6, "");
    finds("nobody, to go to", lookup(NULL, "1", (struct addrinfo){ STREAM }), at("127.0.0.1", 1), at("::1", 1));
    finds("nobody, to listen on", lookup(NULL, "1", (struct addrinfo){ STREAM, .ai_flags = AI_PASSIVE }), at("0.0.0.0", 1),
          at("::", 1));
}

static void services(void)
{
    check_group("services");
    finds("http", lookup(v4, "http", (struct addrinfo){ STREAM }), at(v4, 80), "");
    char datagram[100];
    snprintf(datagram, sizeof(datagram), "%s:53/2", v4);
    finds("domain, UDP", lookup(v4, "domain", (struct addrinfo){ .ai_socktype = SOCK_DGRAM }), datagram, "");
    is_error("unknown", lookup(v4, "nonesuch", (struct addrinfo){ STREAM }), EAI_SERVICE);
    is_error("AI_NUMERICSERV with a name", lookup(v4, "http", (struct addrinfo){ STREAM, .ai_flags = AI_NUMERICSERV }), EAI_NONAME);
    is_error("neither host nor service", lookup(NULL, NULL, (struct addrinfo){ STREAM }), EAI_NONAME);
    is_error("unknown flags", lookup(v4, "1", (struct addrinfo){ STREAM, .ai_flags = 0x40000000 }), EAI_BADFLAGS);
    is_error("unknown family", lookup(v4, "1", (struct addrinfo){ STREAM, .ai_family = 999 }), EAI_FAMILY);
    is_error("unknown type", lookup(v4, "1", (struct addrinfo){ .ai_socktype = 99 }), EAI_SOCKTYPE);
}

static void from_hosts(void)
{
    struct addrinfo hints = { STREAM, .ai_flags = AI_CANONNAME, .ai_family = AF_INET }, *list = NULL;
    check_group("hosts");
    finds("IPv4", lookup(name, "1", (struct addrinfo){ STREAM, .ai_family = AF_INET }), at(v4, 1), "");
    finds("IPv6", lookup(name, "1", (struct addrinfo){ STREAM, .ai_family = AF_INET6 }), at(v6, 1), "");
    finds("both", lookup(name, "1", (struct addrinfo){ STREAM }), at(v4, 1), at(v6, 1));
    finds("an alias", lookup(alias, "1", (struct addrinfo){ STREAM, .ai_family = AF_INET }), at(v4, 1), "");
    finds("localhost", lookup("localhost", "1", (struct addrinfo){ STREAM, .ai_family = AF_INET }), at("127.0.0.1", 1), "");
    CHECK(getaddrinfo(alias, "1", &hints, &list) == 0 && !strcmp(list->ai_canonname, name), "AI_CANONNAME");
    if (list)
        freeaddrinfo(list);
}

static void back_to_names(void)
{
    union address a = address(v4, 80), b = address(v6, 80);
    char host[200], service[50];
    check_group("getnameinfo");
    CHECK(getnameinfo(&a.any, sizeof(a.v4), host, sizeof(host), service, sizeof(service), NI_NUMERICHOST | NI_NUMERICSERV) == 0 &&
          !strcmp(host, v4) && !strcmp(service, "80"), "numbers");
    CHECK(getnameinfo(&a.any, sizeof(a.v4), host, sizeof(host), service, sizeof(service), 0) == 0 &&
          !strcmp(host, name) && !strcmp(service, "http"), "IPv4");
    CHECK(getnameinfo(&b.any, sizeof(b.v6), host, sizeof(host), NULL, 0, NI_NAMEREQD) == 0 && !strcmp(host, name), "IPv6");
    a.v4.sin_port = htons(53);
    CHECK(getnameinfo(&a.any, sizeof(a.v4), NULL, 0, service, sizeof(service), NI_DGRAM) == 0 && !strcmp(service, "domain"),
          "a datagram service");
    EQUAL(getnameinfo(&a.any, sizeof(a.v4), host, 3, NULL, 0, NI_NUMERICHOST), EAI_OVERFLOW, "too little room");
    EQUAL(getnameinfo(&a.any, 3, host, sizeof(host), NULL, 0, 0), EAI_FAMILY, "an address cut short");
    a.any.sa_family = 999;
    EQUAL(getnameinfo(&a.any, sizeof(a.v4), host, sizeof(host), NULL, 0, 0), EAI_FAMILY, "an unknown family");
}

static int is(const struct hostent *h, int family, const char *text)
{
    char got[64];
    return h && h->h_addrtype == family && h->h_addr_list[0] && !h->h_addr_list[1] &&
           inet_ntop(family, h->h_addr_list[0], got, sizeof(got)) && !strcmp(got, text);
}

static void the_old_calls(void)
{
    union address a = address(v4, 0);
    struct hostent *h, one;
    char room[2000], tiny[8];
    int error = 0;
    check_group("gethostbyname");
    CHECK(is(h = gethostbyname(name), AF_INET, v4) && !strcmp(h->h_name, name), "name");
    CHECK(is(h = gethostbyname(alias), AF_INET, v4) && !strcmp(h->h_name, name), "alias");
    CHECK(h && h->h_aliases[0] && !strcmp(h->h_aliases[0], alias), "aliases are listed");
    CHECK(is(gethostbyname2(name, AF_INET6), AF_INET6, v6), "gethostbyname2");
    CHECK(is(h = gethostbyname(v4), AF_INET, v4) && !strcmp(h->h_name, v4), "a number");
    CHECK(is(h = gethostbyaddr(&a.v4.sin_addr, 4, AF_INET), AF_INET, v4) && !strcmp(h->h_name, name), "gethostbyaddr");
    CHECK(gethostbyname_r(name, &one, room, sizeof(room), &h, &error) == 0 && h == &one && is(h, AF_INET, v4), "gethostbyname_r");
    EQUAL(gethostbyname_r(name, &one, tiny, sizeof(tiny), &h, &error), ERANGE, "gethostbyname_r with too little room");
    CHECK(gethostbyaddr_r(&a.v4.sin_addr, 4, AF_INET, &one, room, sizeof(room), &h, &error) == 0 && h == &one &&
          !strcmp(h->h_name, name), "gethostbyaddr_r");
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: %s NAME ALIAS V4 V6\n", argv[0]);
        return 2;
    }
    name = argv[1];
    alias = argv[2];
    v4 = argv[3];
    v6 = argv[4];
    check_deadline(60);
    numbers();
    services();
    from_hosts();
    back_to_names();
    the_old_calls();
    return check_result();
}
