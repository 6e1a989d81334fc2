/* A process that lets itself read, write and poll, and nothing else, goes on with its connection. */
#include "side/far.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALLOW(name) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* Any other call kills the process (seccomp(2)). */
static int confine(int by_number)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(read),
        ALLOW(write),
        ALLOW(readv),
        ALLOW(writev),
#ifdef SYS_poll
        ALLOW(poll),
#endif
        ALLOW(ppoll),
        ALLOW(close),
        ALLOW(exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog filter = { .len = sizeof(program) / sizeof(program[0]), .filter = program };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    if (by_number)
        return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

/* 100 bytes out, 100 bytes in, the end; gives the step that went wrong. */
static int talk(int fd)
{
    unsigned char out[100], in[100];
    struct iovec rest[2] = { { out + 50, 20 }, { out + 70, 30 } }, first[2] = { { in, 10 }, { in + 10, 30 } };
    pattern_fill(out, sizeof(out), 0);
    if (write(fd, out, 50) != 50)
        return 1;
    if (writev(fd, rest, 2) != 50)
        return 2;
    if (poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 10000) != 1)
        return 3;
    for (int got = 0; got < 100;) {
        ssize_t n = got == 0 ? readv(fd, first, 2) : read(fd, in + got, sizeof(in) - got);
        if (n <= 0)
            return 4;
        got += n;
    }
    if (!pattern_holds(in, sizeof(in), 0))
        return 5;
    if (read(fd, in, 1) != 0)
        return 6;
    if (close(fd) != 0)
        return 7;
    return 0;
}

static void confined(const char *group, struct connection c, int by_number)
{
    int status;
    check_group(group);
    pid_t child = MUST(fork());
    if (child == 0)
        _exit(confine(by_number) != 0 ? 9 : talk(c.here));
    close(c.here);
    EQUAL(far_receive(c.there, 100, 0), 100, "what it writes arrives");
    far_send(c.there, 100, 0);
    far_shutdown(c.there, SHUT_WR);
    MUST(waitpid(child, &status, 0));
    EQUAL(status, 0, "it reads, sees the end and lives");
    CHECK(far_ended(c.there), "its close is the connection's end");
    far_close(c.there);
}

/* A connection that was reset: a confined process is told, and not killed for it. */
static void reset(struct connection c)
{
    int go[2], status;
    char byte;
    check_group("reset");
    MUST(pipe(go));
    pid_t child = MUST(fork());
    if (child == 0) {
        signal(SIGPIPE, SIG_IGN);
        if (confine(0) != 0 || read(go[0], &byte, 1) != 1)
            _exit(9);
        if (poll(&(struct pollfd){ .fd = c.here, .events = POLLIN }, 1, 10000) != 1)
            _exit(8);
        if (read(c.here, &byte, 1) > 0)
            _exit(7);
        _exit(write(c.here, "x", 1) != -1 || errno != EPIPE);
    }
    close(c.here);
    far_reset(c.there);
    MUST(write(go[1], "", 1));
    MUST(waitpid(child, &status, 0));
    EQUAL(status, 0, "writing fails with EPIPE");
    close(go[0]);
    close(go[1]);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    confined("made, by prctl", active(), 0);
    confined("accepted, by prctl", passive(), 0);
    confined("accepted, by syscall", passive(), 1);
    reset(active());
    return check_result();
}
