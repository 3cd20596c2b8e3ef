/* level.h - what a build of a key server knows, as one number, and what all of a cluster know, as another.
 *
 * In an upgrade of one server after the other, builds are mixed. A command that an older one does not know
 * must not get into the log before: so each server tells the others the level of its build in every sign of
 * life, the leader raises the cluster's level once all have told a higher one (CLUSTER_LEVEL_SET), and until
 * then commands of a higher level are refused. The cluster's level never falls; a build below it cannot take
 * part. docs/decisions/0012. */
#ifndef CLUSTER_LEVEL_H
#define CLUSTER_LEVEL_H

#include "cluster/command.h"

/* Of this build: the commands of command.def and the records of storage/. Grows by one with a release that
 * adds to them. */
enum { CLUSTER_LEVEL = 1 };

enum { COMMAND_NUMBERS = 256 }; /* one octet in the log */

/* A build: its level, and the level of each command by number, 0 where there is none. */
struct level_build {
    uint32_t level;
    uint32_t of_command[COMMAND_NUMBERS];
};
/* This one. Tests make others. */
extern const struct level_build level_own;

/* What the command asks for; 0: no command that this build could know the level of. */
uint32_t level_of_command(const struct level_build *build, unsigned number);
/* Has the build this command? */
bool level_knows(const struct level_build *build, unsigned number);
/* May a cluster of that level have it in its log? E_UNSUPPORTED: not before its level is higher. The same
 * answer from every build whose level is the cluster's or above it, also from one that does not know the
 * command. */
err_t level_allows(const struct level_build *build, uint32_t cluster_level, unsigned number) MUST_USE;

#endif
