/* id_payload_fuzz.c - ID bodies, kept as identities and printed: no control byte reaches a log line. */
#include "tests/fuzz/proto_wire/invariant.h"

static void print(const struct identity *identity)
{
    char text[ID_TEXT_MAX];
    memset(text, 0x7f, sizeof(text));
    require(identity_format(identity, text) == text);
    size_t len = strnlen(text, sizeof(text));
    require(len < sizeof(text));
    for (size_t i = 0; i < len; i++)
        require(text[i] > ' ' && text[i] < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes body = {data, size};
    struct id_payload id;
    struct identity identity;
    struct addr addr;
    require_holds(&codec_id, body);
    if (id_payload_decode(&id, body) != E_OK)
        return 0;
    require(identity_from_payload(&identity, &id) == E_OK);
    struct id_payload view = identity_as_payload(&identity);
    require(view.type == id.type && bytes_equal(view.data, id.data));
    require(identity_equal(&identity, &identity));
    if (identity_addr(&identity, &addr) == E_OK) {
        struct identity back = identity_from_addr(&addr);
        require(identity_equal(&identity, &back));
    }
    print(&identity);
    return 0;
}
