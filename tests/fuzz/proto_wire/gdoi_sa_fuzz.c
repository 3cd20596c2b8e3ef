/* gdoi_sa_fuzz.c - SA bodies of PULL and PUSH with their SAK, GAP and SATs. */
#include "tests/fuzz/proto_wire/invariant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes body = {data, size};
    require_holds(&codec_sa, body);
    return 0;
}
