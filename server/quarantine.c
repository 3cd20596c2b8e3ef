/* quarantine.c - members that say that they cannot do their group's policy: shown on every server, by the
 * name of what is missing, until they register or acknowledge a rekey without complaint. */
#include <string.h>

#include "proto/gdoi/quarantine.h"
#include "server/core_parts.h"

static void on_committed(void *context, const struct apply_result *result)
{
    (void)context; /* lost or refused: the member says it again when it tries again */
    (void)result;
}

/* A member may say it as often as it likes under one SA; the log of the cluster takes so many. */
static bool may_propose(struct core *core)
{
    if (core->now_ms - core->quarantine.second_ms >= 1000) {
        core->quarantine.second_ms = core->now_ms;
        core->quarantine.count = 0;
    }
    return core->quarantine.count++ < QUARANTINE_PER_SECOND_MAX;
}

void quarantine_notice(struct core *core, const struct isakmp_sa *sa, struct bytes data)
{
    char identity[ID_TEXT_MAX];
    struct quarantine said;
    if (quarantine_decode(&said, data) != E_OK) {
        core_count(core, METRIC_MALFORMED);
        return;
    }
    const struct ks_group *group = ks_state_group_by_identity(core_state(core), &said.group);
    const struct ks_member *member = group != NULL ? ks_group_member(group, &sa->peer_id) : NULL;
    if (member == NULL)
        return; /* nobody's business: it has no keys of that group */
    core_count(core, METRIC_QUARANTINES);
    stranger_event(core, KS_GM_QUARANTINED, identity_format(&sa->peer_id, identity),
                   group->record.config.name, said.reason);
    const char *known = member->record.quarantine;
    if ((known != NULL && strcmp(known, said.reason) == 0) || !may_propose(core))
        return;
    struct command command = {
        .type = CMD_MEMBER_QUARANTINED,
        .time_ms = core_cluster_now(core),
        .u.member_quarantined = {.group_id = group->record.id, .identity = sa->peer_id}};
    memcpy(command.u.member_quarantined.reason, said.reason, sizeof(said.reason));
    if (core->ports.propose(core->ports.context, &command, on_committed, NULL) != E_OK)
        core_count(core, METRIC_QUARANTINES_LOST);
}
