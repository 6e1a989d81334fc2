"""What the programs of these tests expect of calls."""
import socket, struct


def fails_with(code, f, *args):
    try:
        f(*args)
    except OSError as e:
        assert e.errno == code, f"errno {e.errno} instead of {code}"
        return
    raise AssertionError(f"{f} {args} went through instead of errno {code}")


def is_ours(s):
    """A socket of the library is a unix socket to the kernel's own eyes (/proc/self/net/unix)."""
    import os
    inode = os.readlink(f"/proc/self/fd/{s.fileno()}").split("[")[1][:-1]
    with open("/proc/self/net/unix") as f:
        return any(line.split()[6:7] == [inode] for line in f)
