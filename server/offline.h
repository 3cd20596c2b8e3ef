/* offline.h - what ksd does instead of serving: look at a backup, make a cluster of one. Both print what they found, and why not. */
#ifndef SERVER_OFFLINE_H
#define SERVER_OFFLINE_H

#include <stdbool.h>

#include "server/config.h"

/* What is in a backup, without its key; nothing is written. false: it is none, or damaged. */
bool offline_check(const char *file);
/* The backup becomes the state of config's empty data directory, with config's backup key. */
bool offline_restore(const char *file, const struct ksd_config *config);

#endif
