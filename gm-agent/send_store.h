/* send_store.h - the send ledger's file: read at the start, written and synced before reserved numbers are
 * used. A file that cannot be read whole is an error, never an empty one: sending on from 0 could repeat an
 * IV. One agent per file (it is locked). */
#ifndef GM_AGENT_SEND_STORE_H
#define GM_AGENT_SEND_STORE_H

#include "gm-agent/send_ledger.h"

enum { SEND_STORE_PATH_MAX = 256 };

struct send_store {
    int lock; /* -1: not open */
    char path[SEND_STORE_PATH_MAX];
};

/* Fills *ledger from the file; none yet is a first start. E_EXISTS: another agent has it; E_CORRUPT, E_IO,
 * E_PERMISSION, E_RANGE (path too long). */
err_t send_store_open(struct send_store *store, const char *path, struct send_ledger *ledger) MUST_USE;
/* On disk when it returns E_OK. */
err_t send_store_write(struct send_store *store, const struct send_ledger *ledger) MUST_USE;
void send_store_close(struct send_store *store);

#endif
