/* payload_fuzz.c - whole datagrams: marker, header, chain, and each payload to its own decoder, as the
 * daemons do. */
#include "tests/fuzz/proto_wire/invariant.h"

#include "proto/wire/vendor_id.h"

static void try_payload(const struct payload *payload)
{
    switch (payload->type) {
    case PAYLOAD_SA:
        require_holds(&codec_offer, payload->body);
        require_holds(&codec_sa, payload->body);
        break;
    case PAYLOAD_GAP:
        require_holds(&codec_gap, payload->body);
        break;
    case PAYLOAD_KD:
        require_holds(&codec_kd, payload->body);
        break;
    case PAYLOAD_SEQ:
        require_holds(&codec_seq, payload->body);
        break;
    case PAYLOAD_ID:
        require_holds(&codec_id, payload->body);
        break;
    case PAYLOAD_NOTIFY:
        require_holds(&codec_notify, payload->body);
        break;
    case PAYLOAD_DELETE:
        require_holds(&codec_delete, payload->body);
        break;
    case PAYLOAD_VENDOR:
        require(vendor_id_classify(payload->body) <= VENDOR_QUORATE);
        break;
    }
}

static void try_list(const struct payload_list *list, size_t body_len)
{
    static const struct payload_rule rule = {
        .need = P(HASH) | P(NONCE), .may = P(ID) | P(SA) | P(VENDOR), .many = P(VENDOR)};
    require(list->count <= PAYLOAD_MAX && list->consumed <= body_len);
    bool taken = payload_rule_check(&rule, list) == E_OK;
    require(!taken || payload_count(list, PAYLOAD_HASH) == 1);
    require(!taken || payload_find(list, PAYLOAD_KD, 0) == NULL);
    for (size_t i = 0; i < list->count; i++) {
        require(list->items[i].whole.len == list->items[i].body.len + PAYLOAD_HEADER_LEN);
        require(payload_find(list, list->items[i].type, 0) != NULL);
        try_payload(&list->items[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct payload_list list;
    struct isakmp_header header;
    struct bytes body;
    bool had;
    struct bytes datagram = non_esp_marker_strip((struct bytes){data, size}, &had);
    require(datagram.len + (had ? NON_ESP_MARKER_LEN : 0) == size);
    require_holds(&codec_message, datagram);
    if (isakmp_header_decode(&header, &body, datagram) != E_OK)
        return 0;
    require(body.len + ISAKMP_HEADER_LEN == header.length);
    if (payload_list_decode(&list, header.next_payload, body) == E_OK)
        try_list(&list, body.len);
    return 0;
}
