/* command_internal.h - what command*.c share. */
#ifndef CLUSTER_COMMAND_INTERNAL_H
#define CLUSTER_COMMAND_INTERNAL_H

#include "cluster/command.h"

/* E_RANGE stays in the cursor for a type that is not of theirs. */
void command_encode_operate(struct writer *w, const struct command *c);
void command_decode_operate(struct reader *r, struct command *out);

#endif
