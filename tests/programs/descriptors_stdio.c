/* Sockets as the standard input and output of other programs, and under stdio. */
#include "side/far.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs a program on the connection; our own copy is closed. */
static pid_t on(int fd, char *const argv[])
{
    pid_t child = MUST(fork());
    if (child == 0) {
        dup2(fd, 0);
        dup2(fd, 1);
        close(fd);
        execvp(argv[0], argv);
        _exit(9);
    }
    close(fd);
    return child;
}

static int status_of(pid_t child)
{
    int status = -1;
    MUST(waitpid(child, &status, 0));
    return status;
}

static void cat(const char *group, struct connection c)
{
    char *words[] = { "/bin/cat", NULL };
    check_group(group);
    pid_t child = on(c.here, words);
    EQUAL(far_send(c.there, 100000, 0), 100000, "the far end sends");
    EQUAL(far_receive(c.there, 100000, 0), 100000, "and gets it back");
    far_shutdown(c.there, SHUT_WR);
    CHECK(far_ended(c.there), "its end comes back too");
    EQUAL(status_of(child), 0, "cat is content");
    far_close(c.there);
}

static struct answer say(int there, const char *text)
{
    struct order o = { .kind = SAY, .fd = there };
    snprintf(o.text, sizeof(o.text), "%s", text);
    return far(o);
}

static int hears(int there, const char *text)
{
    struct answer a = far((struct order){ .kind = HEAR, .fd = there });
    if (strcmp(a.text, text))
        fprintf(stderr, "heard \"%s\"\n", a.text);
    return !strcmp(a.text, text);
}

static void shell(struct connection c)
{
    char *words[] = { "/bin/sh", "-c", "read a; echo \"got $a\"; read b; echo \"then $b\" | cat; wc -c", NULL };
    check_group("shell");
    pid_t child = on(c.here, words);
    say(c.there, "one\ntwo\n");
    CHECK(hears(c.there, "got one\n"), "reads a line");
    CHECK(hears(c.there, "then two\n"), "reads the next, answers through a pipe");
    far_send(c.there, 1234, 0);
    far_shutdown(c.there, SHUT_WR);
    CHECK(hears(c.there, "1234\n"), "a program of its own reads the rest");
    CHECK(far_ended(c.there), "the end");
    EQUAL(status_of(child), 0, "the shell is content");
    far_close(c.there);
}

static void stdio(struct connection c)
{
    char line[100];
    check_group("stdio");
    FILE *in = fdopen(dup(c.here), "r"), *out = fdopen(c.here, "w");
    CHECK(in != NULL && out != NULL, "fdopen");
    setvbuf(in, NULL, _IOFBF, 4096);
    EQUAL(fprintf(out, "HELO %s %d\n", "there", 42), 14, "fprintf");
    EQUAL(fflush(out), 0, "fflush");
    CHECK(hears(c.there, "HELO there 42\n"), "the far end hears it");
    say(c.there, "250 fine\n17\n");
    CHECK(fgets(line, sizeof(line), in) && !strcmp(line, "250 fine\n"), "fgets");
    int number = 0;
    CHECK(fscanf(in, "%d", &number) == 1 && number == 17 && fgetc(in) == '\n', "fscanf, fgetc");
    CHECK(dprintf(fileno(out), "and %s\n", "more") == 9 && hears(c.there, "and more\n"), "dprintf");
    far_send(c.there, 9000, 0);
    far_shutdown(c.there, SHUT_WR);
    static char bytes[10000];
    CHECK(fread(bytes, 1, sizeof(bytes), in) == 9000 && pattern_holds(bytes, 9000, 0), "fread");
    CHECK(feof(in) && !ferror(in), "feof");
    EQUAL(fclose(in), 0, "fclose of one");
    EQUAL(fputs("bye\n", out) >= 0, 1, "fputs");
    EQUAL(fclose(out), 0, "fclose of the other");
    CHECK(hears(c.there, "bye\n"), "what was buffered arrives");
    CHECK(far_ended(c.there), "and the end");
    far_close(c.there);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    cat("made, cat", active());
    cat("accepted, cat", passive());
    shell(passive());
    stdio(active());
    stdio(passive());
    return check_result();
}
