/* ike_offer_fuzz.c - phase-1 SA bodies. */
#include "tests/fuzz/proto_wire/invariant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes body = {data, size};
    require_holds(&codec_offer, body);
    return 0;
}
