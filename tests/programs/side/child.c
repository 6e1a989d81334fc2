#include "child.h"
#include "check.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int child_status(pid_t child)
{
    int status = -1;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            check_broken("waitpid", __FILE__, __LINE__);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

pid_t child_on(int fd, char *const words[])
{
    pid_t child = MUST(fork());
    if (child == 0) {
        dup2(fd, 0);
        dup2(fd, 1);
        close(fd);
        execvp(words[0], words);
        _exit(127);
    }
    return child;
}

/* The state letter of proc_pid_stat(5), which follows the name in parentheses. */
static char state_of(pid_t id)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)id);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    char *got = fgets(text, sizeof(text), file), *end = got ? strrchr(got, ')') : NULL;
    fclose(file);
    return end && end[1] ? end[2] : 0;
}

int falls_asleep(pid_t id)
{
    return EVENTUALLY(state_of(id) == 'S');
}

unsigned long thread_of(void *(*work)(void *), void *with)
{
    pthread_t thread;
    errno = pthread_create(&thread, NULL, work, with);
    if (errno)
        check_broken("pthread_create", __FILE__, __LINE__);
    return thread;
}

long thread_result(unsigned long thread)
{
    void *result = NULL;
    errno = pthread_join(thread, &result);
    if (errno)
        check_broken("pthread_join", __FILE__, __LINE__);
    return (long)result;
}
