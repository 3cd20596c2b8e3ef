#include "api/view.h"

#include <string.h>

static json_t *view_numbers(const uint32_t *numbers, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(array, json_integer(numbers[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *view_sids(const struct member_record *member)
{
    uint32_t sids[MEMBER_SID_MAX];
    size_t count = member->sid_count < MEMBER_SID_MAX ? member->sid_count : MEMBER_SID_MAX;
    for (size_t i = 0; i < count; i++)
        sids[i] = member->first_sid + (uint32_t)i;
    return view_numbers(sids, count);
}

/* null: it takes the policy, as far as it said. */
static json_t *view_quarantine(const struct member_record *member)
{
    if (member->quarantined_ms == 0)
        return json_null();
    return json_pack("{s:o, s:s}", "since", view_time(member->quarantined_ms), "reason", member->quarantine);
}

json_t *view_member(const struct member_record *member, const uint8_t node_id[NODE_ID_LEN])
{
    return json_pack(
        "{s:o, s:s, s:o, s:o, s:b, s:I, s:o, s:o, s:I, s:I, s:I, s:i, s:o, s:o, s:I, s:o, s:o}", "identity",
        view_identity(&member->identity), "identity_type", id_type_name(member->identity.type), "endpoint",
        view_endpoint(&member->endpoint), "key_server", view_hex(member->key_server, NODE_ID_LEN, ""),
        "registered_here", memcmp(member->key_server, node_id, NODE_ID_LEN) == 0, "registrations",
        (json_int_t)member->registrations, "first_registered", view_time(member->first_ms), "last_registered",
        view_time(member->last_ms), "rekeys_sent", (json_int_t)member->rekeys_sent, "acks",
        (json_int_t)member->acks, "missed", (json_int_t)member->missed, "missed_in_row",
        member->missed_in_row, "sent_seq", view_numbers(member->sent_seq, MEMBER_SEQ_SHOWN), "acked_seq",
        view_numbers(member->acked_seq, MEMBER_SEQ_SHOWN), "seq_base", (json_int_t)member->seq_base, "sids",
        view_sids(member), "quarantine", view_quarantine(member));
}

static const char *kind_word(enum rekey_kind kind)
{
    switch (kind) {
    case REKEY_INITIAL:
        return "initial";
    case REKEY_TEK:
        return "tek";
    case REKEY_KEK:
        return "kek";
    case REKEY_POLICY:
        return "policy";
    }
    return "unknown";
}

json_t *view_rekey(const struct rekey_record *rekey)
{
    bool done = rekey->done_ms != 0;
    return json_pack("{s:I, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:o}", "seq", (json_int_t)rekey->seq,
                     "kind", kind_word(rekey->kind), "created", view_time(rekey->created_ms), "done",
                     view_time(rekey->done_ms), "duration_ms",
                     done ? json_integer((json_int_t)(rekey->done_ms - rekey->created_ms)) : json_null(),
                     "members", (json_int_t)rekey->members, "acked", (json_int_t)rekey->acked, "silent",
                     (json_int_t)rekey->silent, "retransmits", (json_int_t)rekey->retransmits, "push_octets",
                     (json_int_t)rekey->push_len, "kek_spi", view_hex(rekey->kek_spi, KEK_SPI_LEN, "0x"));
}
