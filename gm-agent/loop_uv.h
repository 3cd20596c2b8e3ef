/* loop_uv.h - the shell around the agent: one libuv thread with the UDP socket, timers, the data path's
 * descriptors and the status socket; Diffie-Hellman in libuv's pool. Carries out effects, decides nothing. */
#ifndef GM_AGENT_LOOP_UV_H
#define GM_AGENT_LOOP_UV_H

#include "gm-agent/agent.h"

struct gm_loop;

/* Binds local address:port and the status socket. config and datapath outlive the loop. E_IO, E_PERMISSION,
 * E_NO_MEMORY; why names what and why (buffer of the caller). */
err_t gm_loop_open(struct gm_loop **out, const struct gm_config *config, struct datapath *datapath, char *why,
                   size_t why_size) MUST_USE;
/* Until SIGTERM, SIGINT or SIGUSR2. True: by SIGUSR2, so the data path is to be kept for the next agent. */
bool gm_loop_run(struct gm_loop *loop);
void gm_loop_free(struct gm_loop *loop); /* NULL is fine */

#endif
