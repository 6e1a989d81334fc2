/* Many connections at once, for the programs about death. */
#ifndef GATHER_H
#define GATHER_H

/*
 * `connect ADDRESS PORT COUNT` makes connections, `listen ADDRESS PORT COUNT` says "listening" and waits for them. Gives the
 * descriptors, and in `count` how many; ends the program when it cannot, or when the words are others.
 */
int *gather(int argc, char **argv, int *count);

#endif
