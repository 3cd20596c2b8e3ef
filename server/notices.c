/* notices.c - informational exchanges (RFC 2409 5.7): deletes and dead-peer detection (RFC 3706) under an SA
 * are believed, clear ones only counted. */
#include "server/core_parts.h"

void notices_refuse(struct core *core, const struct ike_path *path, const struct isakmp_header *header,
                    uint16_t type)
{
    struct writer w = writer_over(core->reply, sizeof(core->reply));
    if (type == 0 || header->exchange == EXCHANGE_INFORMATIONAL)
        return; /* a notify is never answered by one */
    if (informational_clear_notify(header, DOI_ISAKMP, type, &w) == E_OK)
        core_send(core, path, writer_bytes(&w));
}

err_t notices_protected(struct core *core, const struct isakmp_sa *sa, uint16_t type, struct bytes *out)
{
    uint32_t message_id;
    struct writer w = writer_over(core->reply, sizeof(core->reply));
    err_t err = core_message_id(core, &message_id);
    if (err == E_OK)
        err = informational_notify(sa, message_id, type, (struct bytes){0}, &w);
    *out = err == E_OK ? writer_bytes(&w) : (struct bytes){0};
    return err;
}

static void answer_dpd(struct core *core, const struct ike_path *path, const struct isakmp_sa *sa,
                       uint32_t seq)
{
    uint32_t message_id;
    struct writer w = writer_over(core->reply, sizeof(core->reply));
    err_t err = core_message_id(core, &message_id);
    if (err == E_OK)
        err = informational_dpd(sa, message_id, true, seq, &w);
    if (err != E_OK)
        return;
    core_count(core, METRIC_DPD_ANSWERED);
    core_send(core, path, writer_bytes(&w));
}

static void take(struct core *core, const struct ike_path *path, struct ike_sa *sa,
                 const struct isakmp_sa *full, const struct informational *info)
{
    char peer[ADDR_TEXT_MAX];
    core_count(core, METRIC_INFORMATIONAL);
    switch (info->kind) {
    case INFO_DPD_REQUEST:
        if (core_admit(core, path)) /* a captured request comes again as often as somebody likes */
            answer_dpd(core, path, full, info->dpd_seq);
        break;
    case INFO_DELETE_SA:
        ike_table_remove(&core->table, sa);
        break;
    case INFO_NOTIFY:
        if (info->notify_type == NOTIFY_POLICY_REFUSED) {
            if (core_admit(core, path)) /* likewise */
                quarantine_notice(core, full, info->data);
            break;
        }
        stranger_event(core, IKMP_MODE_FAILURE, "Informational", core_peer_text(path, peer),
                       notify_name(info->notify_type));
        break;
    case INFO_DELETE_OTHER:
    case INFO_DPD_ACK:
    case INFO_INITIAL_CONTACT: /* believed in message 5, where no repeat of it can come later */
        break;
    }
}

void notices_datagram(struct core *core, const struct ike_path *path, const struct isakmp_header *header,
                      struct bytes body)
{
    struct informational info;
    char peer[ADDR_TEXT_MAX];
    struct ike_sa *sa = ike_table_find(&core->table, header->cookie_i, header->cookie_r);
    if (!(header->flags & ISAKMP_FLAG_ENCRYPTED)) {
        core_count(core, METRIC_INFORMATIONAL_CLEAR);
        return;
    }
    if (sa == NULL || sa->half != NULL || !addr_equal(&sa->peer, &path->peer.addr) ||
        core->now_ms >= sa->expires_ms) {
        core_count(core, METRIC_NO_SUCH_SA);
        return;
    }
    struct isakmp_sa full;
    ike_sa_open(sa, &full);
    err_t err = informational_open(&full, header, body, core->plain, &info);
    if (err == E_OK) {
        take(core, path, sa, &full, &info);
    } else {
        core_count(core, METRIC_MALFORMED);
        stranger_event(core, IKMP_BAD_MESSAGE, core_peer_text(path, peer), err_text(err));
    }
    isakmp_sa_close(&full);
}
