/*
 * Other programs get the connection in the middle of its stream: this one again (`modes_exec --after FD LIMIT MEMORY`, which goes on as
 * far as LIMIT), and programs that know nothing of it, by exec, posix_spawn, vfork, system and popen.
 */
#include "side/child.h"
#include "side/traffic.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MUCH (2 << 20)
#define A_PART (MUCH / 4)
#define SOME 100000
/* Where a shell's redirections find the socket: they have one digit. */
#define NINE 9

extern char **environ;
static struct traffic *t;
static int memory;

/* The state lies in a file without a name, which is found again after exec. */
static struct traffic *state_in(int fd)
{
    struct traffic *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED)
        check_broken("mmap", __FILE__, __LINE__);
    return shared;
}

static struct traffic *state_kept(void)
{
    memory = MUST(memfd_create("traffic", 0));
    MUST(ftruncate(memory, sizeof(struct traffic)));
    struct traffic *kept = state_in(memory);
    memcpy(kept, traffic_new(), sizeof(*kept));
    return kept;
}

/* The words that go on with a descriptor up to a limit. */
struct again {
    char fd[12], limit[24], memory[12];
    char *words[6];
};

static char **again(struct again *a, int fd, long long limit)
{
    snprintf(a->fd, sizeof(a->fd), "%d", fd);
    snprintf(a->limit, sizeof(a->limit), "%lld", limit);
    snprintf(a->memory, sizeof(a->memory), "%d", memory);
    char *words[] = { "/proc/self/exe", "--after", a->fd, a->limit, a->memory, NULL };
    memcpy(a->words, words, sizeof(words));
    return a->words;
}

static pid_t exec_child(char **words)
{
    pid_t pid = MUST(fork());
    if (pid == 0) {
        execv(words[0], words);
        _exit(127);
    }
    return pid;
}

static void after_fork(const char *group, struct connection c)
{
    struct again a;
    check_group(group);
    traffic_begin(t, c, MUCH);
    traffic_move(t, c.here, A_PART);
    EQUAL(child_status(exec_child(again(&a, c.here, 2 * A_PART))), 0, "the program goes on");
    CHECK(traffic_move(t, c.here, 3 * A_PART), "the parent goes on after it");
    pid_t pid = exec_child(again(&a, c.here, MUCH));
    traffic_move(t, c.here, MUCH);
    EQUAL(child_status(pid), 0, "both take turns");
    traffic_settled(t);
}

/* The process that made the connection and alone has it becomes another program. */
static void in_place(const char *group, struct connection (*make)(void))
{
    struct again a;
    check_group(group);
    pid_t pid = MUST(fork());
    if (pid == 0) {
        traffic_begin(t, make(), MUCH);
        traffic_move(t, t->c.here, A_PART);
        execv("/proc/self/exe", again(&a, t->c.here, MUCH));
        _exit(127);
    }
    EQUAL(child_status(pid), 0, "the program goes on to the end");
    EQUAL(far_answer().value, MUCH, "every byte arrives there");
    CHECK(far_ended(t->c.there), "its end is the connection's");
    far_close(t->c.there);
}

static void *waits_for_ever(void *id)
{
    char byte;
    __atomic_store_n((pid_t *)id, syscall(SYS_gettid), __ATOMIC_RELEASE);
    return (void *)(long)recv(t->c.here, &byte, 1, 0);
}

/* exec ends the other threads of the process, wherever they are: one waits in a call on this very connection. */
static void while_a_thread_receives(struct connection (*make)(void))
{
    struct again a;
    int before_exec[2];
    char byte;
    check_group("exec while a thread receives");
    MUST(pipe2(before_exec, O_CLOEXEC));
    pid_t pid = MUST(fork());
    if (pid == 0) {
        pid_t id = 0;
        traffic_prepare(t, make(), MUCH);
        if (pattern_send(t->c.here, SOME, 0) != SOME || far_receive(t->c.there, SOME, 0) != SOME)
            _exit(8);
        thread_of(waits_for_ever, &id);
        if (!EVENTUALLY(__atomic_load_n(&id, __ATOMIC_ACQUIRE)) || !falls_asleep(id))
            _exit(9);
        execv("/proc/self/exe", again(&a, t->c.here, MUCH));
        _exit(127);
    }
    close(before_exec[1]);
    EQUAL(read(before_exec[0], &byte, 1), 0, "exec");
    /* Nothing comes before, so that the thread had nothing. */
    traffic_tell(t);
    EQUAL(child_status(pid), 0, "the program goes on to the end");
    EQUAL(far_answer().value, MUCH, "every byte arrives there");
    CHECK(far_ended(t->c.there), "its end is the connection's");
    far_close(t->c.there);
    close(before_exec[0]);
}

/* FD_CLOEXEC: other programs start meanwhile and have nothing of it. */
static void started_meanwhile(const char *group, struct connection c, int flags)
{
    char *words[] = { "/bin/true", NULL };
    int good = 0;
    check_group(group);
    MUST(fcntl(c.here, F_SETFD, flags));
    traffic_begin(t, c, 2 * MUCH);
    traffic_start(t);
    for (int i = 0; i < 8; i++) {
        pid_t pid = -1;
        traffic_reaches(t, i * (MUCH / 8));
        if (i % 2)
            good += child_status(exec_child(words)) == 0;
        else
            good += posix_spawn(&pid, words[0], NULL, NULL, words, environ) == 0 && child_status(pid) == 0;
    }
    EQUAL(good, 8, "eight programs come and go");
    EQUAL(system("exit 3") >> 8, 3, "a shell too");
    traffic_stop(t);
    traffic_settled(t);
}

/* A program that inherits the descriptor and does nothing with it, while traffic goes on. */
static void held_by_a_stranger(struct connection c)
{
    char *words[] = { "/bin/cat", NULL };
    int pipe_ends[2];
    check_group("held by a stranger");
    MUST(pipe2(pipe_ends, O_CLOEXEC));
    traffic_begin(t, c, MUCH);
    traffic_move(t, c.here, A_PART);
    pid_t pid = MUST(fork());
    if (pid == 0) {
        dup2(pipe_ends[0], 0);
        execv(words[0], words);
        _exit(127);
    }
    close(pipe_ends[0]);
    CHECK(traffic_move(t, c.here, MUCH), "the rest of the stream moves");
    close(pipe_ends[1]);
    EQUAL(child_status(pid), 0, "the stranger ends");
    traffic_settled(t);
}

/* How a program is started with the connection as its standard input and output. */
typedef pid_t starter(int fd, char **words);

static pid_t by_fork(int fd, char **words)
{
    return child_on(fd, words);
}

static pid_t by_vfork(int fd, char **words)
{
    pid_t pid = vfork();
    if (pid == 0) {
        dup2(fd, 0);
        dup2(fd, 1);
        execv(words[0], words);
        _exit(127);
    }
    return MUST(pid);
}

static pid_t by_spawn(int fd, char **words)
{
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, 0);
    posix_spawn_file_actions_adddup2(&actions, fd, 1);
    posix_spawn_file_actions_addclose(&actions, fd);
    if (posix_spawn(&pid, words[0], &actions, NULL, words, environ))
        pid = -1;
    posix_spawn_file_actions_destroy(&actions);
    return MUST(pid);
}

/*
 * As a server does with a program that it starts for a request: the far end says something first, which we answer, then cat gives back
 * what comes. Bytes wait unread when it is started.
 */
static void cat(const char *group, struct connection c, starter *start, int flags)
{
    char *words[] = { "/bin/cat", NULL };
    check_group(group);
    MUST(fcntl(c.here, F_SETFD, flags));
    far_tell((struct order){ .kind = EXCHANGE, .fd = c.there, .count = MUCH });
    EQUAL(pattern_receive(c.here, A_PART, 0), A_PART, "we read a part");
    EQUAL(pattern_send(c.here, A_PART, 0), A_PART, "and give it back");
    EQUAL(polled(c.here, POLLIN, 10000), POLLIN, "more waits");
    pid_t pid = start(c.here, words);
    close(c.here);
    EQUAL(far_answer().value, MUCH, "cat gives back the rest");
    far_shutdown(c.there, SHUT_WR);
    CHECK(far_ended(c.there), "its end comes back too");
    EQUAL(child_status(pid), 0, "cat is content");
    far_close(c.there);
}

/* The same, and the program takes its leave after a while: we go on. */
static void head(const char *group, struct connection c, starter *start)
{
    char *words[] = { "/bin/sh", "-c", "head -c 100000", NULL };
    check_group(group);
    far_tell((struct order){ .kind = EXCHANGE, .fd = c.there, .count = 3 * SOME });
    EQUAL(pattern_receive(c.here, SOME, 0), SOME, "we read a part");
    EQUAL(pattern_send(c.here, SOME, 0), SOME, "and give it back");
    EQUAL(child_status(start(c.here, words)), 0, "a program gives back the next");
    EQUAL(pattern_receive(c.here, SOME, 2 * SOME), SOME, "we read the rest");
    EQUAL(pattern_send(c.here, SOME, 2 * SOME), SOME, "and give it back too");
    EQUAL(far_answer().value, 3 * SOME, "all came back in order");
    finish(c);
}

static void a_shell(const char *group, struct connection c, int flags)
{
    check_group(group);
    MUST(dup2(c.here, NINE));
    MUST(fcntl(c.here, F_SETFD, flags));
    far_tell((struct order){ .kind = EXCHANGE, .fd = c.there, .count = 3 * SOME });
    EQUAL(pattern_receive(c.here, SOME, 0), SOME, "we read a part");
    EQUAL(pattern_send(c.here, SOME, 0), SOME, "and give it back");
    EQUAL(system("head -c 100000 <&9 >&9"), 0, "system gives back the next");
    EQUAL(pattern_receive(c.here, SOME, 2 * SOME), SOME, "we read the rest");
    EQUAL(pattern_send(NINE, SOME, 2 * SOME), SOME, "and give it back too");
    EQUAL(far_answer().value, 3 * SOME, "all came back in order");
    close(NINE);
    finish(c);
}

static void through_popen(const char *group, struct connection c)
{
    static unsigned char bytes[SOME];
    check_group(group);
    MUST(dup2(c.here, NINE));
    far_tell((struct order){ .kind = EXCHANGE, .fd = c.there, .count = 3 * SOME });
    EQUAL(pattern_receive(NINE, SOME, 0), SOME, "we read a part");
    EQUAL(pattern_send(c.here, SOME, 0), SOME, "and give it back");
    FILE *from = popen("head -c 100000 <&9", "r");
    CHECK(from && fread(bytes, 1, SOME, from) == SOME && pattern_holds(bytes, SOME, SOME), "popen reads the next");
    EQUAL(pclose(from), 0, "to its end");
    FILE *to = popen("cat >&9", "w");
    CHECK(to && fwrite(bytes, 1, SOME, to) == SOME, "popen takes it");
    EQUAL(pclose(to), 0, "and gives it back");
    EQUAL(pattern_receive(c.here, SOME, 2 * SOME), SOME, "we read the rest");
    EQUAL(pattern_send(c.here, SOME, 2 * SOME), SOME, "and give it back too");
    EQUAL(far_answer().value, 3 * SOME, "all came back in order");
    close(NINE);
    finish(c);
}

/* A vfork child closes what it does not want, in its own table of descriptors. */
static void closed_by_a_vfork_child(struct connection c)
{
    char *words[] = { "/bin/true", NULL };
    check_group("vfork, the child closes it");
    traffic_begin(t, c, MUCH);
    traffic_move(t, c.here, A_PART);
    pid_t pid = vfork();
    if (pid == 0) {
        close(c.here);
        execv(words[0], words);
        _exit(127);
    }
    EQUAL(child_status(MUST(pid)), 0, "the child runs");
    pid = vfork();
    if (pid == 0) {
        dup2(1, c.here);
        _exit(4);
    }
    EQUAL(child_status(MUST(pid)), 4, "another puts something in its place, and goes");
    traffic_end(t);
}

static void exec_that_fails(struct connection c)
{
    char *words[] = { "/nowhere/at/all", NULL };
    check_group("exec that fails");
    traffic_begin(t, c, MUCH);
    traffic_move(t, c.here, A_PART);
    FAILS(execv(words[0], words), ENOENT, "fails");
    traffic_end(t);
}

static int after(char **words)
{
    t = state_in(atoi(words[2]));
    return !traffic_move(t, atoi(words[0]), atoll(words[1]));
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "--after"))
        return after(argv + 2);
    begin(argc, argv);
    t = state_kept();
    after_fork("made, fork and exec", active());
    after_fork("accepted, fork and exec", passive());
    in_place("made, exec alone", active);
    in_place("accepted, exec alone", passive);
    while_a_thread_receives(active);
    while_a_thread_receives(passive);
    started_meanwhile("inherited by others", active(), 0);
    started_meanwhile("FD_CLOEXEC", passive(), FD_CLOEXEC);
    held_by_a_stranger(active());
    cat("fork, cat", passive(), by_fork, 0);
    cat("fork, FD_CLOEXEC, cat", active(), by_fork, FD_CLOEXEC);
    cat("vfork, cat", passive(), by_vfork, 0);
    cat("vfork, FD_CLOEXEC, cat", active(), by_vfork, FD_CLOEXEC);
    cat("posix_spawn, cat", passive(), by_spawn, 0);
    cat("posix_spawn, FD_CLOEXEC, cat", active(), by_spawn, FD_CLOEXEC);
    head("fork, head", passive(), by_fork);
    head("vfork, head", active(), by_vfork);
    head("posix_spawn, head", passive(), by_spawn);
    a_shell("system", active(), 0);
    a_shell("system, FD_CLOEXEC", passive(), FD_CLOEXEC);
    through_popen("popen", active());
    closed_by_a_vfork_child(passive());
    exec_that_fails(active());
    return check_result();
}
