"""Names and interfaces as Python sees them. DNS is answered by the fake daemon's host on port 53 only
when the test gives one; here the names come from hosts(5)."""
import os, socket, sys

found = socket.getaddrinfo("web.test", 80, type=socket.SOCK_STREAM)
assert [a[4][0] for a in found] == ["10.1.2.3"], found
found = socket.getaddrinfo("both.test", "http", type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)
assert {a[4][:2] for a in found} == {("10.1.2.4", 80), ("2001:db8::4", 80)} and found[0][3] == "both.test", found
assert len(socket.getaddrinfo("127.0.0.1", None)) == 3
assert socket.getaddrinfo("fe80::1%en0", 1, type=socket.SOCK_DGRAM)[0][4] == ("fe80::1", 1, 0, 2)
assert socket.getaddrinfo(None, 80, flags=socket.AI_PASSIVE, family=socket.AF_INET)[0][4] == ("0.0.0.0", 80)
assert socket.getaddrinfo("localhost", 1, type=1)
assert socket.getaddrinfo("web.test", 1, family=socket.AF_INET6, type=1, flags=socket.AI_V4MAPPED)[0][4][0] == "::ffff:10.1.2.3"
for name, kind in (("10.1.2.3", {}), ("web.test", {"flags": socket.AI_NUMERICHOST})):
    try:
        socket.getaddrinfo(name, "no-such-service", **kind)
        raise AssertionError("found")
    except socket.gaierror:
        pass
assert socket.gethostbyname("alias.test") == "10.1.2.3"
assert socket.gethostbyname_ex("web.test")[2] == ["10.1.2.3"]
assert socket.gethostbyaddr("10.1.2.3")[0] == "web.test"
assert socket.getnameinfo(("10.1.2.3", 80), 0) == ("web.test", "http")
assert socket.getnameinfo(("10.1.2.3", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV) == ("10.1.2.3", "80")
assert socket.getnameinfo(("fe80::1", 80, 0, 2), socket.NI_NUMERICHOST)[0] == "fe80::1%en0"

found = socket.getaddrinfo("dns.test", 80, type=socket.SOCK_STREAM)
assert sorted(a[4][0] for a in found) == ["10.7.7.7", "2001:db8::7"], found
assert [a[4][0] for a in socket.getaddrinfo("short", 80, family=socket.AF_INET, type=1)] == ["10.7.7.8"]
assert len(socket.getaddrinfo("large.test", 80, family=socket.AF_INET, type=1)) == 60, "by TCP"
assert socket.gethostbyaddr("10.7.7.9")[0] == "reverse.test"
try:
    socket.getaddrinfo("missing.test", 80)
    raise AssertionError("found")
except socket.gaierror as e:
    assert e.errno == socket.EAI_NONAME, e

assert socket.if_nameindex() == [(1, "lo0"), (2, "en0")]
assert socket.if_nametoindex("en0") == 2 and socket.if_indextoname(1) == "lo0"
print("ok")
