/* Tables of int options: what is set is what is read. */
#ifndef ROWS_H
#define ROWS_H

struct row {
    int level, name, value, reads;
    const char *text;
};

/* Each row on a fresh socket of this type and protocol. */
void reads_back(int type, int protocol, const struct row *rows, int count);

#define ROWS(rows) (rows), (int)(sizeof(rows) / sizeof((rows)[0]))

#endif
