#include "rows.h"
#include "far.h"

#include <string.h>
#include <unistd.h>

void reads_back(int type, int protocol, const struct row *rows, int count)
{
    for (int i = 0; i < count; i++) {
        int fd = MUST(socket(side.family, type, protocol));
        int set = set_option(fd, rows[i].level, rows[i].name, rows[i].value), error = errno;
        int got = option(fd, rows[i].level, rows[i].name);
        check(set == 0 && got == rows[i].reads, rows[i].text, "set %d (%s), then read %d, not %d", set,
              set ? strerror(error) : "fine", got, rows[i].reads);
        close(fd);
    }
}
