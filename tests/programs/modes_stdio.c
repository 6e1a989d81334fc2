/* stdio takes over in the middle of a stream, which calls read and write beneath every name that a library can take. */
#include "side/child.h"
#include "side/traffic.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MUCH (1 << 20)
#define A_PART (MUCH / 4)
#define SOME 20000

static struct traffic *t;
static unsigned char bytes[PIECE];

/* The next bytes of the way out, which are about to be sent. */
static const unsigned char *next_out(size_t len)
{
    pattern_fill(bytes, len, t->out.done);
    t->out.done += len;
    return bytes;
}

/* True when these are the next bytes of the way in. */
static int next_in(const void *got, size_t len)
{
    int good = pattern_holds(got, len, FROM_THERE + t->in.done);
    t->in.done += len;
    return good;
}

/* A way of sending so many bytes, and one of receiving. True when it went well. */
typedef int sender(FILE *to, int len);
typedef int receiver(FILE *from, int len);

static int by_fwrite(FILE *to, int len)
{
    int good = 1;
    for (int done = 0; done < len && good; done += 1000)
        good = fwrite(next_out(1000), 1, 1000, to) == 1000;
    return good && fflush(to) == 0;
}

static int by_fputc(FILE *to, int len)
{
    int good = 1;
    for (int i = 0; i < len; i++)
        good = good && fputc(*next_out(1), to) != EOF;
    return good && fflush(to) == 0;
}

#define EIGHT "%c%c%c%c%c%c%c%c"
#define OF(b) (b)[0], (b)[1], (b)[2], (b)[3], (b)[4], (b)[5], (b)[6], (b)[7]

static int by_fprintf(FILE *to, int len)
{
    int good = 1;
    for (int i = 0; i < len; i += 8) {
        const unsigned char *b = next_out(8);
        good = good && fprintf(to, EIGHT, OF(b)) == 8;
    }
    return good && fflush(to) == 0;
}

static int by_dprintf(FILE *to, int len)
{
    int good = 1;
    for (int i = 0; i < len; i += 8) {
        const unsigned char *b = next_out(8);
        good = good && dprintf(fileno(to), EIGHT, OF(b)) == 8;
    }
    return good;
}

static int formatted(int fd, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    int n = vdprintf(fd, format, values);
    va_end(values);
    return n;
}

static int by_vdprintf(FILE *to, int len)
{
    int good = 1;
    for (int i = 0; i < len; i += 8) {
        const unsigned char *b = next_out(8);
        good = good && formatted(fileno(to), EIGHT, OF(b)) == 8;
    }
    return good;
}

static int by_fread(FILE *from, int len)
{
    return fread(bytes, 1, len, from) == (size_t)len && next_in(bytes, len);
}

static int by_fgetc(FILE *from, int len)
{
    for (int i = 0; i < len; i++)
        bytes[i] = fgetc(from);
    return !feof(from) && !ferror(from) && next_in(bytes, len);
}

/* Up to the end of a line after so many bytes. */
static int by_getline(FILE *from, int len)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    int good = 1;
    for (int done = 0; done < len && good; done += n) {
        n = getline(&line, &size, from);
        good = n > 0 && line[n - 1] == '\n' && next_in(line, n);
    }
    free(line);
    return good;
}

static int by_fscanf(FILE *from, int len)
{
    int good = 1;
    for (int i = 0; i < len; i += 4) {
        char *b = (char *)bytes + i;
        good = good && fscanf(from, "%c%c%c%c", b, b + 1, b + 2, b + 3) == 4;
    }
    return good && next_in(bytes, len);
}

/* What the stream still has, to the traffic's end. */
static int the_rest(FILE *from)
{
    int good = 1;
    while (good && t->in.done < t->count) {
        long long left = t->count - t->in.done;
        good = by_fread(from, left < SOME ? left : SOME);
    }
    return good;
}

static const struct {
    const char *name;
    sender *send;
} out[] = {
    { "fwrite", by_fwrite }, { "fprintf", by_fprintf }, { "fputc", by_fputc }, { "dprintf", by_dprintf }, { "vdprintf", by_vdprintf },
};

static const struct {
    const char *name;
    receiver *receive;
} in[] = {
    { "fread", by_fread }, { "fgetc", by_fgetc }, { "getline", by_getline }, { "fscanf", by_fscanf },
};

#define EACH(table) (unsigned)(sizeof(table) / sizeof((table)[0]))

static void begun(const char *group, struct connection c)
{
    check_group(group);
    traffic_begin(t, c, MUCH);
    CHECK(traffic_move(t, c.here, A_PART), "a part of the stream has moved");
}

/* Both ways through a FILE each, one after the other. */
static void both_ways(const char *group, struct connection c)
{
    begun(group, c);
    FILE *from = fdopen(MUST(dup(c.here)), "r"), *to = fdopen(MUST(dup(c.here)), "w");
    CHECK(from && to, "fdopen");
    for (unsigned i = 0; i < EACH(out); i++)
        CHECK(out[i].send(to, SOME), out[i].name);
    for (unsigned i = 0; i < EACH(in); i++)
        CHECK(in[i].receive(from, SOME), in[i].name);
    EQUAL(fclose(to), 0, "fclose of the one that writes");
    while (traffic_out(t, c.here, MUCH))
        ;
    CHECK(the_rest(from), "the rest of what comes");
    EQUAL(fclose(from), 0, "fclose of the other");
    traffic_settled(t);
}

/* Without a buffer, so that the descriptor may be read by itself in between. */
static void in_turn_with_calls(const char *group, struct connection c)
{
    int good = 0;
    begun(group, c);
    FILE *both = fdopen(MUST(dup(c.here)), "r+");
    CHECK(both && setvbuf(both, NULL, _IONBF, 0) == 0, "fdopen without a buffer");
    for (int i = 0; i < 10; i++)
        good += by_fread(both, 2000) && by_fwrite(both, 2000) && traffic_move(t, c.here, A_PART + (i + 1) * 10000);
    EQUAL(good, 10, "stdio and calls in turn");
    EQUAL(fclose(both), 0, "fclose");
    traffic_end(t);
}

/* The very first call of stdio fails: the socket goes on as it was. */
static void fdopen_that_fails(struct connection c)
{
    begun("fdopen that fails", c);
    FAILS(fdopen(c.here, "no mode") ? 0 : -1, EINVAL, "EINVAL");
    traffic_end(t);
}

/* dprintf alone, with no FILE anywhere. */
static void dprintf_alone(struct connection c)
{
    int good = 1;
    begun("dprintf", c);
    for (int i = 0; i < 200; i++) {
        const unsigned char *b = next_out(8);
        good = good && dprintf(c.here, EIGHT, OF(b)) == 8;
        good = good && (i % 10 || traffic_out(t, c.here, MUCH));
    }
    CHECK(good, "in turn with send");
    traffic_end(t);
}

static void *receives(void *id)
{
    __atomic_store_n((pid_t *)id, syscall(SYS_gettid), __ATOMIC_RELEASE);
    return (void *)(long)pattern_receive(t->c.here, SOME, 0);
}

static void while_a_thread_receives(struct connection c)
{
    pid_t id = 0;
    check_group("fdopen while a thread receives");
    EQUAL(pattern_send(c.here, SOME, 0), SOME, "bytes go before");
    EQUAL(far_receive(c.there, SOME, 0), SOME, "and arrive");
    t->c = c;
    unsigned long thread = thread_of(receives, &id);
    CHECK(EVENTUALLY(__atomic_load_n(&id, __ATOMIC_ACQUIRE)) && falls_asleep(id), "a thread waits");
    FILE *to = fdopen(MUST(dup(c.here)), "w");
    t->out.done = 0;
    CHECK(to && by_fwrite(to, SOME), "fwrite");
    EQUAL(far_receive(c.there, SOME, 0), SOME, "arrives");
    far_send(c.there, SOME, 0);
    EQUAL(thread_result(thread), SOME, "the thread gets what comes then");
    fclose(to);
    finish(c);
}

/* Standard descriptors: what is put under them is used by stdio without a word. */
static void under_stdout(const char *group, struct connection c, int number, FILE *file)
{
    fflush(NULL);
    begun(group, c);
    int saved = MUST(dup(number)), good = 1;
    MUST(dup2(c.here, number));
    good = by_fprintf(file, 4000) && by_fwrite(file, SOME) && by_fputc(file, 4000);
    MUST(dup2(saved, number));
    close(saved);
    CHECK(good, "takes what is printed");
    traffic_end(t);
}

static void under_stdin(const char *group, struct connection c, int buffered)
{
    begun(group, c);
    MUST(dup2(c.here, 0));
    clearerr(stdin);
    setvbuf(stdin, NULL, buffered ? _IOFBF : _IONBF, buffered ? 4096 : 0);
    CHECK(by_fscanf(stdin, 4000), "scanf");
    CHECK(by_fread(stdin, SOME), "fread");
    CHECK(by_getline(stdin, 3000), "getline");
    while (traffic_out(t, 0, MUCH))
        ;
    if (buffered)
        CHECK(the_rest(stdin), "the rest");
    close(0);
    traffic_end(t);
}

/* A connection whose number is 0 or 1 from its birth, because that was free. */
static void born_as_stdin(struct connection (*make)(void), const char *group)
{
    close(0);
    struct connection c = make();
    begun(group, c);
    /* passive() has a listener before, which takes the number; then it is a copy that gets it. */
    int copy = c.here == 0 ? 0 : MUST(dup(c.here));
    EQUAL(copy, 0, "has number 0");
    setvbuf(stdin, NULL, _IONBF, 0);
    clearerr(stdin);
    CHECK(by_fread(stdin, SOME), "fread from stdin");
    CHECK(traffic_move(t, copy, 2 * A_PART), "calls after it");
    CHECK(by_fscanf(stdin, SOME), "scanf");
    if (copy != c.here)
        close(copy);
    traffic_end(t);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    t = traffic_new();
    both_ways("made, stdio", active());
    both_ways("accepted, stdio", passive());
    in_turn_with_calls("made, stdio and calls", active());
    in_turn_with_calls("accepted, stdio and calls", passive());
    fdopen_that_fails(active());
    dprintf_alone(passive());
    while_a_thread_receives(active());
    under_stdout("under stdout", active(), 1, stdout);
    under_stdout("under stderr", passive(), 2, stderr);
    under_stdin("under stdin", active(), 0);
    under_stdin("under stdin, buffered", passive(), 1);
    born_as_stdin(active, "made with number 0");
    born_as_stdin(passive, "accepted, then number 0");
    return check_result();
}
