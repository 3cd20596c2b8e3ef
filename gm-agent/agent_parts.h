/* agent_parts.h - between the files of the agent's core. */
#ifndef GM_AGENT_AGENT_PARTS_H
#define GM_AGENT_AGENT_PARTS_H

#include "gm-agent/agent.h"

/* A number below bound (> 0), for jitter; the middle if there is no randomness. */
uint64_t agent_random(const struct agent *agent, uint64_t bound);
void agent_send(struct agent_effects *out, const struct endpoint *to, struct bytes datagram);

/* agent_register.c: rounds over the server list. */
void agent_round_start(struct agent *agent, uint64_t now_ms, struct agent_effects *out);
void agent_round_at(struct agent *agent, uint64_t at_ms, uint64_t now_ms); /* no sooner than the gap allows */
/* Carries out what a registration step decided. */
void agent_registration_step(struct agent *agent, uint64_t now_ms, struct agent_effects *out);
void agent_plan_reregistration(struct agent *agent, uint64_t now_ms);
void agent_delete_idle_sa(struct agent *agent, struct agent_effects *out);

/* agent_rekey.c: pushes. */
void agent_on_push(struct agent *agent, const struct endpoint *from, struct bytes datagram, uint64_t now_ms,
                   struct agent_effects *out);
void agent_ack_flush(struct agent *agent, uint64_t now_ms, struct agent_effects *out);
/* The policy's selectors and delays become ours. False, with why: it cannot be used. */
bool agent_policy_usable(const struct agent *agent, const struct group_policy *policy, const char **why);
/* It was not usable. What it protects of IPv6 must not go out in clear under the keys that stay. */
void agent_note_refused(struct agent *agent, const struct group_policy *policy, struct agent_effects *out);
void agent_take_policy(struct agent *agent, const struct group_policy *policy);
/* What the key server told about time-based anti-replay; pushed: in a rekey, which may be old. */
void agent_take_time(struct agent *agent, const struct group_policy *policy, bool pushed, uint64_t now_ms);
/* Sends and receives by keys that count, and has no sender id for them. */
bool agent_lacks_sid(const struct agent *agent);
/* The key server at peer is told, under the SA, that we cannot do the policy, and why. */
void agent_tell_refusal(struct agent *agent, const struct isakmp_sa *sa, const struct endpoint *peer,
                        const char *why, struct agent_effects *out);

#endif
